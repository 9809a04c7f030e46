import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { UserError } from "../common/errors.ts";
import { replaceFile } from "../common/files.ts";
import { decodeImage, type ImageForm, UnreadableImage } from "./image-file.ts";
import type { ListedImage } from "./sets/class-folder.ts";
import { ChannelSums, type ImageClasses, imageClasses } from "./source.ts";

// Decoding pictures costs more than a small network's step on them. So each is decoded once, to bytes of the size that
// training wants, into one file that is then read by position: an epoch needs no memory for images, and a second run
// starts at once.

export interface PackOptions {
  /** How messages name the set. */
  name: string;
  classNames: readonly string[];
  form: ImageForm;
  /** Where the packed files are kept. */
  cacheFolder: string;
  /** What to do about files that are no pictures. Default `"refuse"`. */
  onBadImage?: "refuse" | "skip";
  /** Mean and deviation to use instead of the set's own: those of its training part. */
  normalization?: { mean: readonly number[]; deviation: readonly number[] };
  /** Called with the number of pictures decoded so far. */
  onProgress?: (decoded: number, total: number) => void;
  /** Gets one sentence for files that were left out. */
  log?: (line: string) => void;
  signal?: AbortSignal;
}

/** A change here makes every packed file of before another one. */
const version = 1;

interface Packed {
  /** Places in the list of the files that could be decoded. */
  kept: readonly number[];
  bad: readonly { path: string; reason: string }[];
  mean: readonly number[];
  deviation: readonly number[];
}

/**
 * Decodes picture files into one file of bytes, or finds it in the cache, where it is kept by the paths, sizes and times
 * of the files and the form. All files are looked at before anything is refused.
 *
 * @throws UserError naming up to ten files that cannot be decoded and the number of all, unless they are to be skipped;
 *   or a class that has no picture left
 */
export async function packImages(
  list: readonly ListedImage[],
  options: PackOptions,
): Promise<ImageClasses & { close: () => void }> {
  const { form, cacheFolder, name, classNames, onBadImage = "refuse", log } = options;
  const key = await keyOf(list, form);
  const pixelFile = join(cacheFolder, `${key}.pixels`);
  const indexFile = join(cacheFolder, `${key}.json`);
  const packed =
    (await readIndex(indexFile, pixelFile, form)) ?? (await pack(list, pixelFile, indexFile, options));
  if (packed.bad.length > 0) {
    if (onBadImage === "refuse")
      throw new UserError(
        `${name}: ${describeBad(packed.bad)}; remove them, or skip them with --on-bad-image skip`,
      );
    log?.(`${name}: ${describeBad(packed.bad)}; left out`);
  }
  const labels = Int32Array.from(packed.kept, (place) => list[place].class);
  const present = new Set(labels);
  const empty = classNames.findIndex(
    (_, number) => list.some((image) => image.class === number) && !present.has(number),
  );
  if (empty >= 0)
    throw new UserError(`${name}: class "${classNames[empty]}" has no picture that can be decoded`);
  const { channels, height, width } = form;
  const size = channels * height * width;
  const file = openSync(pixelFile, "r");
  const source = imageClasses(
    {
      name,
      classNames,
      labels,
      channels,
      height,
      width,
      maximum: 255,
      mean: options.normalization?.mean ?? packed.mean,
      deviation: options.normalization?.deviation ?? packed.deviation,
      fingerprint: key,
    },
    (index) => {
      const pixels = new Uint8Array(size);
      if (readSync(file, pixels, 0, size, index * size) !== size)
        throw new UserError(`${pixelFile} ended before image ${index}; delete it, and it is made again`);
      return pixels;
    },
  );
  return { ...source, close: () => closeSync(file) };
}

/** Of everything that decides the bytes: versions, form, and each file's path, size, time and class. */
async function keyOf(list: readonly ListedImage[], form: ImageForm): Promise<string> {
  const hash = createHash("sha256");
  hash.update(JSON.stringify({ version, form }));
  for (const { path, class: number } of list) {
    const { size, mtimeMs } = await stat(path).catch((error: NodeJS.ErrnoException) => {
      throw new UserError(
        error.code === "ENOENT" ? `there is no file ${path}` : `${path} cannot be read: ${error.message}`,
      );
    });
    hash.update(JSON.stringify([path, size, mtimeMs, number]));
  }
  return hash.digest("hex").slice(0, 32);
}

async function readIndex(indexFile: string, pixelFile: string, form: ImageForm): Promise<Packed | undefined> {
  try {
    const packed = JSON.parse(await readFile(indexFile, "utf8")) as Packed;
    const { size } = await stat(pixelFile);
    return size === packed.kept.length * form.channels * form.height * form.width ? packed : undefined;
  } catch {
    return undefined;
  }
}

/** Decodes with as many pictures under way as there are processors; what is written keeps the list's order. */
async function pack(
  list: readonly ListedImage[],
  pixelFile: string,
  indexFile: string,
  { form, cacheFolder, onProgress, signal }: PackOptions,
): Promise<Packed> {
  await mkdir(cacheFolder, { recursive: true });
  const beside = `${pixelFile}.${process.pid}.part`;
  const file = await open(beside, "w");
  const sums = new ChannelSums(form.channels);
  const kept: number[] = [];
  const bad: { path: string; reason: string }[] = [];
  try {
    const pending: Promise<Uint8Array | Error>[] = [];
    const start = (place: number) => {
      if (place < list.length)
        pending.push(decodeImage(list[place].path, form).then(({ data }) => data, asUnreadable));
    };
    const ahead = 2 * availableParallelism();
    for (let place = 0; place < ahead; place++) start(place);
    for (const [place, { path }] of list.entries()) {
      signal?.throwIfAborted();
      start(place + ahead);
      const result = await pending[place];
      delete pending[place];
      if (result instanceof Error) bad.push({ path, reason: result.message });
      else {
        await file.write(result, 0, result.length, kept.length * result.length);
        sums.add(result);
        kept.push(place);
      }
      onProgress?.(place + 1, list.length);
    }
    await file.close();
    await rename(beside, pixelFile);
  } finally {
    await file.close().catch(() => {});
    await rm(beside, { force: true });
  }
  const packed = { kept, bad, ...sums.normalization(255) };
  await replaceFile(indexFile, JSON.stringify(packed));
  return packed;
}

/** What is wrong with a file is a result; anything else, such as a decoder that does not load, ends the pass. */
function asUnreadable(error: Error): Error {
  const isOfFile = error instanceof UnreadableImage || "code" in error;
  if (!isOfFile) throw error;
  return error;
}

function describeBad(bad: Packed["bad"]): string {
  const shown = bad.slice(0, 10).map(({ path, reason }) => `${path} (${reason})`);
  const rest = bad.length > shown.length ? `, and ${bad.length - shown.length} more` : "";
  return `${bad.length} ${bad.length === 1 ? "file cannot" : "files cannot"} be decoded: ${shown.join(", ")}${rest}`;
}
