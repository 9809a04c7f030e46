import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, chmod, mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { type Checksums, type Contents, readFolder } from "./files.ts";
import type { LoadOptions } from "./sources.ts";

/** A package of a Debian-like distribution that carries the files of a data set. */
export interface DebianPackage {
  package: string;
  /** The folder that its files are in, as the package installs them, e.g. "/usr/share/datasets/fashion-mnist". */
  folder: string;
  /** The programs that fetch and unpack, names on the path or absolute paths. */
  aptGet: string;
  dpkgDeb: string;
  /** Milliseconds for each call of a program. */
  timeout: number;
}

/**
 * Fetches the package into a temporary folder, unpacks it there and reads its files. Nothing is installed, and no
 * rights are needed. Where the system has no list of packages (fresh containers), one is fetched into the temporary
 * folder too.
 *
 * @throws Error with the reason: a program that is not there or fails, a timeout
 * @throws DamagedFile when the package holds other files than those wanted
 */
export async function readDebianPackage(
  wanted: DebianPackage,
  checksums: Checksums,
  { signal, onProgress }: Pick<LoadOptions, "signal" | "onProgress">,
): Promise<Contents> {
  for (const program of [wanted.aptGet, wanted.dpkgDeb]) {
    if (!(await isOnPath(program))) throw new Error(`${program} is not on this machine`);
  }
  const folder = await mkdtemp(join(tmpdir(), "lowland-"));
  const progress = setInterval(() => void reportSize(folder, onProgress), 200);
  const call = (program: string, ...args: string[]) => run(program, args, folder, wanted.timeout, signal);
  try {
    await chmod(folder, 0o755); // apt's download helper may run as another user.
    const options = ["-q", "-o", "Acquire::http::Timeout=30", "-o", "Acquire::https::Timeout=30"];
    try {
      await call(wanted.aptGet, ...options, "download", wanted.package);
    } catch (error) {
      if (!/Unable to locate package|No candidate/i.test((error as Error).message)) throw error;
      await mkdir(join(folder, "lists", "partial"), { recursive: true });
      await mkdir(join(folder, "cache", "archives", "partial"), { recursive: true });
      options.push("-o", `Dir::State::lists=${folder}/lists`, "-o", `Dir::Cache=${folder}/cache`);
      await call(wanted.aptGet, ...options, "update");
      await call(wanted.aptGet, ...options, "download", wanted.package);
    }
    const archive = (await packageFiles(folder))[0];
    if (!archive) throw new Error(`${wanted.aptGet} brought no package file`);
    await call(wanted.dpkgDeb, "-x", archive, "unpacked");
    return await readFolder(join(folder, "unpacked", wanted.folder), checksums, signal);
  } finally {
    clearInterval(progress);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a program in a folder to its end. Rejects with its last error line when it fails, and at once when aborted. */
function run(
  program: string,
  args: string[],
  cwd: string,
  timeout: number,
  signal?: AbortSignal,
): Promise<void> {
  return new Promise((fulfil, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, LC_ALL: "C", DEBIAN_FRONTEND: "noninteractive" },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    const stop = (reason: unknown) => {
      child.kill();
      child.stderr.destroy();
      settle(() => reject(reason));
    };
    const onAbort = () => stop(signal?.reason);
    const timer = setTimeout(
      () => stop(new Error(`${program} took longer than ${timeout / 1000} s`)),
      timeout,
    );
    const settle = (how: () => void) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      how();
    };
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
    child.on("error", (error) => settle(() => reject(error)));
    child.on("close", (code, killedBy) => {
      if (code === 0) return settle(fulfil);
      const lines = errors.split("\n").filter((line) => line.trim() !== "");
      const reason = lines.findLast((line) => line.startsWith("E:")) ?? lines.at(-1) ?? "it gave no reason";
      settle(() => reject(new Error(`${program} failed (${killedBy ?? `code ${code}`}): ${reason}`)));
    });
  });
}

async function isOnPath(program: string): Promise<boolean> {
  const folders = (process.env.PATH ?? "").split(delimiter);
  const found = folders.map((folder) => access(resolve(folder, program), constants.X_OK));
  return (await Promise.allSettled(found)).some(({ status }) => status === "fulfilled");
}

async function packageFiles(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith(".deb"));
}

/** How much of the package is there; its full size is not known. Only for display, so failures do not count. */
async function reportSize(folder: string, onProgress: LoadOptions["onProgress"]) {
  try {
    for (const name of await packageFiles(folder))
      onProgress?.((await stat(join(folder, name))).size, undefined);
  } catch {
    // The folder is being removed.
  }
}
