import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import type { DataSource, Sample } from "../data/source.ts";
import { elementCount, type Shape } from "../graph/graph.ts";

// What frozen layers give for images, in memory or in a file.

/** What is kept of one image, as one row of float32. */
export interface FeatureStore {
  write(index: number, row: Float32Array): void;
  read(index: number): Float32Array<ArrayBuffer>;
  close(): void;
}

/** Samples of features and targets in place of images. */
export function featureSource(
  { name, count, fingerprint }: DataSource,
  store: FeatureStore,
  {
    names,
    shapes,
    targets,
  }: { names: readonly string[]; shapes: readonly Shape[]; targets: readonly Sample[] },
): DataSource {
  return {
    name,
    count,
    fingerprint: `${fingerprint} features`,
    read: (index) => {
      const values = store.read(index);
      let at = 0;
      const features = names.map((feature, part) => {
        const start = at;
        at += elementCount(shapes[part]);
        const data = values.subarray(start, at);
        return [feature, { type: "float32", shape: shapes[part], data } as const] as const;
      });
      return { ...Object.fromEntries(features), ...targets[index] };
    },
  };
}

export function memoryStore(count: number, length: number): FeatureStore {
  const rows = new Float32Array(count * length);
  return {
    write: (index, row) => rows.set(row, index * length),
    read: (index) => rows.subarray(index * length, (index + 1) * length),
    close: () => {},
  };
}

/** @param path of a file that is removed when the store is closed */
export function fileStore(path: string, length: number): FeatureStore {
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
}
