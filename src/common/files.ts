import { rename, rm, writeFile } from "node:fs/promises";
import { fileError } from "./file-errors.ts";

/** Writes a file beside its place and renames it, so that a reader sees the old one or the new one, never a half. */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const beside = `${path}.${process.pid}.part`;
  try {
    await writeFile(beside, content);
    await rename(beside, path);
  } catch (error) {
    throw fileError(error, `${path} could not be written`);
  } finally {
    // What cannot be removed either changes nothing about the reason above.
    await rm(beside, { force: true }).catch(() => {});
  }
}
