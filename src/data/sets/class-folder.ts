import type { Dirent } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../common/errors.ts";
import { whyUnreadable } from "../../common/file-errors.ts";
import { byCodePoint, type ImageList, isPicture, listClassTree, type SplitOptions } from "./class-parts.ts";

// Folders of pictures on disk.

/**
 * Lists a folder of pictures: one folder per class, or `train`, `val` and `test` folders that hold one folder per class.
 * Without a test folder, `val` is the test set; without either, a share of each class is drawn by the seed. Classes are
 * sorted by code point and numbered from 0, as Python's tools do. Folders inside a class belong to it, and links are
 * followed. Hidden files, macOS's `._*` and files without a picture's extension are passed over.
 *
 * @throws UserError naming the folder: no classes, a class without pictures, a class that training does not have,
 *   classes that differ by case only, a folder that cannot be read, links in a circle
 */
export function listClassFolder(folder: string, options: SplitOptions = {}): Promise<ImageList> {
  return listClassTree({ folders: foldersOf, pictures: picturesBelow }, folder, options);
}

async function foldersOf(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await listing(folder))
    if (!entry.name.startsWith(".") && (await isFolder(entry, folder))) names.push(entry.name);
  return names;
}

async function picturesBelow(folder: string): Promise<string[]> {
  const files: string[] = [];
  await collect(folder, [], files);
  return files.sort(byCodePoint);
}

/** @param above the folders that this one is in, as they are without links */
async function collect(folder: string, above: readonly string[], files: string[]): Promise<void> {
  const entries = await listing(folder);
  const real = await realpath(folder);
  if (above.includes(real))
    throw new UserError(`${folder} leads back to a folder that it is in, through a link; remove the link`);
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const path = join(folder, entry.name);
    if (await isFolder(entry, folder)) await collect(path, [...above, real], files);
    else if (isPicture(entry.name)) files.push(path);
  }
}

/** Whether an entry is a folder or a link to one. A picture that is a broken link is a file: one that cannot be read. */
async function isFolder(entry: Dirent, folder: string): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  const path = join(folder, entry.name);
  const found = await stat(path).catch(() => undefined);
  if (found || isPicture(entry.name)) return found?.isDirectory() ?? false;
  throw new UserError(`${path} is a link that leads nowhere; remove it`);
}

async function listing(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new UserError(
      code === "ENOENT"
        ? `there is no folder ${folder}`
        : code === "ENOTDIR"
          ? `${folder} is a file; a folder of pictures was expected`
          : `the folder ${folder} cannot be read: ${whyUnreadable(error as NodeJS.ErrnoException)}`,
    );
  }
}
