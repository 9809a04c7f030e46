import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, utimes } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { UserError } from "../common/errors.ts";
import { replaceFile, whyUnreadable } from "../common/files.ts";
import { type ImageForm, UnreadableImage } from "./image-file.ts";

// Decoding pictures costs more than a small network's step on them. So each is decoded once, to bytes of the size that
// training wants, into one file that is then read by position: an epoch needs no memory for images, and a second run
// starts at once.

export interface PackOptions {
  form: ImageForm;
  /** Where the packed files are kept. Those that nobody used for 30 days are removed. */
  cacheFolder: string;
  /** Called with the number of records decoded so far. */
  onProgress?: (decoded: number, total: number) => void;
  signal?: AbortSignal;
}

/** What becomes of files: one record of bytes for each group of them. */
export interface Packing<Facts> extends Omit<PackOptions, "form"> {
  /** Everything beside the files that the bytes depend on. */
  form: unknown;
  /** Bytes of a record. */
  recordBytes: number;
  /**
   * Decodes a group.
   * @throws UnreadableImage for files that are none of what they should be
   */
  decode(paths: readonly string[]): Promise<PackedRecord<Facts>>;
}

export interface PackedRecord<Facts> {
  bytes: Uint8Array;
  /** What is kept of the record beside its bytes, as JSON. */
  facts: Facts;
}

/** Records of one size in one file. */
export interface PackedFiles<Facts> {
  /** Tells one content from another: the form, and each file's path, size and time. */
  key: string;
  /** For each record its place in the list of groups: all but the bad ones. */
  kept: readonly number[];
  bad: readonly BadFile[];
  /** Of each record. */
  facts: readonly Facts[];
  /** The bytes of a record. */
  read(index: number): Uint8Array<ArrayBuffer>;
  /** Closes the file; it is opened again by the next read. */
  close(): void;
}

/** A file that is not what it should be, or cannot be read. */
export interface BadFile {
  path: string;
  reason: string;
}

/** What is kept beside the bytes. */
type Index<Facts> = Pick<PackedFiles<Facts>, "kept" | "bad" | "facts">;

/** A change here makes every packed file of before another one. */
const version = 2;

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
  const { form, cacheFolder, recordBytes } = packing;
  const files = await examined(groups);
  const key = keyOf(files, form);
  const pixelFile = join(cacheFolder, `${key}.pixels`);
  const indexFile = join(cacheFolder, `${key}.json`);
  const index =
    (await readIndex<Facts>(indexFile, pixelFile, recordBytes)) ??
    (await pack(files, { pixelFile, indexFile }, packing));
  const { kept, bad, facts } = index;
  return { ...{ key, kept, bad, facts }, ...recordsOf(pixelFile, recordBytes) };
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

async function readIndex<Facts>(
  indexFile: string,
  pixelFile: string,
  recordBytes: number,
): Promise<Index<Facts> | undefined> {
  try {
    const index = JSON.parse(await readFile(indexFile, "utf8")) as Index<Facts>;
    const { size } = await stat(pixelFile);
    const { length } = index.kept;
    // An earlier version kept other facts.
    if (size !== length * recordBytes || index.facts?.length !== length) return undefined;
    // The time of its last use: what is not used is removed one day.
    const now = new Date();
    await utimes(pixelFile, now, now).catch(() => {});
    return index;
  } catch {
    return undefined;
  }
}

/** Records that lie one after the other in a file. */
function recordsOf(path: string, bytes: number): Pick<PackedFiles<unknown>, "read" | "close"> {
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

/** Decodes with several groups under way on every processor; what is written keeps the list's order. */
async function pack<Facts>(
  groups: readonly Group[],
  { pixelFile, indexFile }: { pixelFile: string; indexFile: string },
  { decode, recordBytes, cacheFolder, onProgress, signal }: Packing<Facts>,
): Promise<Index<Facts>> {
  await mkdir(cacheFolder, { recursive: true });
  await removeOld(cacheFolder);
  await requireRoom(cacheFolder, groups.length * recordBytes);
  const beside = `${pixelFile}.${process.pid}.part`;
  const file = await open(beside, "w");
  const [kept, facts, bad]: [number[], Facts[], BadFile[]] = [[], [], []];
  // Bad luck, such as a disk that is away for a moment, is not kept for the next time.
  let isLasting = true;
  try {
    const pending: ReturnType<typeof decoded<Facts>>[] = [];
    const start = (group: Group | undefined) => {
      if (!group) return;
      const decoding = decoded(group, decode);
      // It is awaited in its turn, which may never come.
      decoding.catch(() => {});
      pending.push(decoding);
    };
    const ahead = 2 * availableParallelism();
    for (const first of groups.slice(0, ahead)) start(first);
    for (const place of groups.keys()) {
      signal?.throwIfAborted();
      start(groups[place + ahead]);
      const result = await pending.shift();
      if (result && "bytes" in result) {
        await file.write(result.bytes, 0, recordBytes, kept.length * recordBytes);
        facts.push(result.facts);
        kept.push(place);
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
  const index: Index<Facts> = { kept, bad, facts };
  if (isLasting) await replaceFile(indexFile, JSON.stringify(index));
  return index;
}

/**
 * What is wrong with a file is a result, of the file itself or of the system that reads it; anything else, such as a
 * decoder that does not load, ends the pass.
 */
async function decoded<Facts>(
  group: Group,
  decode: Packing<Facts>["decode"],
): Promise<PackedRecord<Facts> | (BadFile & { isLasting: boolean })> {
  for (const file of group)
    if ("problem" in file) return { path: file.path, reason: file.problem, isLasting: true };
  const paths = group.map(({ path }) => path);
  try {
    return await decode(paths);
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
