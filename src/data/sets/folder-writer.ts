import { readdir } from "node:fs/promises";
import { UserError } from "../../common/errors.ts";
import { fileError } from "../../common/file-errors.ts";

export interface WriteFolderOptions {
  /** Called after each picture: how many so far, of how many. */
  onProgress?: (pictures: number, total: number) => void;
  signal?: AbortSignal;
}

/**
 * Lets `write` write into a new or empty folder.
 * @param total pictures
 * @param write calls its argument after each picture
 * @throws UserError for a folder that is not empty or cannot be written
 */
export async function writeNewFolder(
  folder: string,
  total: number,
  { onProgress, signal }: WriteFolderOptions,
  write: (onWritten: () => void) => Promise<void>,
): Promise<void> {
  const there = await readdir(folder).catch(() => []);
  if (there.length > 0) throw new UserError(`${folder} is not empty; name another folder`);
  let written = 0;
  try {
    await write(() => {
      signal?.throwIfAborted();
      onProgress?.(++written, total);
    });
  } catch (error) {
    throw fileError(error, `${folder} could not be written`);
  }
}
