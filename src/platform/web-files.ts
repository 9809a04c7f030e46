import { UserError } from "../common/errors.ts";
import { FileError } from "../common/file-errors.ts";
import { basename } from "./paths.ts";
import type { RunFiles } from "./platform.ts";

// The files that a browser keeps for a page's origin (the origin private file system), in a folder of Lowland's own. They
// outlive the page; the browser removes them with the site's data.

const ownFolder = "lowland";

export const runFiles: RunFiles = {
  async exists(path) {
    return (await find(path)) !== undefined;
  },
  read,
  async replace(path, content) {
    await attempt(path, "written", async () => {
      const folder = await openFolder(partsOf(path).slice(0, -1));
      const file = await folder.getFileHandle(basename(path), { create: true });
      // What is written goes to another file, which takes the place of this one when it is closed.
      const writable = await file.createWritable();
      await writable.write(content as Uint8Array<ArrayBuffer> | string);
      await writable.close();
    });
  },
  async append(path, text) {
    await attempt(path, "written", async () => {
      const folder = await openFolder(partsOf(path).slice(0, -1));
      const file = await folder.getFileHandle(basename(path), { create: true });
      const writable = await file.createWritable({ keepExistingData: true });
      await writable.write({ type: "write", position: (await file.getFile()).size, data: text });
      await writable.close();
    });
  },
  async remove(path) {
    const parts = partsOf(path);
    const folder = await find(parts.slice(0, -1).join("/"));
    if (folder?.kind !== "directory") return;
    await folder.removeEntry(parts.at(-1) ?? "", { recursive: true }).catch((error) => {
      if (!isMissing(error)) throw error;
    });
  },
  async list(path) {
    const folder = await find(path);
    if (folder?.kind !== "directory") return [];
    const names: string[] = [];
    for await (const name of folder.keys()) names.push(name);
    return names.sort();
  },
  async makeFolder(path) {
    await attempt(path, "made", () => openFolder(partsOf(path)));
  },
  async makeOutputFolder(path) {
    await runFiles.makeFolder(path);
  },
};

async function read(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const found = await find(path);
  if (found?.kind !== "file")
    throw new FileError(`${path} could not be read: it is not in the browser's storage`, "ENOENT", undefined);
  return attempt(path, "read", async () => new Uint8Array(await (await found.getFile()).arrayBuffer()));
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** @throws UserError where the page has no storage */
async function root(): Promise<FileSystemDirectoryHandle> {
  if (!navigator.storage?.getDirectory)
    throw new UserError(
      "this page cannot keep runs: the browser gives files to pages from https or localhost only; leave out `out`, or serve the page so",
    );
  return navigator.storage.getDirectory();
}

async function openFolder(parts: readonly string[]): Promise<FileSystemDirectoryHandle> {
  let folder = await root();
  for (const part of [ownFolder, ...parts]) folder = await folder.getDirectoryHandle(part, { create: true });
  return folder;
}

/** A file or folder; nothing where there is none. */
async function find(path: string): Promise<FileSystemDirectoryHandle | FileSystemFileHandle | undefined> {
  let folder = await root();
  const parts = [ownFolder, ...partsOf(path)];
  try {
    for (const part of parts.slice(0, -1)) folder = await folder.getDirectoryHandle(part);
    const last = parts[parts.length - 1];
    return await folder.getDirectoryHandle(last).catch((error) => {
      if (error instanceof DOMException && error.name === "TypeMismatchError")
        return folder.getFileHandle(last);
      throw error;
    });
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof DOMException && ["NotFoundError", "TypeMismatchError"].includes(error.name);
}

const reasons: Readonly<Partial<Record<string, readonly [reason: string, advice: string]>>> = {
  QuotaExceededError: [
    "the browser's storage for this site is full",
    "remove other runs of it, or make space on the disk",
  ],
  TypeMismatchError: ["a part of the path is a file, or the file a folder", "name another place"],
  NoModificationAllowedError: ["another tab writes it", "close that tab, or name another folder"],
};

/** Does something with a file; what fails is said in one sentence. */
async function attempt<T>(path: string, done: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    const [reason, advice] = reasons[error.name] ?? [
      error.message,
      "check the browser's settings for this site",
    ];
    throw new FileError(`${path} could not be ${done}: ${reason}; ${advice}`, error.name, error);
  }
}
