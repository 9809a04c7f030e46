import { rename, rm, writeFile } from "node:fs/promises";

/** Writes a file beside its place and renames it, so that a reader sees the old one or the new one, never a half. */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const beside = `${path}.${process.pid}.part`;
  try {
    await writeFile(beside, content);
    await rename(beside, path);
  } finally {
    await rm(beside, { force: true });
  }
}
