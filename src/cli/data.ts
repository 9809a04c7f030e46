import { type DatasetPair, loadDataset } from "../data/dataset.ts";
import { say } from "./progress.ts";

/** Loads a data set and says on the terminal what takes time or was looked for in vain. */
export async function loadWithProgress(
  name: string,
  { dataDir, signal }: { dataDir?: string; signal?: AbortSignal } = {},
): Promise<DatasetPair> {
  let told = 0;
  return loadDataset(name, {
    dataDirectory: dataDir,
    signal,
    log: (line) => say(line),
    onProgress: (bytes, total) => {
      const now = performance.now();
      if (now - told < 1000) return;
      told = now;
      const megabytes = (count: number) => (count / 1e6).toFixed(1);
      say(`  ${megabytes(bytes)}${total ? ` of ${megabytes(total)}` : ""} MB`);
    },
  });
}
