import { appendFileSync, closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { UserError } from "../common/errors.ts";
import { fileError, isWrongPlace, systemReason } from "../common/file-errors.ts";
import { replaceFile } from "../common/files.ts";
import type { Platform, RunFiles } from "./platform.ts";

export const runFiles: RunFiles = {
  exists: (path) =>
    stat(path).then(
      () => true,
      () => false,
    ),
  read: (path) => readFile(path),
  replace: replaceFile,
  async append(path, text) {
    try {
      appendFileSync(path, text);
    } catch (error) {
      throw fileError(error, `${path} could not be written`);
    }
  },
  remove: (path) => rm(path, { recursive: true, force: true }),
  list: (folder) => readdir(folder).catch(() => []),
  async makeFolder(path) {
    await mkdir(path, { recursive: true });
  },
  async makeOutputFolder(path) {
    try {
      await makeFolders(path);
      const probe = join(path, `.${process.pid}.part`);
      await writeFile(probe, "").finally(() => rm(probe, { force: true }));
    } catch (error) {
      const system = error as NodeJS.ErrnoException;
      if (!isWrongPlace(system)) throw fileError(error, `the output folder ${path} could not be written to`);
      throw new UserError(
        `the output folder ${path} cannot be written to (${system.code}: ${systemReason(system)}); name another with --out`,
      );
    }
  },
};

/** Like mkdir with `recursive`, which in Node 20 never returns for a path below a folder like /proc. */
async function makeFolders(path: string): Promise<void> {
  const make = () =>
    mkdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  await make().catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT" || dirname(path) === path) throw error;
    await makeFolders(dirname(path));
    await make();
  });
}

export const fileRows: Platform["fileRows"] = (folder = tmpdir(), name, length) => {
  const path = join(folder, name);
  const file = openSync(path, "w+");
  const bytes = 4 * length;
  return {
    write: (index, row) => {
      writeSync(file, row, 0, bytes, index * bytes);
    },
    read: (index) => {
      const row = new Float32Array(length);
      readSync(file, row, 0, bytes, index * bytes);
      return row;
    },
    close: () => {
      closeSync(file);
      rmSync(path, { force: true });
    },
  };
};
