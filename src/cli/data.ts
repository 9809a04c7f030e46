import { loadDataset } from "../data/catalogue.ts";
import type { DatasetPair } from "../data/source.ts";
import { say } from "./progress.ts";

/** Loads a data set and says on the terminal what takes time or was looked for in vain. */
export async function loadWithProgress(
  name: string,
  { dataDir, signal }: { dataDir?: string; signal?: AbortSignal } = {},
): Promise<DatasetPair> {
  let told = 0;
  // That the cache is empty, which is told first, is no news where the user's own folder then turns out damaged.
  let held: string | undefined;
  const release = () => {
    if (held) say(held);
    held = "";
  };
  const data = await loadDataset(name, {
    dataDirectory: dataDir,
    signal,
    log: (line) => {
      if (held === undefined && dataDir !== undefined) held = line;
      else {
        release();
        say(line);
      }
    },
    onProgress: (bytes, total) => {
      release();
      const now = performance.now();
      if (now - told < 1000) return;
      told = now;
      const megabytes = (count: number) => (count / 1e6).toFixed(1);
      say(`  ${megabytes(bytes)}${total ? ` of ${megabytes(total)}` : ""} MB`);
    },
  });
  release();
  return data;
}
