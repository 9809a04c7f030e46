import { median } from "../common/numbers.ts";

// What ONNX Runtime's profiler writes: a list of events in Chrome's format.

/** The part of an event that is read. */
export interface ProfilerEvent {
  cat: string;
  name: string;
  /** Microseconds. */
  dur: number;
  args?: { op_name?: string };
}

/** A node as ONNX Runtime runs it. */
export interface NodeTime {
  name: string;
  operator: string;
  /** The median over the runs. */
  milliseconds: number;
}

const kernelEnding = "_kernel_time";

/**
 * The median time of each node over the last runs.
 * @param skipped the first runs of all, which are not counted
 */
export function nodeTimes(events: readonly ProfilerEvent[], runs: number, skipped: number): NodeTime[] {
  const found = new Map<string, { operator: string; durations: number[] }>();
  for (const { cat, name, dur, args } of events) {
    if (cat !== "Node" || !name.endsWith(kernelEnding)) continue;
    const operator = args?.op_name ?? "";
    const key = `${name} ${operator}`;
    const node = found.get(key) ?? { operator, durations: [] };
    node.durations.push(dur);
    found.set(key, node);
  }
  return [...found].map(([key, { operator, durations }]) => {
    // Nodes that share a name run one after another in each run: their sum counts.
    const perRun = durations.length / runs;
    const sums = Array.from({ length: runs }, (_, run) =>
      durations.slice(run * perRun, (run + 1) * perRun).reduce((sum, one) => sum + one, 0),
    );
    const name = key.slice(0, -operator.length - 1 - kernelEnding.length);
    return { name, operator, milliseconds: median(sums.slice(skipped)) / 1000 };
  });
}
