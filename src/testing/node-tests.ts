import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { create, fromBinary } from "@bufbuild/protobuf";
import { describe, sameShape } from "../graph/graph.ts";
import { fromOnnx } from "../import/from-onnx.ts";
import { widened } from "../import/narrow-types.ts";
import { isFloatingPoint, readWeights } from "../import/weights.ts";
import { compile } from "../lower/compile.ts";
import { readModel } from "../onnx/model.ts";
import {
  type ModelProto,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
} from "../onnx/onnx_pb.ts";
import { readTensor, type TensorData } from "../onnx/tensor.ts";
import { runModel } from "./onnx-models.ts";

// ONNX's published tests of operators: a model, what it is fed, what it gives. Each is imported, compiled and run.

export interface NodeTest {
  name: string;
  model: Uint8Array;
  /** Serialized tensors, in the order of the model's inputs and outputs. */
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
  const feeds = new Map<string, TensorData>();
  for (const [index, bytes] of test.inputs.entries()) {
    if (infos[index].type?.value.case !== "tensorType")
      return { outcome: "refused", known: "none", message: "its inputs are no tensors" };
    if (bytes.length === 0) continue;
    const proto = fromBinary(TensorProtoSchema, bytes);
    feeds.set(infos[index].name, widened(readTensor(proto, `input "${infos[index].name}"`)));
  }
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
    result = await runKnowing(model, feeds, names, test.outputs).then(
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
  const read = (bytes: Uint8Array) => readTensor(fromBinary(TensorProtoSchema, bytes));
  try {
    const feeds = test.inputs.flatMap((bytes, index) =>
      bytes.length > 0 ? [[input[index].name, read(bytes)]] : [],
    );
    const results = await runModel(test.model, Object.fromEntries(feeds));
    return test.outputs.every((bytes, index) => !difference(results[output[index].name], read(bytes)));
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
  feeds: ReadonlyMap<string, TensorData>,
  known: ReadonlySet<string>,
  expected: readonly Uint8Array[],
): Promise<string | undefined> {
  const weights = readWeights(model.graph!);
  for (const name of known) weights.set(name, feeds.get(name)!);
  const { graph } = fromOnnx(model, { weights, isInput: () => false });
  const results = await runModel(compile(graph), Object.fromEntries(feeds));
  for (const [index, bytes] of expected.entries()) {
    const { name } = model.graph!.output[index];
    const problem = difference(results[name], readTensor(fromBinary(TensorProtoSchema, bytes)));
    if (problem) return `output "${name}": ${problem}`;
  }
  return undefined;
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
