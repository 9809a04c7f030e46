import { loadSamples } from "../data/catalogue.ts";
import type { PictureOptions } from "../data/data-options.ts";
import { firstTask, taskNamed } from "../tasks/index.ts";
import type { DataPair } from "../tasks/task.ts";
import { duration, say } from "./progress.ts";

/** Loads data as a task reads them, and reports on the terminal what takes time and what was not found. */
export async function loadWithProgress(
  name: string,
  {
    task = firstTask,
    dataDir,
    images,
    signal,
  }: { task?: string; dataDir?: string; images?: PictureOptions; signal?: AbortSignal } = {},
): Promise<DataPair & { close?(): void }> {
  let told = performance.now();
  let decodingSince: number | undefined;
  // That the cache is empty, which is reported first, is no news where the user's own folder then turns out damaged.
  let held: string | undefined;
  const release = () => {
    if (held) say(held);
    held = "";
  };
  const isDue = () => {
    const now = performance.now();
    if (now - told < 1000) return false;
    told = now;
    return true;
  };
  const data = await loadSamples(taskNamed(task).samples ?? "classes", name, {
    dataDirectory: dataDir,
    signal,
    log: (line) => {
      if (held === undefined && dataDir !== undefined) held = line;
      else {
        release();
        say(line);
      }
    },
    images,
    onDecoded: (pictures, total) => {
      decodingSince ??= performance.now();
      if (!isDue()) return;
      const left = ((total - pictures) * (performance.now() - decodingSince)) / pictures / 1000;
      say(
        `  ${pictures.toLocaleString("en")} of ${total.toLocaleString("en")} pictures decoded, ${duration(left)} left`,
      );
    },
    onProgress: (bytes, total) => {
      release();
      if (!isDue()) return;
      const megabytes = (count: number) => (count / 1e6).toFixed(1);
      say(`  ${megabytes(bytes)}${total ? ` of ${megabytes(total)}` : ""} MB`);
    },
  });
  release();
  return data;
}
