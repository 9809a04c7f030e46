import { Graph, type Value } from "../graph/graph.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { blockedConv, inBlocks, kernelOf, targetDomains } from "../lower/blocked.ts";
import { withSumsInConvolutions } from "../lower/sums.ts";
import type { Target } from "../lower/target.ts";
import { writeModel } from "../onnx/model.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { conv } from "../ops/convolution.ts";
import type { Tensors } from "./engine.ts";

/** What a session of a model is asked for. */
export interface ProbedSession {
  /** The shape of the first output as far as it is known without running anything. */
  readonly outputShape: readonly (number | string)[];
  run(feeds: Tensors): Promise<Tensors>;
  release(): Promise<void>;
}

/**
 * Finds out what can be compiled for by trying it: the blocked convolution is internal to ONNX Runtime, so another
 * version may lack it, and its block depends on the processor. Whatever goes wrong, it is not used.
 */
export async function probeTarget(open: (model: Uint8Array) => Promise<ProbedSession>): Promise<Target> {
  try {
    const block = await sizeOfBlock(open);
    return block > 1 && (await agrees(open, block)) ? { blockedChannels: block } : {};
  } catch {
    return {};
  }
}

/** What ONNX Runtime says that one channel becomes in blocks. Nothing is run: not every machine has a kernel. */
async function sizeOfBlock(open: (model: Uint8Array) => Promise<ProbedSession>): Promise<number> {
  const graph = new Graph();
  graph.output("y", inBlocks(graph.input("x", "float32", [1, 1, 1, 1])));
  const model = toOnnx(graph, { opset: 13, domains: targetDomains });
  const type = model.graph!.output[0].type!.value;
  if (type.case === "tensorType") type.value.shape = undefined;
  const session = await open(writeModel(model));
  await session.release();
  return Number(session.outputShape[1]);
}

/**
 * Whether a small convolution in blocks, which its channels do not quite fill, comes to what ONNX's does; and one that adds another
 * one's result to its own.
 */
async function agrees(open: (model: Uint8Array) => Promise<ProbedSession>, block: number): Promise<boolean> {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2, 2 * block - 1, 5, 9]);
  const weight = graph.input("weight", "float32", [3 * block - 1, 2 * block - 1, 3, 2]);
  const bias = graph.input("bias", "float32", [3 * block - 1]);
  const settings = { strides: [2, 1], pads: [1, 0, 2, 1], dilations: [1, 2], group: 1 };
  const filters = kernelOf(weight).filters(block);
  const blocked = (value: Value) => blockedConv(value, filters, bias, settings, weight.shape[0]);
  const half = mul(x, 0.5);
  graph.output("plain", conv(x, weight, bias, settings));
  graph.output("plain half", conv(half, weight, bias, settings));
  graph.output("blocked", blocked(x));
  graph.output("blocked sum", add(blocked(x), blocked(half)));
  const program = toOnnx(withSumsInConvolutions(graph), { opset: 13, domains: targetDomains });
  const session = await open(writeModel(program));
  try {
    const feeds = Object.fromEntries([...graph.inputs].map(([name, { shape }]) => [name, waves(shape)]));
    const results = await session.run(feeds);
    const [plain, plainHalf, one, sum] = ["plain", "plain half", "blocked", "blocked sum"].map(
      (name) => results[name].data as Float32Array,
    );
    return plain.every(
      (value, at) => Math.abs(one[at] - value) < 1e-3 && Math.abs(sum[at] - value - plainHalf[at]) < 1e-3,
    );
  } finally {
    await session.release();
  }
}

/** Numbers between −1 and 1 without a pattern. */
function waves(shape: readonly number[]): TensorData {
  const count = shape.reduce((product, size) => product * size, 1);
  return { type: "float32", shape, data: Float32Array.from({ length: count }, (_, at) => Math.sin(at * at)) };
}
