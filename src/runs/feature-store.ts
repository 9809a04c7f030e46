import type { DataSource, Sample } from "../data/source.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import type { RowStore } from "../platform/platform.ts";

// What frozen layers give for images, in memory or in a file.

/** Samples of features and targets in place of images. */
export function featureSource(
  { name, count, fingerprint }: DataSource,
  store: RowStore,
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

export function memoryStore(count: number, length: number): RowStore {
  const rows = new Float32Array(count * length);
  return {
    write: (index, row) => rows.set(row, index * length),
    read: (index) => rows.subarray(index * length, (index + 1) * length),
    close: () => {},
  };
}
