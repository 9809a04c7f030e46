import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, utimes } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { UserError } from "../common/errors.ts";
import { whyUnreadable } from "../common/file-errors.ts";
import { replaceFile } from "../common/files.ts";
import type { BadFile } from "./bad-files.ts";
import { type ImageForm, UnreadableImage } from "./image-form.ts";

// Decoding pictures costs more than a small network's step on them. So each is decoded once, to bytes of the size that
// training wants, into one file that is then read by position: an epoch needs no memory for images, and a second run
// starts at once.

export interface CacheOptions {
  /** Where the packed files are kept. Those that nobody used for 30 days are removed. */
  cacheFolder: string;
  /** Called with the number of groups of files decoded so far. */
  onProgress?: (decoded: number, total: number) => void;
  signal?: AbortSignal;
}

export interface PackOptions extends CacheOptions {
  form: ImageForm;
}

/** What becomes of files: records of bytes for each group of them. */
export interface Packing<Facts> extends CacheOptions {
  /** Everything beside the files that the bytes depend on. */
  form: unknown;
  /** Bytes of all records, at most. */
  bytes: number;
  /**
   * Decodes a group.
   * @param place of the group in the list
   * @throws UnreadableImage for files that are none of what they should be
   */
  decode(paths: readonly string[], place: number): Promise<readonly PackedRecord<Facts>[]>;
}

export interface PackedRecord<Facts> {
  bytes: Uint8Array;
  /** What is kept of the record beside its bytes, as JSON. */
  facts: Facts;
}

/** Records in one file, in the order of the groups. */
export interface PackedFiles<Facts> {
  /** Tells one content from another: the form, and each file's path, size and time. */
  key: string;
  /** For each record the place of its group in the list. */
  kept: readonly number[];
  bad: readonly BadFile[];
  /** Of each record. */
  facts: readonly Facts[];
  /** Bytes of each record. */
  lengths: readonly number[];
  /** The bytes of a record. */
  read(index: number): Uint8Array<ArrayBuffer>;
  /** Closes the file; it is opened again by the next read. */
  close(): void;
}

/** What is kept beside the bytes. */
type Index<Facts> = Pick<PackedFiles<Facts>, "kept" | "bad" | "facts" | "lengths">;

/** A change here makes every packed file of before another one. */
const version = 3;

/**
 * Decodes groups of files into one file of bytes, or finds it in the cache, where it is kept by the paths, sizes and times
 * of the files and the form. All files are looked at, whatever is wrong with some.
 *
 * @throws UserError when the cache's disk has no room for the bytes
 */
export async function packFiles<Facts>(
  groups: readonly (readonly string[])[],
  packing: Packing<Facts>,
): Promise<PackedFiles<Facts>> {
  const { form, cacheFolder } = packing;
  const files = await examined(groups);
  const key = keyOf(files, form);
  const pixelFile = join(cacheFolder, `${key}.pixels`);
  const indexFile = join(cacheFolder, `${key}.json`);
  const index =
    (await readIndex<Facts>(indexFile, pixelFile)) ?? (await pack(files, { pixelFile, indexFile }, packing));
  const { kept, bad, facts, lengths } = index;
  return { ...{ key, kept, bad, facts, lengths }, ...recordsOf(pixelFile, lengths) };
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
type Group = readonly Examined[];

async function examined(groups: readonly (readonly string[])[]): Promise<Group[]> {
  const files: Group[] = [];
  const atOnce = 64;
  for (let start = 0; start < groups.length; start += atOnce) {
    const some = groups.slice(start, start + atOnce);
    files.push(...(await Promise.all(some.map((paths) => Promise.all(paths.map(examine))))));
  }
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
function keyOf(groups: readonly Group[], form: unknown): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify({ version, form }));
  for (const file of groups.flat()) {
    const state = "problem" in file ? [file.problem] : [file.size, file.time];
    hash.update(JSON.stringify([resolve(file.path), ...state]));
  }
  return hash.digest("hex").slice(0, 32);
}

async function readIndex<Facts>(indexFile: string, pixelFile: string): Promise<Index<Facts> | undefined> {
  try {
    const index = JSON.parse(await readFile(indexFile, "utf8")) as Index<Facts>;
    const { size } = await stat(pixelFile);
    if (size !== sumOf(index.lengths)) return undefined;
    // The time of its last use: what is not used is removed one day.
    const now = new Date();
    await utimes(pixelFile, now, now).catch(() => {});
    return index;
  } catch {
    return undefined;
  }
}

function sumOf(lengths: readonly number[]): number {
  return lengths.reduce((sum, length) => sum + length, 0);
}

/** Records that lie one after the other in a file. */
function recordsOf(path: string, lengths: readonly number[]): Pick<PackedFiles<unknown>, "read" | "close"> {
  let file: number | undefined;
  const starts = new Float64Array(lengths.length + 1);
  for (const [index, length] of lengths.entries()) starts[index + 1] = starts[index] + length;
  return {
    read: (index) => {
      file ??= openSync(path, "r");
      const pixels = new Uint8Array(lengths[index]);
      if (readSync(file, pixels, 0, pixels.length, starts[index]) !== pixels.length)
        throw new UserError(`${path} ended before image ${index}; delete it, and it is made again`);
      return pixels;
    },
    close: () => {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}

/** Decodes with several groups under way on every processor; what is written keeps the list's order. */
async function pack<Facts>(
  groups: readonly Group[],
  { pixelFile, indexFile }: { pixelFile: string; indexFile: string },
  { decode, bytes, cacheFolder, onProgress, signal }: Packing<Facts>,
): Promise<Index<Facts>> {
  await mkdir(cacheFolder, { recursive: true });
  await removeOld(cacheFolder);
  await requireRoom(cacheFolder, bytes);
  const beside = `${pixelFile}.${process.pid}.part`;
  const file = await open(beside, "w");
  const [kept, facts, lengths, bad]: [number[], Facts[], number[], BadFile[]] = [[], [], [], []];
  let end = 0;
  // Bad luck, such as a disk that is away for a moment, is not kept for the next time.
  let isLasting = true;
  try {
    const pending: ReturnType<typeof decoded<Facts>>[] = [];
    const start = (place: number) => {
      if (place >= groups.length) return;
      const decoding = decoded(groups[place], (paths) => decode(paths, place));
      // It is awaited in its turn, which may never come.
      decoding.catch(() => {});
      pending.push(decoding);
    };
    const ahead = 2 * availableParallelism();
    for (let place = 0; place < ahead; place++) start(place);
    for (const place of groups.keys()) {
      signal?.throwIfAborted();
      start(place + ahead);
      const result = await pending.shift();
      if (result && "records" in result) {
        for (const record of result.records) {
          const { length } = record.bytes;
          await file.write(record.bytes, 0, length, end);
          end += length;
          facts.push(record.facts);
          lengths.push(length);
          kept.push(place);
        }
      } else if (result) {
        const { isLasting: stays, ...own } = result;
        isLasting &&= stays;
        bad.push(own);
      }
      onProgress?.(place + 1, groups.length);
    }
    await file.close();
    await rename(beside, pixelFile);
  } finally {
    await file.close().catch(() => {});
    await rm(beside, { force: true });
  }
  const index: Index<Facts> = { kept, bad, facts, lengths };
  if (isLasting) await replaceFile(indexFile, JSON.stringify(index));
  return index;
}

/**
 * What is wrong with a file is a result, of the file itself or of the system that reads it; anything else, such as a
 * decoder that does not load, ends the pass.
 */
async function decoded<Facts>(
  group: Group,
  decode: (paths: readonly string[]) => Promise<readonly PackedRecord<Facts>[]>,
): Promise<{ records: readonly PackedRecord<Facts>[] } | (BadFile & { isLasting: boolean })> {
  for (const file of group)
    if ("problem" in file) return { path: file.path, reason: file.problem, isLasting: true };
  const paths = group.map(({ path }) => path);
  try {
    return { records: await decode(paths) };
  } catch (error) {
    const path = (error as { path?: string }).path ?? paths[0];
    if (error instanceof UnreadableImage) return { path, reason: error.message, isLasting: true };
    if (isSystemError(error)) return { path, reason: whyUnreadable(error), isLasting: false };
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
