import { describe, elementCount, sameShape } from "../../graph/graph.ts";
import type { ImportedNetwork, TrainableModel } from "../../import/load.ts";
import type { DrawnModel, Numbers } from "./drawing.ts";
import type { GeneratedFile } from "./file.ts";
import type { Failure } from "./findings.ts";
import { feedsOf, runOnce } from "./reference.ts";

// Outputs beside those of the file in ONNX Runtime.

interface Outputs {
  /** Of the file in ONNX Runtime. */
  original: Record<string, Float64Array>;
  /** Of the model as it was drawn, in float64 where that can be had. */
  exact: Record<string, Float64Array>;
  /** Of the imported graph. */
  given: Record<string, Float64Array>;
}

export function compareOutputs(
  model: DrawnModel,
  file: GeneratedFile,
  { outputs }: ImportedNetwork,
  { original, exact, given }: Outputs,
  failures: Failure[],
): void {
  for (const { name, shape } of model.outputs) {
    const own = file.names.get(name)!;
    const value = outputs.get(own);
    if (!value || !given[own]) {
      failures.push({ check: "outputs", message: `"${own}" is missing` });
      continue;
    }
    const counts = [original[own].length, given[own].length, elementCount(value.shape)];
    if (counts.some((count) => count !== counts[0]) || !sameShape(value.shape, shape)) {
      failures.push({
        check: "outputs",
        message: `"${own}" is ${describe(value)} with ${counts[1]} numbers; ONNX Runtime gives ${counts[0]}, drawn [${shape.join()}]`,
      });
      continue;
    }
    const tolerance = { float64: 1e-6, float32: 1e-4, float16: 2e-2 }[model.float];
    const most = difference(given[own], original[own]);
    if (most <= tolerance) continue;
    // Where the engine's own rounding is as large, its float64 decides.
    const own32 = difference(original[own], exact[name]);
    const against = difference(given[own], exact[name]);
    if (most <= 10 * own32 && (against <= 10 * own32 || model.float === "float16")) continue;
    failures.push({
      check: "outputs",
      message: `"${own}" ${describe(value)} differs by ${most.toExponential(1)} from the file's, by ${against.toExponential(1)} from the model's`,
    });
  }
}

/** The largest difference over the largest number; infinite where only one of two is finite. */
export function difference(a: Float64Array | undefined, b: Float64Array): number {
  if (a === undefined || a.length !== b.length) return Number.POSITIVE_INFINITY;
  let [most, scale] = [0, 1e-3];
  for (let index = 0; index < b.length; index++) {
    if (Object.is(a[index], b[index]) || a[index] === b[index]) continue;
    if (!Number.isFinite(a[index]) || !Number.isFinite(b[index])) return Number.POSITIVE_INFINITY;
    most = Math.max(most, Math.abs(a[index] - b[index]));
  }
  for (const value of b) if (Number.isFinite(value)) scale = Math.max(scale, Math.abs(value));
  return most / scale;
}

/** The file that is written is the same again. */
export async function checkWritten(
  source: string | Uint8Array,
  loaded: TrainableModel,
  inputs: readonly Numbers[],
  original: Record<string, Float64Array>,
  failures: Failure[],
): Promise<void> {
  const written = loaded.write(loaded.tensors);
  if (typeof source !== "string" && Buffer.compare(Buffer.from(source), written) === 0) return;
  const isExact = Object.values(feedsOf(inputs)).some(({ type }) => type === "float64");
  const given = await runOnce(written, feedsOf(inputs), isExact);
  for (const [name, numbers] of Object.entries(original)) {
    const most = difference(given[name], numbers);
    if (most > 1e-6)
      failures.push({ check: "write", message: `"${name}" differs by ${most.toExponential(1)}` });
  }
}
