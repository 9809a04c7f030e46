import { type Checksums, type Contents, largestFile, unpack } from "./files.ts";
import type { LoadOptions } from "./sources.ts";

export interface DownloadTimeouts {
  /** Milliseconds until the head of an answer must be there, connecting included. */
  answer: number;
  /** Milliseconds until the next piece of a body must be there. */
  idle: number;
}

/**
 * Downloads all files of a data set, each as `<address><name>.gz`, all at once, and checks them. The first that fails
 * ends the others.
 *
 * @param address ends in "/"
 * @throws Error with the reason: no connection, the server's status, a timeout
 * @throws DamagedFile when what came is not the wanted file
 */
export async function download(
  address: string,
  checksums: Checksums,
  timeouts: DownloadTimeouts,
  { signal, onProgress }: Pick<LoadOptions, "signal" | "onProgress">,
): Promise<Contents> {
  const names = Object.keys(checksums);
  const requests = names.map((name) => new TimedRequest(`${address}${name}.gz`, timeouts, signal));
  try {
    const sizes = await Promise.all(requests.map((request) => request.open()));
    const total = sizes.includes(undefined) ? undefined : sizes.reduce((sum, size) => sum! + size!, 0);
    let bytes = 0;
    const stored = await Promise.all(
      requests.map((request) =>
        request.read((length) => {
          bytes += length;
          onProgress?.(bytes, total);
        }),
      ),
    );
    const contents: Contents = new Map();
    for (const [i, name] of names.entries()) {
      contents.set(name, await unpack(requests[i]!.address, stored[i]!, checksums[name]!));
    }
    return contents;
  } finally {
    for (const request of requests) request.end();
  }
}

/**
 * Downloads one file.
 * @throws Error with the reason: no connection, the server's status, a timeout
 */
export async function downloadFile(
  address: string,
  timeouts: DownloadTimeouts,
  { signal, onProgress }: Pick<LoadOptions, "signal" | "onProgress">,
): Promise<Uint8Array> {
  const request = new TimedRequest(address, timeouts, signal);
  try {
    const total = await request.open();
    let bytes = 0;
    return await request.read((length) => {
      bytes += length;
      onProgress?.(bytes, total);
    });
  } finally {
    request.end();
  }
}

/** One HTTP request that gives up when nothing comes for too long. */
class TimedRequest {
  readonly address: string;
  readonly #timeouts: DownloadTimeouts;
  readonly #control = new AbortController();
  readonly #stop: AbortSignal;
  #timer: NodeJS.Timeout | undefined;
  #response: Response | undefined;

  constructor(address: string, timeouts: DownloadTimeouts, signal?: AbortSignal) {
    this.address = address;
    this.#timeouts = timeouts;
    this.#stop = signal ? AbortSignal.any([signal, this.#control.signal]) : this.#control.signal;
  }

  /** Waits for the head of the answer; returns the size of the body in bytes if the server tells it. */
  async open(): Promise<number | undefined> {
    this.#expect("no answer", this.#timeouts.answer);
    try {
      this.#response = await fetch(this.address, { signal: this.#stop });
    } catch (error) {
      throw this.#explain(error);
    } finally {
      clearTimeout(this.#timer);
    }
    const { ok, status, statusText, headers } = this.#response;
    if (!ok) throw new Error(`${this.address} answers ${status} ${statusText}`.trimEnd());
    // A body that the server compressed once more has another size when it gets here.
    return headers.has("content-encoding") ? undefined : Number(headers.get("content-length")) || undefined;
  }

  /** Reads the body; `onBytes` hears the length of each piece. */
  async read(onBytes: (length: number) => void): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    try {
      this.#expect("nothing more came", this.#timeouts.idle);
      for await (const piece of this.#response!.body ?? []) {
        this.#expect("nothing more came", this.#timeouts.idle);
        pieces.push(piece);
        length += piece.length;
        if (length > largestFile) throw new Error(`more than ${largestFile} bytes came`);
        onBytes(piece.length);
      }
    } catch (error) {
      throw this.#explain(error);
    } finally {
      clearTimeout(this.#timer);
    }
    return Buffer.concat(pieces);
  }

  /** Drops the connection if it is still in use. */
  end() {
    this.#control.abort();
  }

  #expect(complaint: string, milliseconds: number) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.#control.abort(new Error(`${complaint} for ${milliseconds / 1000} s`)),
      milliseconds,
    );
  }

  /** `fetch` says only "fetch failed" or "terminated"; the reason is its cause. */
  #explain(error: unknown): Error {
    const reason = (error as { cause?: NodeJS.ErrnoException }).cause ?? (error as NodeJS.ErrnoException);
    const file = this.address.slice(this.address.lastIndexOf("/") + 1);
    return new Error(`${file}: ${reason.message || reason.code}`, { cause: error });
  }
}
