import { gradients } from "../../autodiff/gradients.ts";
import { type Random, randomStream } from "../../common/random.ts";
import { describe, sameShape, type Value } from "../../graph/graph.ts";
import type { ImportedNetwork, TrainableModel } from "../../import/load.ts";
import type { TensorData } from "../../onnx/tensor.ts";
import { tensorData } from "../../onnx/tensor-data.ts";
import { isFloat } from "../../onnx/types.ts";
import { addAll, mul } from "../../ops/arithmetic.ts";
import { reduceSum } from "../../ops/reduction.ts";
import type { DrawnModel, Numbers } from "./drawing.ts";
import { type GeneratedFile, parametersOf } from "./file.ts";
import type { Checking } from "./findings.ts";
import { feedsOf, type Reference } from "./reference.ts";

// Gradients beside finite differences through ONNX Runtime.

export interface Differentiated {
  numbers: Numbers;
  value: Value;
  /** Name of the gradient among the program's outputs. */
  output: string;
}

/** The floating-point inputs and parameters that the imported graph has. */
export function differentiated(
  model: DrawnModel,
  { parameters }: TrainableModel,
  network: ImportedNetwork,
  file: GeneratedFile,
): Differentiated[] {
  const graphNames = new Map(parameters.map(({ storedName, name }) => [storedName, name]));
  return [...model.inputs, ...parametersOf(model)].flatMap((numbers, index) => {
    const name = file.names.get(numbers.name)!;
    const value = network.inputs.get(name) ?? network.parameters.get(graphNames.get(name) ?? name);
    return value && isFloat(numbers.type) ? [{ numbers, value, output: `gradient ${index}` }] : [];
  });
}

/** Adds the gradients of ⟨outputs, random numbers⟩ to the graph's outputs. */
export function differentiate(
  model: DrawnModel,
  { graph, outputs }: ImportedNetwork,
  file: GeneratedFile,
  projections: ReadonlyMap<string, readonly number[]>,
  wrt: readonly Differentiated[],
): void {
  const terms = model.outputs
    .filter(({ blocked }) => !blocked)
    .flatMap(({ name, shape }) => {
      const value = outputs.get(file.names.get(name)!);
      // What is missing or of another shape is a failure of the outputs.
      if (!value || !sameShape(value.shape, shape)) return [];
      const factors = tensorData(projections.get(name)!, value.shape, value.type);
      return [reduceSum(mul(value, graph.constant(factors)))];
    });
  if (terms.length === 0 || wrt.length === 0) return;
  const found = gradients(
    addAll(terms),
    wrt.map(({ value }) => value),
  );
  for (const [index, gradient] of found.entries()) graph.output(wrt[index].output, gradient);
}

interface GradientComparison {
  model: DrawnModel;
  file: GeneratedFile;
  reference: Reference;
  referenceFeeds: Record<string, TensorData>;
  exact: Record<string, Float64Array>;
  projections: ReadonlyMap<string, readonly number[]>;
  given: Record<string, Float64Array>;
  wrt: readonly Differentiated[];
}

/** One directional derivative for each tensor, beside differences of ONNX Runtime's outputs. */
export async function compareGradients(
  comparison: GradientComparison,
  { seed, number, failures, counts }: Checking,
): Promise<void> {
  const { model, reference, given, wrt, exact, projections } = comparison;
  const outputs = model.outputs.filter(({ blocked }) => !blocked);
  const project = (results: Record<string, Float64Array>) =>
    outputs.reduce((sum, { name }) => {
      const factors = projections.get(name)!;
      return results[name].reduce((part, value, at) => part + value * factors[at], sum);
    }, 0);
  const base = project(exact);
  const magnitude = outputs.reduce((sum, { name }) => {
    const factors = projections.get(name)!;
    return sum + Math.hypot(...results(exact[name], factors));
  }, 0);
  for (const [index, { numbers, output, value }] of wrt.entries()) {
    const gradient = given[output];
    if (gradient === undefined) continue;
    if (comparison.model.straightThrough.has(numbers.name)) {
      counts.straightThrough++;
      continue;
    }
    if (!Number.isFinite(base)) {
      counts.notFinite++;
      continue;
    }
    const random = randomStream(seed, "direction", number, index);
    let verdict = await derivative(comparison, numbers, random, { project, base, magnitude, gradient });
    // A difference may straddle a corner that another direction does not meet.
    for (let again = 0; again < 3 && verdict.kind === "different"; again++)
      verdict = await derivative(comparison, numbers, random, { project, base, magnitude, gradient });
    if (verdict.kind === "corner") counts.corners++;
    else if (verdict.kind === "not finite") counts.notFinite++;
    else counts[reference.type]++;
    if (verdict.kind === "different") {
      failures.push({
        check: "gradients",
        message: `of "${numbers.name}" ${describe(value)}: ${verdict.message} (${reference.type})`,
      });
    }
  }
}

const results = (values: Float64Array, factors: readonly number[]) =>
  Array.from(values, (value, at) => value * factors[at]);

type Verdict = { kind: "equal" | "corner" | "not finite" } | { kind: "different"; message: string };

async function derivative(
  { reference, referenceFeeds, model }: GradientComparison,
  { name, shape, values }: Numbers,
  random: Random,
  {
    project,
    base,
    magnitude,
    gradient,
  }: {
    project: (results: Record<string, Float64Array>) => number;
    base: number;
    magnitude: number;
    gradient: Float64Array;
  },
): Promise<Verdict> {
  const isDouble = reference.type === "float64";
  const step = isDouble ? 1e-6 : 2 ** -9;
  const along = values.map(() => random.normal());
  const at = async (times: number) => {
    const moved = values.map((value, index) => value + times * step * along[index]);
    const feeds = { ...referenceFeeds, [name]: tensorData(moved, shape, reference.type) };
    return project(await reference.run(feeds));
  };
  const [above, below] = [await at(1), await at(-1)];
  const [forward, backward] = [(above - base) / step, (base - below) / step];
  const measured = (above - below) / (2 * step);
  const computed = gradient.reduce((sum, value, index) => sum + value * along[index], 0);
  if (!Number.isFinite(measured)) return { kind: "not finite" };
  const norm = Math.hypot(...gradient);
  const isHalf = model.float === "float16";
  // What the engine's own precision leaves of a difference, and what float32 leaves of the gradient.
  const noise = (isDouble ? 1e-13 : 2e-6) * (magnitude / step) + 1e-6;
  const finite = Number.isFinite(norm);
  const relative = model.float === "float64" && isDouble ? 1e-4 : isDouble ? 2e-3 : 2e-2;
  const tolerance = relative * Math.max(finite ? norm : 0, Math.abs(measured), 1e-3 * magnitude) + noise;
  const error = Math.abs(measured - computed);
  if (error <= tolerance) return { kind: "equal" };
  // In a smooth place both sides agree but for the curvature, which is half of it at half the step.
  const bend = Math.abs(forward - backward);
  if (bend > 0.5 * error || (isHalf && error <= 10 * tolerance)) return { kind: "corner" };
  return {
    kind: "different",
    message: `finite difference ${measured.toPrecision(6)} (${forward.toPrecision(6)}, ${backward.toPrecision(6)}), gradient ${computed.toPrecision(6)} of norm ${norm.toPrecision(3)}`,
  };
}

export function feedsIn(
  type: "float32" | "float64",
  numbers: readonly Numbers[],
): Record<string, TensorData> {
  return feedsOf(numbers.map((one) => (isFloat(one.type) && !one.fixedType ? { ...one, type } : one)));
}
