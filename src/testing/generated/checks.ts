import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "../../common/errors.ts";
import { randomStream } from "../../common/random.ts";
import { elementCount } from "../../graph/graph.ts";
import { loadModel } from "../../import/load.ts";
import { widened } from "../../import/narrow-types.ts";
import { compile } from "../../lower/compile.ts";
import type { Target } from "../../lower/target.ts";
import { writeModel } from "../../onnx/model.ts";
import type { Tensors } from "../../onnx/tensor.ts";
import { isFloat } from "../../onnx/types.ts";
import { OnnxRuntimeEngine } from "../../runtime/onnxruntime.ts";
import { compareGradients, differentiate, differentiated, feedsIn } from "./derivatives.ts";
import type { DrawnModel } from "./drawing.ts";
import { type GeneratedFile, packedFile, parametersOf } from "./file.ts";
import type { Checked, Checking, Failure } from "./findings.ts";
import { generateModel, giving } from "./generate.ts";
import { checkMeanings } from "./meanings.ts";
import { checkWritten, compareOutputs, difference } from "./outputs.ts";
import { feedsOf, openReference, Running, runOnce } from "./reference.ts";

// What has to hold for every generated model.

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
