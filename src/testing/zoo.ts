import { readFileSync } from "node:fs";
import { gradients } from "../autodiff/gradients.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { createModel } from "../nn/models.ts";
import { buildModel, initialTensors, type Model, parameterCount } from "../nn/module.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul } from "../ops/arithmetic.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { reduceMean } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { integers, parameter, sketch, sketchedDifference, uniform } from "./fill.ts";

// A network of the zoo against the PyTorch network of that name: fixtures/pytorch/zoo.py made the numbers.

/** What PyTorch computes, in float64. */
export interface ZooExpectation {
  inputShape: [channels: number, height: number, width: number];
  /** Trainable numbers. */
  count: number;
  logits: number[];
  loss: number;
  inferenceLogits: number[];
  parameters: Record<
    string,
    { shape: number[]; initial: [rootMeanSquare: number, kurtosis: number]; gradient: number[] }
  >;
  buffers: Record<string, number[]>;
  /** How far PyTorch's float32 is from its float64. */
  float32: { logits: number; gradients: number; worst: string };
}

/** A file of fixtures/pytorch: what PyTorch computes for each network, by its name. */
export function readZoo(name: string): Record<string, ZooExpectation> {
  return JSON.parse(readFileSync(new URL(`../../fixtures/pytorch/${name}`, import.meta.url), "utf8")).models;
}

/** Whether a network is small enough for the quick tests to draw its weights. */
export function isSmall([, { count }]: readonly [string, ZooExpectation]): boolean {
  return count < 5e6;
}

/** Relative differences from PyTorch: of logits by the largest of them, of gradients and buffers by their norm. */
export interface ZooComparison {
  logits: number;
  loss: number;
  inferenceLogits: number;
  /** The worst parameter's. */
  gradients: number;
  worst: string;
  /** The worst buffer's. */
  buffers: number;
}

const batchSize = 4;
const classes = 10;

/** A network of the zoo as the fixture was made for it. */
export function buildZooModel(
  name: string,
  { inputShape }: Pick<ZooExpectation, "inputShape">,
  { training = true, type = "float32" }: { training?: boolean; type?: "float32" | "float64" } = {},
): Model {
  const [channels, height, width] = inputShape;
  const layer = createModel(name, { channels, height, width, classes });
  return buildModel(layer, { inputShape, batchSize, training, type });
}

/** Throws where counts, names or shapes differ; returns how far the numbers are apart. */
export async function compareWithPyTorch(
  name: string,
  expected: ZooExpectation,
  type: "float32" | "float64" = "float32",
): Promise<ZooComparison> {
  const model = buildZooModel(name, expected, { type });
  requireSameTensors(model, expected);
  const { graph, bufferUpdates, parameters, randomInputs } = model;
  const logits = logitsOf(model);
  const target = graph.input("target", "int32", [batchSize]);
  const loss = softmaxCrossEntropy(logits, target, { labelSmoothing: 0.1 });
  const inputs = parameters.map((info) => graph.inputs.get(info.name)!);
  const random = randomInputs.map(({ origin, shape }) => {
    const input = origin.kind === "input" ? origin.name : "";
    return [input, uniform(input, shape, 0, 1)] as const;
  });
  const cast = (tensor: ReturnType<typeof uniform>) =>
    type === "float32" ? tensor : { ...tensor, type, data: Float64Array.from(tensor.data as Float32Array) };
  const weights: Tensors = Object.fromEntries(
    [...parameters, ...model.buffers].map((info) => [info.name, cast(parameter(info.name, info.shape))]),
  );
  const batch: Tensors = {
    input: cast(uniform("input", [batchSize, ...expected.inputShape])),
    target: {
      type: "int32",
      shape: [batchSize],
      data: Int32Array.from(integers("target", [batchSize], classes).data as BigInt64Array, Number),
    },
    ...Object.fromEntries(random.map(([input, tensor]) => [input, cast(tensor)])),
  };
  for (const [index, gradient] of gradients(loss, inputs).entries()) {
    graph.output(`gradient of ${parameters[index].name}`, gradient);
  }
  for (const [buffer, next] of bufferUpdates) graph.output(`next ${buffer}`, next);
  graph.output("logits", logits);
  graph.output("loss", loss);
  const trained = await runOnce(graph, weights, batch);

  const inference = buildZooModel(name, expected, { training: false, type });
  inference.graph.output("logits", logitsOf(inference));
  for (const buffer of model.buffers) weights[buffer.name] = trained[`next ${buffer.name}`];
  const after = await runOnce(inference.graph, weights, { input: batch.input });

  const total = Math.hypot(...Object.values(expected.parameters).map(({ gradient }) => gradient[0]));
  const errors = Object.entries(expected.parameters).map(([parameterName, { gradient }]) => {
    const actual = sketch(numbersOf(trained[`gradient of ${parameterName}`]));
    // A bias before BatchNorm has no gradient but rounding, which is small beside the gradient as a whole.
    const error = gradient[0] > 1e-9 * total ? sketchedDifference(actual, gradient) : actual[0] / total;
    return { name: parameterName, error };
  });
  const worst = errors.reduce((a, b) => (b.error > a.error ? b : a));
  return {
    logits: largestDifference(numbersOf(trained.logits), expected.logits),
    loss: largestDifference(numbersOf(trained.loss), [expected.loss]),
    inferenceLogits: largestDifference(numbersOf(after.logits), expected.inferenceLogits),
    gradients: worst.error,
    worst: worst.name,
    buffers: Math.max(
      ...Object.entries(expected.buffers).map(([buffer, sketched]) =>
        sketchedDifference(sketch(numbersOf(trained[`next ${buffer}`])), sketched),
      ),
    ),
  };
}

/** [N, classes]: of maps the means, each pixel with a factor of its own. */
function logitsOf({ graph, logits: output, input }: Model): Value {
  if (output.shape.length === 2) return output;
  const { data } = uniform("maps", output.shape);
  const factors = graph.constant(tensorData(data as Float32Array, output.shape, input.type));
  return reduceMean(mul(output, factors), [2, 3]);
}

/** The names that are there, their order and shapes, and the number of trainable numbers. */
export function requireSameTensors(model: Model, { count, parameters, buffers }: ZooExpectation): void {
  const described = (tensors: readonly { name: string; shape: readonly number[] }[]) =>
    tensors.map(({ name, shape }) => `${name} [${shape.join(", ")}]`).join("\n");
  const wanted = described(Object.entries(parameters).map(([name, { shape }]) => ({ name, shape })));
  if (described(model.parameters) !== wanted) {
    throw new Error(`parameters\n${described(model.parameters)}\ninstead of\n${wanted}`);
  }
  const names = model.buffers.map(({ name }) => name).join("\n");
  if (names !== Object.keys(buffers).join("\n")) throw new Error(`buffers\n${names}`);
  if (parameterCount(model) !== count) throw new Error(`${parameterCount(model)} trainable numbers`);
}

/** Throws where initial weights are not distributed as PyTorch's: mean square and kurtosis of each parameter. */
export function requireSameStart(name: string, expected: ZooExpectation): void {
  const start = initialTensors(buildZooModel(name, expected), 3);
  for (const [parameterName, { shape, initial }] of Object.entries(expected.parameters)) {
    const values = start[parameterName].data as Float32Array;
    const square = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
    const [rootMeanSquare, kurtosis] = initial;
    const what = `${parameterName} [${shape.join(", ")}]`;
    // Both are estimates; the square's relative variance is (kurtosis − 1)/n, and six deviations are allowed.
    const slack = 6 * Math.sqrt((2 * Math.max(0, kurtosis - 1)) / values.length) + 1e-6;
    if (!(Math.abs(square - rootMeanSquare ** 2) <= slack * rootMeanSquare ** 2)) {
      throw new Error(`${what}: mean square ${square}, not ${rootMeanSquare ** 2}`);
    }
    if (values.length < 1000 || square === 0) continue;
    // 1 for a constant, 1.8 for uniform numbers, 3 for normal ones.
    const fourth = values.reduce((sum, value) => sum + value ** 4, 0) / values.length / square ** 2;
    if (!(Math.abs(fourth - kurtosis) < (kurtosis - 0.999) * 0.35)) {
      throw new Error(`${what}: kurtosis ${fourth}, not ${kurtosis}`);
    }
  }
}

async function runOnce(graph: Graph, weights: Tensors, feeds: Tensors): Promise<Tensors> {
  const engine = new OnnxRuntimeEngine({ threads: 1 });
  try {
    await engine.load("zoo", compile(graph));
    return (await engine.run("zoo", { ...weights, ...feeds })).outputs;
  } finally {
    await engine.close();
  }
}

function numbersOf({ data }: Tensors[string]): ArrayLike<number> {
  return data as Float32Array;
}

function largestDifference(actual: ArrayLike<number>, expected: readonly number[]): number {
  const scale = Math.max(...expected.map(Math.abs));
  return Math.max(...expected.map((value, index) => Math.abs(actual[index] - value) / scale));
}
