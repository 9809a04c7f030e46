import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { gradients } from "../autodiff/gradients.ts";
import { UserError } from "../common/errors.ts";
import { elementCount, type Value } from "../graph/graph.ts";
import { type ImportedNetwork, TrainableModel } from "../import/load.ts";
import { compile } from "../lower/compile.ts";
import { readModel } from "../onnx/model.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { readTensor, type TensorData, type Tensors, writeTensor } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { dataTypeNumber } from "../onnx/types.ts";
import { mul, square, sub } from "../ops/arithmetic.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { reshape, transpose } from "../ops/movement.ts";
import { reduceSum } from "../ops/reduction.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { integers, parameter, sketch, sketchedDifference, uniform } from "./fill.ts";

// Published architectures as PyTorch's exporters write them, against PyTorch's loss and gradients
// (fixtures/import/exports.py, which says what is in the fixtures).

type InputText =
  | readonly ["float32", number[]]
  | readonly ["int64", number[], number]
  | readonly ["mask", number[]];

interface Reference {
  loss: number;
  /** How far PyTorch's own float32 is from this, which is in float64. */
  pytorchFloat32: { loss: number; worst: string; difference: number };
  gradients: Record<string, number[]>;
}

interface ExportText {
  model: string;
  exporter: string;
  opset: number;
  renamed: Record<string, string>;
  putTogether?: Record<string, string>;
  gradients?: Partial<Record<Mode, Record<string, number[]>>>;
}

interface ModelText extends Partial<Record<Mode, Reference>> {
  inputs: Record<string, InputText>;
  /** For a table of biases the row that each place of what was taken from it comes from. */
  rows?: Record<string, number[]>;
}

interface Fixtures {
  models: Record<string, ModelText>;
  exports: Record<string, ExportText>;
}

export type Mode = "evaluation" | "training";

const folder = new URL("../../fixtures/import/", import.meta.url);
const fixtures: Fixtures = JSON.parse(readFileSync(new URL("exports.json", folder), "utf8"));

/** The names of the files. */
export const exportedModels = Object.keys(fixtures.exports);

/** How a file was made, and in which modes there are numbers for it. */
export function exportOf(file: string): ExportText & { modes: Mode[] } {
  const text = fixtures.exports[file];
  const modes = (["evaluation", "training"] as const).filter((mode) => fixtures.models[text.model][mode]);
  return { ...text, modes };
}

/** A file with its weights filled in. */
export function exportedModel(file: string): ModelProto {
  const bytes = gunzipSync(readFileSync(new URL(`exports/${file}`, folder)));
  const model = readModel(new Uint8Array(bytes), file);
  const { renamed } = fixtures.exports[file];
  model.graph!.initializer = model.graph!.initializer.map((tensor) => {
    const shape = tensor.dims.map(Number);
    const isEmpty = tensor.rawData.length === 0 && tensor.floatData.length === 0;
    if (!isEmpty || tensor.dataType !== 1 || elementCount(shape) === 0) return tensor;
    return writeTensor(tensor.name, filled(renamed[tensor.name] ?? tensor.name, shape));
  });
  return model;
}

/** The same model in float64: its weights and inputs, for files that say nothing of types in their nodes. */
export function inFloat64(model: ModelProto): ModelProto {
  const graph = model.graph!;
  graph.initializer = graph.initializer.map((tensor) => {
    if (tensor.dataType !== dataTypeNumber("float32")) return tensor;
    const { shape, data } = readTensor(tensor);
    return writeTensor(tensor.name, tensorData(Array.from(data as Float32Array), shape, "float64"));
  });
  for (const { type } of [...graph.input, ...graph.output]) {
    if (type?.value.case === "tensorType") type.value.value.elemType = dataTypeNumber("float64");
  }
  return model;
}

/** A parameter from its name; `.T` behind it stands for the transposed one, `[:n]` for its first n rows. */
function filled(name: string, shape: readonly number[]): TensorData {
  if (name.endsWith(".T")) {
    const { data } = parameter(name.slice(0, -2), [shape[1], shape[0]]);
    return tensorData(transposed(data as Float32Array, shape[1], shape[0]), shape, "float32");
  }
  const plain = name.replace(/\[:\d+\]$/, "");
  // Rows that were cut out may have got axes in front.
  return plain === name ? parameter(name, shape) : { ...parameter(plain, shape.slice(-2)), shape };
}

function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      result[column * rows + row] = data[row * columns + column];
  return result;
}

/** By their numbers, the tensors that PyTorch takes from a table: the importer may have named them itself. */
function lookedUp(file: string): Map<string, string> {
  const { renamed } = fixtures.exports[file];
  if (!Object.values(renamed).some((name) => name.endsWith("[rows]"))) return new Map();
  const taken = exportedModel(file).graph!.initializer.filter(({ name }) =>
    renamed[name]?.endsWith("[rows]"),
  );
  return new Map(taken.map((tensor) => [String(readTensor(tensor).data), renamed[tensor.name]]));
}

/** The gradient of a table [rows, heads] from that of what was taken from it [1, heads, places]. */
function intoRows(data: Float32Array, rows: readonly number[]): Float32Array {
  const heads = data.length / rows.length;
  const result = new Float32Array((Math.max(...rows) + 1) * heads);
  for (let head = 0; head < heads; head++)
    for (const [place, row] of rows.entries()) result[row * heads + head] += data[head * rows.length + place];
  return result;
}

export interface Comparison {
  mode: Mode;
  /** Relative difference of the loss to PyTorch's in float64. */
  loss: number;
  /** The parameter whose gradient differs most, and by how much of its norm. */
  worst: string;
  difference: number;
  /** How many gradients were compared, and how many are zero in exact arithmetic (a bias before BatchNorm, say). */
  compared: number;
  zero: number;
  /** The largest of the latter, as a share of the norm of all gradients. */
  largestZero: number;
  pytorchFloat32: Reference["pytorchFloat32"];
}

/**
 * The loss and all gradients of an exported model beside PyTorch's.
 * @throws UserError if the parameters are not those of the PyTorch model, by name
 */
export async function compareWithPyTorch(
  file: string,
  model: TrainableModel,
  mode: Mode,
): Promise<Comparison> {
  const text = fixtures.exports[file];
  const { inputs, rows } = fixtures.models[text.model];
  const reference = fixtures.models[text.model][mode]!;
  const network = model.build({ training: mode === "training" });
  network.graph.outputs.clear();
  const { loss, target } = lossOf(text.model, network);
  const names = [...network.parameters.keys()];
  network.graph.output("loss", loss);
  for (const [index, gradient] of gradients(loss, [...network.parameters.values()]).entries())
    network.graph.output(`gradient of ${names[index]}`, gradient);
  const feeds = Object.fromEntries(
    Object.entries(inputs).map(([name, input]) => [name, inputOf(`${text.model}.${name}`, input)]),
  );
  const typed = Object.entries({ ...feeds, target }).map(([name, tensor]) => {
    const { type } = network.graph.inputs.get(name)!;
    return [
      name,
      type === "float64" ? { ...tensor, type, data: Float64Array.from(tensor.data as Float32Array) } : tensor,
    ];
  });
  const outputs = await runOnce(network, { ...model.tensors, ...Object.fromEntries(typed) });

  const expected = expectedGradients(text, mode);
  const whole = Math.sqrt(Object.values(reference.gradients).reduce((sum, [norm]) => sum + norm ** 2, 0));
  const lossValue = Number(outputs.loss.data[0]);
  const result: Comparison = {
    mode,
    loss: Math.abs(lossValue - reference.loss) / reference.loss,
    worst: "",
    difference: 0,
    compared: 0,
    zero: 0,
    largestZero: 0,
    pytorchFloat32: reference.pytorchFloat32,
  };
  const found = new Map<string, Float32Array>();
  const lookups = lookedUp(file);
  for (const name of names) {
    const { data, shape } = outputs[`gradient of ${name}`];
    const own = text.renamed[name] ?? lookups.get(String(model.tensors[name].data)) ?? name;
    const plain = own.replace(/\.T$|\[.*\]$/, "");
    let values = data as Float32Array;
    if (own.endsWith(".T")) values = transposed(values, shape[0], shape[1]);
    if (own.endsWith("[rows]")) values = intoRows(values, rows![plain]);
    if (!expected[plain]) throw new UserError(`${file}: PyTorch's model has no parameter "${plain}"`);
    // A file may hold tied weights twice; their gradients add up to PyTorch's.
    const other = found.get(plain);
    found.set(plain, other ? values.map((value, index) => value + other[index]) : values);
  }
  const missing = Object.keys(expected).filter((name) => !found.has(name));
  for (const [name, values] of found) {
    const [norm] = expected[name];
    if (norm <= 1e-9 * whole) {
      result.zero++;
      result.largestZero = Math.max(result.largestZero, sketch(values)[0] / whole);
      continue;
    }
    result.compared++;
    const difference = sketchedDifference(sketch(values), expected[name]);
    if (!(difference <= result.difference)) Object.assign(result, { worst: name, difference });
  }
  if (missing.length > 0) throw new UserError(`${file}: no gradients for ${missing.join(", ")}`);
  return result;
}

/** PyTorch's, with those of a recurrent layer as the exporter put its weights together. */
function expectedGradients(text: ExportText, mode: Mode): Record<string, number[]> {
  const all = Object.entries(fixtures.models[text.model][mode]!.gradients);
  const separate = text.putTogether ? all.filter(([name]) => !/_[ih]h_l\d+(_reverse)?$/.test(name)) : all;
  return { ...Object.fromEntries(separate), ...text.gradients?.[mode] };
}

/** Cross entropy of the classes, which are axis 1 of images and else the last one; squared error of heat maps. */
function lossOf(model: string, network: ImportedNetwork): { loss: Value; target: TensorData } {
  const [logits] = network.logits.values();
  const { graph } = network;
  if (model === "simple_baseline") {
    const target = graph.input("target", "float32", logits.shape);
    const loss = mul(reduceSum(square(sub(logits, target))), 1 / elementCount(logits.shape));
    return { loss, target: uniform(`${model}.target`, logits.shape) };
  }
  const last = logits.shape.length === 4 ? transpose(logits, [0, 2, 3, 1]) : logits;
  const classes = last.shape.at(-1)!;
  const rows = elementCount(last.shape) / classes;
  const target = graph.input("target", "int32", [rows]);
  return {
    loss: softmaxCrossEntropy(reshape(last, [rows, classes]), target),
    target: tensorData(
      Array.from(integers(`${model}.target`, [rows], classes).data as BigInt64Array, Number),
      [rows],
      "int32",
    ),
  };
}

function inputOf(name: string, [kind, shape, below = 0]: InputText): TensorData {
  if (kind === "float32") return uniform(name, shape);
  if (kind === "int64") {
    const numbers = integers(name, shape, below).data as BigInt64Array;
    return { type: "int64", shape, data: numbers.map((number) => number + 1n) };
  }
  // A mask: the second example is four tokens shorter.
  const length = shape[1];
  const ones = Array.from({ length: elementCount(shape) }, (_, at) =>
    at >= length && at % length >= length - 4 ? 0 : 1,
  );
  return tensorData(ones, shape, "int64");
}

async function runOnce({ graph }: ImportedNetwork, feeds: Tensors): Promise<Tensors> {
  const engine = new OnnxRuntimeEngine({ threads: 1 });
  try {
    await engine.load("once", compile(graph));
    return (await engine.run("once", feeds)).outputs;
  } finally {
    await engine.close();
  }
}

/** The model to train, for the batch of the fixtures. */
export function trainable(file: string): TrainableModel {
  return new TrainableModel(exportedModel(file), { batchSize: 2, dropout: false });
}
