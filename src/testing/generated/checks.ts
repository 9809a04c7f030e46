import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gradients } from "../../autodiff/gradients.ts";
import { UserError } from "../../common/errors.ts";
import { type Random, randomStream } from "../../common/random.ts";
import { tensorData } from "../../graph/constants.ts";
import { describe, elementCount, sameShape, type Value } from "../../graph/graph.ts";
import { type ImportedNetwork, loadModel, type TrainableModel } from "../../import/load.ts";
import { widened } from "../../import/narrow-types.ts";
import type { Target } from "../../lower/blocked.ts";
import { compile } from "../../lower/compile.ts";
import { writeModel } from "../../onnx/model.ts";
import type { TensorData, Tensors } from "../../onnx/tensor.ts";
import { isFloat } from "../../onnx/types.ts";
import { addAll, mul } from "../../ops/arithmetic.ts";
import { differentiabilityOf } from "../../ops/operator.ts";
import { reduceSum } from "../../ops/reduction.ts";
import { OnnxRuntimeEngine } from "../../runtime/onnxruntime.ts";
import type { DrawnModel, Float, Numbers } from "./drawing.ts";
import { type GeneratedFile, packedFile, parametersOf } from "./file.ts";
import { generateModel, giving } from "./generate.ts";
import { feedsOf, openReference, type Reference, Running } from "./reference.ts";

// What has to hold for every generated model.

export interface Failure {
  check: "outputs" | "gradients" | "target" | "roles" | "write" | "loss" | "error";
  message: string;
}

export interface Checked {
  seed: number;
  number: number;
  opset: number;
  float: Float;
  operators: readonly string[];
  packing: readonly string[];
  /** `engine`: ONNX Runtime does not run the file itself. */
  outcome: "checked" | "refused" | "engine";
  /** In which words it was refused, by Lowland or by ONNX Runtime. */
  refusal?: string;
  failures: readonly Failure[];
  gradients: GradientCounts;
}

/** Of the tensors that were differentiated. */
interface GradientCounts {
  float64: number;
  float32: number;
  /** Near a corner of the function, where two differences disagree. */
  corners: number;
  /** Behind a rounding whose gradient is straight through. */
  straightThrough: number;
  /** Not finite there for ONNX Runtime either. */
  notFinite: number;
}

/** Checks the model of a number in every way. */
export async function checkModel(seed: number, number: number): Promise<Checked> {
  const first = await checkIn(seed, number, generateModel(seed, number));
  // Not every operator has a kernel in every type.
  if (first.outcome !== "engine" || first.float === "float32") return first;
  return await checkIn(seed, number, generateModel(seed, number, "float32"));
}

/** The smallest part of a model, with one output, that fails or is refused as the whole does; undefined if none does. */
export async function minimalFailure(
  whole: Checked,
): Promise<{ model: DrawnModel; checked: Checked } | undefined> {
  const { seed, number, outcome, failures } = whole;
  const model = generateModel(seed, number, whole.float);
  const isAlike = (checked: Checked) =>
    checked.outcome === outcome &&
    failures.every(({ check }) => checked.failures.some((one) => one.check === check));
  for (const node of model.nodes) {
    for (const name of node.outputs) {
      const output = model.made.get(name);
      if (!output || !isFloat(output.type) || output.type !== model.float) continue;
      const part = giving(model, [output]);
      const checked = await checkIn(seed, number, part);
      if (isAlike(checked)) return { model: part, checked };
    }
  }
  return undefined;
}

async function checkIn(seed: number, number: number, model: DrawnModel): Promise<Checked> {
  const file = packedFile(model, seed, number);
  const found = about(seed, number, model, file);
  const opened = await openFile(file).catch((error: Error) => error);
  if (opened instanceof Error) return { ...found, outcome: "engine", refusal: opened.message };
  const failures: Failure[] = [];
  try {
    await checkFile(model, file, opened, { seed, number, failures, counts: found.gradients });
    return { ...found, failures };
  } catch (error) {
    if (error instanceof EngineError) return { ...found, outcome: "engine", refusal: error.message };
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof UserError && !message.includes("\n"))
      return { ...found, outcome: "refused", refusal: message };
    const stack = error instanceof Error ? `${error.stack}` : message;
    return { ...found, failures: [...failures, { check: "error", message: stack }] };
  } finally {
    await opened.close();
  }
}

function about(seed: number, number: number, model: DrawnModel, file: GeneratedFile): Checked {
  const { opset, float, nodes } = model;
  const operators = [...new Set(nodes.map(({ operator }) => operator))];
  const counts = { float64: 0, float32: 0, corners: 0, straightThrough: 0, notFinite: 0 };
  return {
    seed,
    number,
    opset,
    float,
    operators,
    packing: file.packing,
    outcome: "checked",
    failures: [],
    gradients: counts,
  };
}

/** What ONNX Runtime says against a file while it runs it. */
class EngineError extends Error {}

/** A file in ONNX Runtime, and where Lowland finds it. */
interface OpenFile {
  source: string | Uint8Array;
  session: Running;
  close: () => Promise<void>;
}

async function openFile({ proto, external }: GeneratedFile): Promise<OpenFile> {
  const bytes = writeModel(proto);
  if (!external) {
    const session = await Running.open(bytes, isDouble(proto));
    return { source: bytes, session, close: () => session[Symbol.asyncDispose]() };
  }
  const folder = mkdtempSync(join(tmpdir(), "generated-model-"));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const path = join(folder, "model.onnx");
    writeFileSync(path, bytes);
    writeFileSync(join(folder, external.name), external.bytes);
    const session = await Running.open(path, isDouble(proto));
    const close = async () => {
      await session[Symbol.asyncDispose]();
      remove();
    };
    return { source: path, session, close };
  } catch (error) {
    remove();
    throw error;
  }
}

function isDouble({ graph }: GeneratedFile["proto"]): boolean {
  return [...graph!.input, ...graph!.output].some(
    ({ type }) => type?.value.case === "tensorType" && type.value.value.elemType === 11,
  );
}

interface Checking {
  seed: number;
  number: number;
  failures: Failure[];
  counts: GradientCounts;
}

async function checkFile(
  model: DrawnModel,
  file: GeneratedFile,
  { source, session }: OpenFile,
  checking: Checking,
): Promise<void> {
  const { failures } = checking;
  const nameOf = (name: string) => file.names.get(name)!;
  const fedNumbers = model.inputs.map((one) => ({ ...one, name: nameOf(one.name) }));
  const original = await session.run(feedsOf(fedNumbers)).catch((error: Error) => {
    throw new EngineError(error.message);
  });
  const parameters = parametersOf(model);
  const fed = new Set(parameters.map(({ name }) => name));
  await using reference = await openReference(model, fed);
  const wanted = [...model.inputs, ...parameters];
  const referenceFeeds = feedsIn(reference.type, wanted);
  const exact = await reference.run(referenceFeeds).catch((error: Error) => {
    throw new EngineError(error.message);
  });

  const listed = await loadModel(source, { dimensions: file.dimensions });
  checkMeanings(model, file, listed, failures);
  const names = parameters.map(({ name }) => nameOf(name));
  const trainable = names.filter((name) => listed.parameters.some(({ storedName }) => storedName === name));
  const loaded =
    trainable.length === 0 ? listed : await loadModel(source, { dimensions: file.dimensions, trainable });
  const network = loaded.build({ training: false });
  const random = randomStream(checking.seed, "projection", checking.number);
  const projections = new Map(
    model.outputs.map(({ name, shape }) => [
      name,
      Array.from({ length: elementCount(shape) }, () => random.normal()),
    ]),
  );
  const wrt = differentiated(model, loaded, network, file);
  differentiate(model, network, file, projections, wrt);
  const feeds: Tensors = {
    ...loaded.tensors,
    ...Object.fromEntries(
      Object.entries(feedsOf(fedNumbers)).map(([name, tensor]) => [name, widened(tensor)]),
    ),
  };
  const isExact = model.float === "float64";
  const given = await runOnce(compile(network.graph), feeds, isExact);
  compareOutputs(model, file, network, { original, exact, given }, failures);
  // A model that is another one has other gradients too.
  if (failures.some(({ check }) => check === "outputs")) return;
  // Where a rounding decides a comparison, the model without it is another one.
  const jumps = model.outputs.some(({ name }) => difference(exact[name], original[nameOf(name)]) > 0.1);
  if (jumps) checking.counts.corners += wrt.length;
  else {
    await compareGradients(
      { model, reference, referenceFeeds, exact, projections, given, wrt, file },
      checking,
    );
  }
  if (model.nodes.some(({ operator }) => operator.includes("Conv"))) {
    const blocked = await runOnce(compile(network.graph, { target: await machineTarget() }), feeds, isExact);
    for (const [name, numbers] of Object.entries(given)) {
      const most = difference(blocked[name], numbers);
      if (most > 1e-4)
        failures.push({ check: "target", message: `"${name}" differs by ${most.toExponential(1)}` });
    }
  }
  await checkWritten(source, loaded, fedNumbers, original, failures);
}

let target: Promise<Target> | undefined;

function machineTarget(): Promise<Target> {
  target ??= (async () => {
    const engine = new OnnxRuntimeEngine({ threads: 1 });
    const found = await engine.target();
    await engine.close();
    return found;
  })();
  return target;
}

async function runOnce(
  bytes: Uint8Array,
  feeds: Tensors,
  isDouble: boolean,
): Promise<Record<string, Float64Array>> {
  await using session = await Running.open(bytes, isDouble);
  return await session.run(feeds);
}

// What is listed

/** Every parameter is listed as one, and everything else that is stored is not. */
function checkMeanings(
  model: DrawnModel,
  file: GeneratedFile,
  loaded: TrainableModel,
  failures: Failure[],
): void {
  const byName = new Map(loaded.parameters.map((one) => [one.storedName, one]));
  const reached = reachedBy(model);
  for (const { name, type, meaning, shape } of model.stored) {
    // A single number may be either: a factor that is learned, or one that is not.
    if (!isFloat(type) || (meaning === "parameter" && elementCount(shape) <= 1)) continue;
    const own = file.names.get(name)!;
    // In a function its name has the function's before it.
    const one = [own, `Part.${own}`, `Part.inner ${own}`].map((each) => byName.get(each)).find(Boolean);
    if (meaning === "constant" && one?.trainable)
      failures.push({
        check: "roles",
        message: `constant "${own}" [${shape.join()}] trains, as ${one.role}`,
      });
    // Where a name says nothing, elements may look like a constant's: that is a guess, and Lowland says so.
    const isGuess = one?.frozenBy === "guess" && one.storedName !== name;
    if (meaning === "parameter" && reached.has(name) && !one?.trainable && !isGuess)
      failures.push({
        check: "roles",
        message: `parameter "${own}" [${shape.join()}] is ${one ? `${one.role} (${one.reason})` : "not listed"}`,
      });
  }
}

/** The tensors that an output depends on differentiably: over numbers that are real, through operators with a gradient. */
function reachedBy({ nodes, made, outputs }: DrawnModel): Set<string> {
  const found = new Set(outputs.filter(({ blocked }) => !blocked).map(({ name }) => name));
  for (const { operator, inputs, outputs: given } of nodes.toReversed()) {
    // What is quantized is taken back again, and the gradient goes straight through.
    const passes = (name: string) => operator === "QuantizeLinear" || isFloat(made.get(name)?.type ?? "bool");
    const isZero = differentiabilityOf(operator) === "zero";
    if (!isZero && given.some((name) => found.has(name) && passes(name)))
      for (const name of inputs) found.add(name);
  }
  return found;
}

// Gradients

interface Differentiated {
  numbers: Numbers;
  value: Value;
  /** Name of the gradient among the program's outputs. */
  output: string;
}

/** The floating-point inputs and parameters that the imported graph has. */
function differentiated(
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
function differentiate(
  model: DrawnModel,
  { graph, outputs }: ImportedNetwork,
  file: GeneratedFile,
  projections: ReadonlyMap<string, readonly number[]>,
  wrt: readonly Differentiated[],
): void {
  const terms = model.outputs
    .filter(({ blocked }) => !blocked)
    .map(({ name }) => {
      const value = outputs.get(file.names.get(name)!)!;
      return reduceSum(
        mul(value, graph.constant(tensorData(projections.get(name)!, value.shape, value.type))),
      );
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
async function compareGradients(
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

function feedsIn(type: "float32" | "float64", numbers: readonly Numbers[]): Record<string, TensorData> {
  return feedsOf(numbers.map((one) => (isFloat(one.type) && !one.fixedType ? { ...one, type } : one)));
}

// Outputs

interface Outputs {
  /** Of the file in ONNX Runtime. */
  original: Record<string, Float64Array>;
  /** Of the model as it was drawn, in float64 where that can be had. */
  exact: Record<string, Float64Array>;
  /** Of the imported graph. */
  given: Record<string, Float64Array>;
}

function compareOutputs(
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
function difference(a: Float64Array | undefined, b: Float64Array): number {
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

// The file that is written

async function checkWritten(
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
