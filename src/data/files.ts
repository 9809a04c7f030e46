/** The files of a data set on disk: reading a folder of them, checking them, and keeping them in the cache. */
import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import envPaths from "env-paths";
import { replaceFile } from "../common/files.ts";

/** The files that make up a data set: the name of each without `.gz`, and the SHA-256 of its decompressed content. */
export type Checksums = Readonly<Record<string, string>>;

/** The decompressed content of each file, by the names of the checksums. */
export type Contents = Map<string, Uint8Array>;

/** A file is there, but it is not the wanted one. `file` is its path or address. */
export class DamagedFile extends Error {
  readonly file: string;

  constructor(file: string, problem: string) {
    super(`${file} ${problem}`);
    this.file = file;
  }
}

/** Where downloads are kept: the folder that LOWLAND_HOME names, else the platform's folder for caches. */
export function cacheDirectory(): string {
  return process.env.LOWLAND_HOME || envPaths("lowland", { suffix: "" }).cache;
}

/**
 * Reads and checks all files of a data set in one folder, each as it is or, if that is not there, with `.gz` behind.
 *
 * @throws Error when a file is not there
 * @throws DamagedFile when one is truncated or has another checksum
 */
export async function readFolder(
  folder: string,
  checksums: Checksums,
  signal?: AbortSignal,
): Promise<Contents> {
  const contents: Contents = new Map();
  for (const [name, checksum] of Object.entries(checksums)) {
    const path = join(folder, name);
    const plain = await readIfThere(path, signal);
    const stored = plain ?? (await readIfThere(`${path}.gz`, signal));
    if (!stored) throw new Error(`${name}(.gz) is not there`);
    contents.set(name, await unpack(plain ? path : `${path}.gz`, stored, checksum));
  }
  return contents;
}

/** No data set here is near this size; a file that unpacks to more is not one of ours. */
export const largestFile = 2 ** 28;

/**
 * The content of a file that may be gzipped (its first bytes show it), checked.
 *
 * @throws DamagedFile when it is truncated or its content has another checksum
 */
export async function unpack(file: string, stored: Uint8Array, checksum: string): Promise<Uint8Array> {
  let content = stored;
  if (stored[0] === 0x1f && stored[1] === 0x8b) {
    try {
      content = await promisify(gunzip)(stored, { maxOutputLength: largestFile });
    } catch (error) {
      throw new DamagedFile(file, `(${stored.length} bytes) cannot be unpacked: ${(error as Error).message}`);
    }
  }
  const got = createHash("sha256").update(content).digest("hex");
  if (got !== checksum) {
    throw new DamagedFile(
      file,
      `has ${content.length} bytes of content with SHA-256 ${got}, wanted ${checksum}`,
    );
  }
  return content;
}

/** Writes files into a folder, none of them ever half there. */
export async function writeFolder(folder: string, contents: Contents): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of contents) await replaceFile(join(folder, name), content);
}

async function readIfThere(path: string, signal?: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path, { signal });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
