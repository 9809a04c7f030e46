/** The search for a data set's files: the cache first, then one source after the other until one has them. */
import { UserError } from "../common/errors.ts";
import { type Checksums, type Contents, DamagedFile, readFolder, writeFolder } from "./files.ts";

export interface LoadOptions {
  /** A folder of the user's that holds the data set's files. */
  dataDirectory?: string;
  /** Gets one line for each place where the data set was looked for in vain, with the reason. */
  log?: (line: string) => void;
  /** Ends the loading at once; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called while bytes come over the network: how many so far, of how many if that is known. */
  onProgress?: (bytes: number, total: number | undefined) => void;
}

/** None of the places a data set may come from has it. The message lists each place with its reason. */
export class DatasetUnavailable extends Error {
  override readonly name = "DatasetUnavailable";
  readonly reasons: readonly string[];

  constructor(dataset: string, reasons: readonly string[]) {
    super(`${dataset} is not available from any place: ${reasons.join("; ")}`);
    this.reasons = reasons;
  }
}

/** A place that a data set's files may come from. */
export interface Source {
  /** As a reader would name it, e.g. "the system folder /usr/share/datasets/fashion-mnist". */
  name: string;
  /** Gets and checks all files; rejects with the reason when it cannot. */
  read(): Promise<Contents>;
  /** The user named this place: a damaged file there is a mistake to report, not a reason to look elsewhere. */
  namedByUser?: boolean;
}

/** A folder as a source. */
export function folderSource(
  name: string,
  folder: string,
  checksums: Checksums,
  signal?: AbortSignal,
): Source {
  return { name: `${name} ${folder}`, read: () => readFolder(folder, checksums, signal) };
}

/**
 * Gets a data set's files from its cache folder or from the first source that has them all, and then keeps them in
 * the cache folder. Every place that fails is reported to `log` in one line; so is a cache that cannot be written.
 *
 * @throws UserError when a file in the place that the user named is damaged
 * @throws DatasetUnavailable when no place has the files
 */
export async function findFiles(
  dataset: string,
  checksums: Checksums,
  cacheFolder: string,
  sources: readonly Source[],
  { log = () => {}, signal }: Pick<LoadOptions, "log" | "signal">,
): Promise<Contents> {
  const cache = folderSource("the cache", cacheFolder, checksums, signal);
  const reasons: string[] = [];
  for (const source of [cache, ...sources]) {
    signal?.throwIfAborted();
    try {
      const contents = await source.read();
      if (source !== cache) await keep(contents, dataset, cacheFolder, log);
      return contents;
    } catch (error) {
      signal?.throwIfAborted();
      const reason = oneLine(error);
      if (source.namedByUser && error instanceof DamagedFile) {
        throw new UserError(
          `${reason}; replace this file of ${dataset}, or leave the folder out to look elsewhere`,
        );
      }
      reasons.push(`${source.name}: ${reason}`);
      log(`${dataset} not from ${source.name}: ${reason}`);
    }
  }
  throw new DatasetUnavailable(dataset, reasons);
}

async function keep(contents: Contents, dataset: string, folder: string, log: (line: string) => void) {
  try {
    await writeFolder(folder, contents);
  } catch (error) {
    log(`${dataset} not kept in the cache ${folder}: ${oneLine(error)}`);
  }
}

function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().replaceAll(/\s*\n\s*/g, ", ");
}
