import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, utimes } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { UserError } from "../common/errors.ts";
import { replaceFile, whyUnreadable } from "../common/files.ts";
import { decodeImage, type ImageForm, UnreadableImage } from "./image-file.ts";
import { ChannelSums, channelSums, type ImageClasses } from "./source.ts";

// Decoding pictures costs more than a small network's step on them. So each is decoded once, to bytes of the size that
// training wants, into one file that is then read by position: an epoch needs no memory for images, and a second run
// starts at once.

export interface PackOptions {
  form: ImageForm;
  /** Where the packed files are kept. Those that nobody used for 30 days are removed. */
  cacheFolder: string;
  /** Called with the number of pictures decoded so far. */
  onProgress?: (decoded: number, total: number) => void;
  signal?: AbortSignal;
}

/** Pictures of one size in one file. */
export interface PackedImages {
  /** Tells one content from another: the form, and each file's path, size and time. */
  key: string;
  /** For each image its place in the list of files: all but the bad ones. */
  kept: readonly number[];
  bad: readonly BadImage[];
  /** The pixels of an image, [channels, height, width]. */
  read(index: number): Uint8Array<ArrayBuffer>;
  /** Mean and deviation over some of the images. */
  normalization(indices: Iterable<number>): Pick<ImageClasses, "mean" | "deviation">;
  /** Closes the file; it is opened again by the next read. */
  close(): void;
}

/** A file that is no picture, or cannot be read. */
export interface BadImage {
  path: string;
  reason: string;
}

/** What is kept beside the pixels. */
interface Index extends Pick<PackedImages, "kept" | "bad"> {
  /** {@link channelSums} of each image. */
  sums: readonly number[];
}

/** A change here makes every packed file of before another one. */
const version = 2;

/**
 * Decodes picture files into one file of bytes, or finds it in the cache, where it is kept by the paths, sizes and times
 * of the files and the form. All files are looked at, whatever is wrong with some.
 *
 * @throws UserError when the cache's disk has no room for the pixels
 */
export async function packImages(paths: readonly string[], options: PackOptions): Promise<PackedImages> {
  const { form, cacheFolder } = options;
  const { channels, height, width } = form;
  const files = await examined(paths);
  const key = keyOf(files, form);
  const pixelFile = join(cacheFolder, `${key}.pixels`);
  const indexFile = join(cacheFolder, `${key}.json`);
  const imageBytes = channels * height * width;
  const index =
    (await readIndex(indexFile, pixelFile, imageBytes)) ??
    (await pack(files, { pixelFile, indexFile, imageBytes }, options));
  const { read, close } = imagesOf(pixelFile, imageBytes);
  return {
    ...{ key, kept: index.kept, bad: index.bad, read, close },
    normalization: (indices) => {
      const sums = new ChannelSums(channels);
      for (const image of indices)
        sums.addSums(index.sums.slice(2 * channels * image, 2 * channels * (image + 1)), height * width);
      return sums.normalization(255);
    },
  };
}

/** The size in bytes of all packed files. */
export async function packedBytes(cacheFolder: string): Promise<number> {
  let bytes = 0;
  for (const file of await readdir(cacheFolder)) {
    const found = await stat(join(cacheFolder, file)).catch(() => undefined);
    bytes += found?.size ?? 0;
  }
  return bytes;
}

/** A file of the list: what tells whether it is still the same, or why it cannot be read. */
type Examined = { path: string } & ({ size: number; time: number } | { problem: string });

async function examined(paths: readonly string[]): Promise<Examined[]> {
  const files: Examined[] = [];
  const atOnce = 64;
  for (let start = 0; start < paths.length; start += atOnce)
    files.push(...(await Promise.all(paths.slice(start, start + atOnce).map(examine))));
  return files;
}

async function examine(path: string): Promise<Examined> {
  try {
    const found = await stat(path);
    // Reading a pipe or a device may never end.
    if (!found.isFile()) return { path, problem: found.isDirectory() ? "it is a folder" : "it is no file" };
    return { path, size: found.size, time: found.mtimeMs };
  } catch (error) {
    return { path, problem: whyUnreadable(error as NodeJS.ErrnoException) };
  }
}

/** Of everything that decides the bytes: version, form, and each file's path, size and time. */
function keyOf(files: readonly Examined[], form: ImageForm): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify({ version, form }));
  for (const file of files) {
    const state = "problem" in file ? [file.problem] : [file.size, file.time];
    hash.update(JSON.stringify([resolve(file.path), ...state]));
  }
  return hash.digest("hex").slice(0, 32);
}

async function readIndex(
  indexFile: string,
  pixelFile: string,
  imageBytes: number,
): Promise<Index | undefined> {
  try {
    const index = JSON.parse(await readFile(indexFile, "utf8")) as Index;
    const { size } = await stat(pixelFile);
    if (size !== index.kept.length * imageBytes) return undefined;
    // The time of its last use: what is not used is removed one day.
    const now = new Date();
    await utimes(pixelFile, now, now).catch(() => {});
    return index;
  } catch {
    return undefined;
  }
}

/** Images that lie one after the other in a file. */
function imagesOf(path: string, bytes: number): Pick<PackedImages, "read" | "close"> {
  let file: number | undefined;
  return {
    read: (index) => {
      file ??= openSync(path, "r");
      const pixels = new Uint8Array(bytes);
      if (readSync(file, pixels, 0, bytes, index * bytes) !== bytes)
        throw new UserError(`${path} ended before image ${index}; delete it, and it is made again`);
      return pixels;
    },
    close: () => {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}

/** Decodes with several pictures under way on every processor; what is written keeps the list's order. */
async function pack(
  files: readonly Examined[],
  { pixelFile, indexFile, imageBytes }: { pixelFile: string; indexFile: string; imageBytes: number },
  { form, cacheFolder, onProgress, signal }: PackOptions,
): Promise<Index> {
  await mkdir(cacheFolder, { recursive: true });
  await removeOld(cacheFolder);
  await requireRoom(cacheFolder, files.length * imageBytes);
  const beside = `${pixelFile}.${process.pid}.part`;
  const file = await open(beside, "w");
  const [kept, sums, bad]: [number[], number[], BadImage[]] = [[], [], []];
  // Bad luck, such as a disk that is away for a moment, is not kept for the next time.
  let isLasting = true;
  try {
    const pending: Promise<Uint8Array | BadImage | NodeJS.ErrnoException>[] = [];
    const start = (examined: Examined | undefined) => {
      if (!examined) return;
      const decoding = decoded(examined, form);
      // It is awaited in its turn, which may never come.
      decoding.catch(() => {});
      pending.push(decoding);
    };
    const ahead = 2 * availableParallelism();
    for (const first of files.slice(0, ahead)) start(first);
    for (const [place, { path }] of files.entries()) {
      signal?.throwIfAborted();
      start(files[place + ahead]);
      const result = await pending.shift();
      if (result instanceof Uint8Array) {
        await file.write(result, 0, result.length, kept.length * result.length);
        sums.push(...channelSums(result, form.channels));
        kept.push(place);
      } else if (result instanceof Error) {
        isLasting = false;
        bad.push({ path, reason: whyUnreadable(result) });
      } else if (result) bad.push(result);
      onProgress?.(place + 1, files.length);
    }
    await file.close();
    await rename(beside, pixelFile);
  } finally {
    await file.close().catch(() => {});
    await rm(beside, { force: true });
  }
  const index: Index = { kept, bad, sums };
  if (isLasting) await replaceFile(indexFile, JSON.stringify(index));
  return index;
}

/**
 * What is wrong with a file is a result, of the file itself or of the system that reads it; anything else, such as a
 * decoder that does not load, ends the pass.
 */
async function decoded(
  file: Examined,
  form: ImageForm,
): Promise<Uint8Array | BadImage | NodeJS.ErrnoException> {
  const { path } = file;
  if ("problem" in file) return { path, reason: file.problem };
  try {
    return (await decodeImage(path, form)).data;
  } catch (error) {
    if (error instanceof UnreadableImage) return { path, reason: error.message };
    if (isSystemError(error)) return error;
    throw error;
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error;
}

/** @throws UserError when a folder's disk has less room */
async function requireRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= bytes) return;
  const gigabytes = (size: number) => `${(size / 1e9).toFixed(1)} GB`;
  throw new UserError(
    `decoded pictures need ${gigabytes(bytes)}, and ${folder} has ${gigabytes(bavail * bsize)} left; choose smaller pictures (--image-size), or another folder for caches in the variable LOWLAND_HOME`,
  );
}

const hour = 3_600_000;

/** Removes packed files that nobody used for 30 days, and what processes left that were killed. */
async function removeOld(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    const age = found ? Date.now() - found.mtimeMs : 0;
    if (name.endsWith(".part") && age > hour) await rm(path, { force: true });
    if (!name.endsWith(".pixels") || age < 30 * 24 * hour) continue;
    await rm(path, { force: true });
    await rm(path.replace(/\.pixels$/, ".json"), { force: true });
  }
}
