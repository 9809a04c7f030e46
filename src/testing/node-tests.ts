import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { describe, sameShape, type TensorType } from "../graph/graph.ts";
import { fromOnnx } from "../import/from-onnx.ts";
import { widened } from "../import/narrow-types.ts";
import { isFloatingPoint, readWeights } from "../import/weights.ts";
import { compile } from "../lower/compile.ts";
import { readModel } from "../onnx/model.ts";
import {
  type ModelProto,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
} from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { runModel } from "./onnx-models.ts";
import { type Held, namedTensors, readHeld } from "./test-data.ts";

// ONNX's published tests of operators: a model, what it is fed, what it gives. Each is imported, compiled and run.

export interface NodeTest {
  name: string;
  model: Uint8Array;
  /** Serialized tensors, sequences and optionals, in the order of the model's inputs and outputs. */
  inputs: readonly Uint8Array[];
  outputs: readonly Uint8Array[];
}

/** A test as ONNX lays it out in a folder: `model.onnx` and `test_data_set_0/{input,output}_*.pb`. */
export function readNodeTest(folder: string): NodeTest {
  const data = join(folder, "test_data_set_0");
  const count = (kind: string) => readdirSync(data).filter((name) => name.startsWith(kind)).length;
  const files = (kind: string) =>
    Array.from({ length: count(kind) }, (_, index) => readFileSync(join(data, `${kind}_${index}.pb`)));
  return {
    name: basename(folder),
    model: readFileSync(join(folder, "model.onnx")),
    inputs: files("input"),
    outputs: files("output"),
  };
}

/** Which inputs were made part of the model, because its shapes depend on them: here all shapes are known before a run. */
export type KnownInputs = "none" | "integers" | "all but the first" | "all";

export interface NodeTestResult {
  /** `engine`: as the test wants it ONNX Runtime does not give it either, on the model as it stands. */
  outcome: "match" | "different" | "refused" | "engine";
  known: KnownInputs;
  message?: string;
}

/** Imports, runs and compares one test, with as few inputs known beforehand as it takes. */
export async function runNodeTest(test: NodeTest): Promise<NodeTestResult> {
  const model = readModel(test.model, test.name);
  const { input: infos } = model.graph!;
  const held = new Map<string, Held>();
  for (const [index, bytes] of test.inputs.entries()) {
    const isTensor = infos[index].type?.value.case === "tensorType";
    if (bytes.length > 0 || !isTensor) held.set(infos[index].name, readHeld(bytes, infos[index].type));
  }
  const feeds = new Map([...held].flatMap(([name, value]) => namedTensors(name, value)));
  bindShapes(model, feeds);
  let result: NodeTestResult;
  for (const known of ["none", "integers", "all but the first", "all"] as const) {
    const fixed = infos.filter(({ name }, index) => {
      const tensor = feeds.get(name);
      if (!tensor) return false;
      if (known === "integers") return !isFloatingPoint(tensor);
      return known === "all" || (known === "all but the first" && index > 0);
    });
    const names = new Set(fixed.map(({ name }) => name));
    result = await runKnowing(model, held, names, test.outputs).then(
      (message) => ({ outcome: message === undefined ? "match" : "different", known, message }),
      (error: Error) => ({ outcome: "refused", known, message: error.message }),
    );
    if (result.outcome !== "refused") break;
  }
  if (result!.outcome === "match" || (await engineAgrees(test))) return result!;
  return { ...result!, outcome: "engine" };
}

/** Whether ONNX Runtime gives what the test wants on the model as it stands. */
async function engineAgrees(test: NodeTest): Promise<boolean> {
  const { input, output } = readModel(test.model).graph!;
  try {
    const feeds = test.inputs.flatMap((bytes, index) =>
      bytes.length > 0 ? [[input[index].name, readHeld(bytes, input[index].type)]] : [],
    );
    const results = await runModel(test.model, Object.fromEntries(feeds));
    return test.outputs.every((bytes, index) => {
      const { name, type } = output[index];
      return !difference(results[name], readHeld(bytes, type) as TensorData);
    });
  } catch {
    return false;
  }
}

/** Symbolic dimensions become those of the tensors that are fed. */
function bindShapes(model: ModelProto, feeds: ReadonlyMap<string, TensorData>): void {
  for (const { name, type } of model.graph!.input) {
    const shape = feeds.get(name)?.shape;
    if (!shape || type?.value.case !== "tensorType") continue;
    const dim = shape.map((size) =>
      create(TensorShapeProto_DimensionSchema, { value: { case: "dimValue", value: BigInt(size) } }),
    );
    type.value.value.shape = create(TensorShapeProtoSchema, { dim });
  }
}

/** What is not as it should be in the outputs; undefined if nothing is. */
async function runKnowing(
  model: ModelProto,
  held: ReadonlyMap<string, Held>,
  known: ReadonlySet<string>,
  expected: readonly Uint8Array[],
): Promise<string | undefined> {
  const { input: infos, output: results } = model.graph!;
  const weights = readWeights(model.graph!);
  for (const name of known) weights.set(name, widened(held.get(name) as TensorData));
  const others = infos.filter(({ type }) => type?.value.case !== "tensorType");
  const entries = new Map(others.map(({ name }) => [name, typesOf(held.get(name) ?? null)]));
  const { graph } = fromOnnx(model, { weights, entries, isInput: () => false });
  const feeds = [...held].flatMap(([name, value]) => namedTensors(name, value));
  const wanted = expected.flatMap((bytes, index): [string, TensorData][] => {
    const value = readHeld(bytes, results[index].type);
    if (value === null || "type" in value) return value === null ? [] : [[results[index].name, value]];
    return value.map((tensor, at) => [`${results[index].name}.${at}`, tensor]);
  });
  if (graph.outputs.size !== wanted.length)
    return `there are ${graph.outputs.size} tensors, not ${wanted.length}`;
  if (wanted.length === 0) return undefined;
  const given = await runModel(compile(graph), Object.fromEntries(feeds));
  for (const [name, tensor] of wanted) {
    const problem = difference(given[name], tensor);
    if (problem) return `output "${name}": ${problem}`;
  }
  return undefined;
}

function typesOf(held: Held): TensorType | readonly TensorType[] | null {
  if (held === null || "type" in held) return held && widened(held);
  return held.map(widened);
}

/** By the tolerances of ONNX's own test runner; half precision, which is computed in float32, by two of its steps. */
function difference(given: TensorData, stated: TensorData): string | undefined {
  const [actual, expected] = [widened(given), widened(stated)];
  if (actual.type !== expected.type || !sameShape(actual.shape, expected.shape)) {
    return `is ${describe(actual)}, not ${describe(expected)}`;
  }
  const relative = stated.type === "bfloat16" ? 2 ** -7 : stated.type === "float16" ? 2 ** -9 : 1e-3;
  for (let index = 0; index < expected.data.length; index++) {
    if (actual.data[index] === expected.data[index]) continue;
    const [got, wanted] = [Number(actual.data[index]), Number(expected.data[index])];
    if (Math.abs(got - wanted) <= 1e-7 + relative * Math.abs(wanted)) continue;
    if (Number.isNaN(got) && Number.isNaN(wanted)) continue;
    return `element ${index} is ${actual.data[index]}, not ${expected.data[index]}`;
  }
  return undefined;
}
