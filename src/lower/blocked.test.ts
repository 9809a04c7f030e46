import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Random, randomStream } from "../common/random.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { nodesOf } from "../graph/walk.ts";
import { readModel } from "../onnx/model.ts";
import { completeConvolution, conv, convWeightGradient } from "../ops/convolution.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { evaluateInBlocks, targets } from "../testing/blocks.ts";
import {
  type ConvolutionCase,
  caseFrom,
  convolutionInputs,
  convolutionOperators,
} from "../testing/convolutions.ts";
import { assertClose, evaluate, tensor } from "../testing/numeric.ts";
import { blockedConv, kernelOf } from "./blocked.ts";
import { compile } from "./compile.ts";
import { convAtOnce } from "./convolution.ts";
import { lower } from "./lower.ts";
import type { Target } from "./target.ts";

// Convolutions in blocks of channels. Which form is taken follows from shapes and target, so it is tested for every
// target; so are the numbers, against the plain forms, with blocks written in ONNX's operators. What ONNX Runtime's own
// kernels give is tested for the block of the processor at hand.

const engine = new OnnxRuntimeEngine({ threads: 1 });
const target = await engine.target();
await engine.close();
const skip = target.blockedChannels === undefined && "ONNX Runtime has no blocked convolution here";

const caseOf = caseFrom({ images: 16, channels: 16, outputs: 32, size: [9, 10], kernel: [3, 3] });

type Form =
  | "one by one"
  | "at once"
  | "in blocks"
  | "at once in blocks"
  | "transposed"
  | "phases"
  | "columns"
  | "convolution";
type Forms = Record<"y" | "dx" | "dw", Form>;
const forms = (y: Form, dx: Form, dw: Form): Forms => ({ y, dx, dw });

/** The forms of the convolution and its gradients where all are in blocks, and where none is. */
const inBlocks = forms("in blocks", "in blocks", "in blocks");
const plain = forms("one by one", "one by one", "convolution");
const everywhere = (same: Forms) => ({ "8": same, "16": same, none: same });
const withBlocks = (blocked: Forms, none: Forms) => ({ "8": blocked, "16": blocked, none });
const inEight = { "8": inBlocks, "16": plain, none: plain };

const padded = { pads: [1, 1, 1, 1] };
/** Cases with what is expected for each target; the rules are at `blockThatPays` and its neighbors. */
const named: Record<string, [ConvolutionCase, Record<keyof typeof targets, Forms>]> = {
  "whole blocks of 16": [caseOf(padded), withBlocks(inBlocks, plain)],
  "channels that fill one and a half blocks of 16": [
    caseOf({ channels: 24, ...padded }),
    withBlocks(inBlocks, plain),
  ],
  "filters that fill one and a half blocks of 16": [
    caseOf({ outputs: 24, ...padded }),
    withBlocks(inBlocks, plain),
  ],
  "channels that nearly fill their blocks": [
    caseOf({ channels: 12, ...padded }),
    withBlocks(inBlocks, plain),
  ],
  "filters that fill two and a half blocks of 8": [caseOf({ outputs: 20, ...padded }), inEight],
  "channels that fill half a block": [
    caseOf({ channels: 4, ...padded }),
    everywhere({ ...plain, dx: "transposed" }),
  ],
  "filters that do not fill their blocks": [caseOf({ outputs: 9, ...padded }), everywhere(plain)],
  "images in whole blocks of 8": [
    caseOf({ images: 24, ...padded }),
    { "8": inBlocks, "16": { ...inBlocks, dw: "convolution" }, none: plain },
  ],
  "few images": [
    caseOf({ images: 3, size: [20, 20], ...padded }),
    withBlocks({ ...inBlocks, dw: "convolution" }, plain),
  ],
  "one image": [
    caseOf({ images: 1, size: [40, 40], ...padded }),
    withBlocks({ ...inBlocks, dw: "convolution" }, plain),
  ],
  "1,024 places": [caseOf({ outputs: 16, size: [8, 8], ...padded }), withBlocks(inBlocks, plain)],
  "1,008 places": [
    caseOf({ outputs: 16, size: [7, 9], ...padded }),
    withBlocks({ ...plain, dw: "in blocks" }, plain),
  ],
  "few places, and images in whole blocks of 8": [
    caseOf({ images: 8, outputs: 16, size: [11, 11], ...padded }),
    { "8": { ...plain, dw: "in blocks" }, "16": plain, none: plain },
  ],
  "more filters than places": [
    caseOf({ images: 128, size: [4, 4], ...padded }),
    withBlocks(inBlocks, { ...plain, y: "at once" }),
  ],
  "four times as many filters as places": [
    caseOf({ images: 128, outputs: 64, size: [4, 4], ...padded }),
    withBlocks(inBlocks, { ...plain, y: "at once" }),
  ],
  "many more filters than places": [
    caseOf({ images: 96, outputs: 96, size: [4, 3], ...padded }),
    withBlocks(
      forms("at once in blocks", "transposed", "in blocks"),
      forms("at once", "transposed", "convolution"),
    ),
  ],
  "many more filters than places, blocks of 8": [
    caseOf({ images: 96, channels: 24, outputs: 72, size: [4, 3], ...padded }),
    {
      "8": forms("at once in blocks", "in blocks", "in blocks"),
      "16": forms("at once", "at once", "convolution"),
      none: forms("at once", "at once", "convolution"),
    },
  ],
  "many more filters than places, strides": [
    caseOf({ images: 96, outputs: 96, size: [8, 6], strides: [2, 2], ...padded }),
    withBlocks(forms("at once", "phases", "in blocks"), forms("at once", "transposed", "convolution")),
  ],
  strides: [
    caseOf({ size: [20, 21], strides: [2, 2], ...padded }),
    withBlocks({ ...inBlocks, dx: "phases" }, { ...plain, dx: "transposed" }),
  ],
  "a kernel smaller than the stride": [
    caseOf({ size: [24, 25], kernel: [2, 2], strides: [3, 2] }),
    withBlocks({ ...inBlocks, dx: "phases" }, { ...plain, dx: "transposed" }),
  ],
  "strides along one axis": [
    caseOf({ size: [20, 21], kernel: [5, 3], strides: [1, 2], pads: [2, 1, 2, 1] }),
    withBlocks({ ...inBlocks, dx: "phases" }, { ...plain, dx: "transposed" }),
  ],
  "strides and dilations": [
    caseOf({ size: [20, 21], strides: [2, 2], dilations: [2, 1], pads: [2, 1, 2, 1] }),
    withBlocks({ ...inBlocks, dx: "transposed" }, { ...plain, dx: "transposed" }),
  ],
  "strides, and padding larger than the kernel reaches": [
    caseOf({ size: [20, 21], strides: [2, 2], pads: [4, 3, 5, 4] }),
    withBlocks({ ...inBlocks, dx: "transposed" }, { ...plain, dx: "transposed" }),
  ],
  "strides, and channels that nearly fill their blocks": [
    caseOf({ channels: 12, size: [20, 21], strides: [2, 2], ...padded }),
    withBlocks({ ...inBlocks, dx: "phases" }, { ...plain, dx: "transposed" }),
  ],
  "stride that does not divide": [
    caseOf({ size: [30, 17], strides: [3, 2], pads: [0, 1, 2, 0] }),
    withBlocks({ ...inBlocks, dx: "phases" }, { ...plain, dx: "transposed" }),
  ],
  "dilation of the first axis": [
    caseOf({ size: [14, 11], dilations: [2, 1], pads: [2, 1, 0, 1] }),
    withBlocks(inBlocks, plain),
  ],
  "dilations of both axes": [
    caseOf({ size: [14, 12], dilations: [2, 3], pads: [2, 3, 2, 3] }),
    withBlocks({ ...inBlocks, dw: "convolution" }, plain),
  ],
  "a kernel that is not square": [
    caseOf({ size: [12, 11], kernel: [2, 5], pads: [1, 0, 0, 3] }),
    withBlocks(inBlocks, plain),
  ],
  "padding larger than the kernel reaches": [caseOf({ pads: [4, 3, 5, 4] }), withBlocks(inBlocks, plain)],
  groups: [caseOf({ channels: 32, group: 2, ...padded }), everywhere(plain)],
  "one tap": [caseOf({ kernel: [1, 1], size: [12, 12] }), everywhere({ ...plain, dw: "columns" })],
  "three channels": [
    caseOf({ channels: 3, ...padded }),
    everywhere(forms("one by one", "transposed", "columns")),
  ],
  "1-D": [caseOf({ size: [200], kernel: [3], pads: [1, 1] }), everywhere(plain)],
  "3-D": [caseOf({ size: [5, 5, 6], kernel: [2, 2, 2] }), everywhere(plain)],
};

function randomCase(random: Random, block: number): ConvolutionCase {
  const size = (largest: number) => 1 + random.integer(largest);
  const many = (draw: () => number, count = 2) => Array.from({ length: count }, draw);
  const kernel = many(() => size(4));
  const dilations = many(() => size(2));
  return {
    images: block * size(2),
    channels: block * size(3) - random.integer(block / 4),
    outputs: block * size(5) - random.integer(block / 4),
    size: kernel.map((taps, axis) => dilations[axis] * (taps - 1) + size(9)),
    kernel,
    strides: many(() => size(3)),
    dilations,
    pads: many(() => random.integer(5), 4),
    group: 1,
  };
}

function start(problem: ConvolutionCase, random: Random) {
  const inputs = convolutionInputs(problem, random);
  const operators: Record<string, Value> = convolutionOperators(inputs, problem);
  return { ...inputs, operators };
}

/** The form that a convolution, or a gradient of one, of a graph without outputs is lowered to. */
function formOf(value: Value, target: Target): Form {
  value.graph.output("value", value);
  const nodes = nodesOf(lower(value.graph, { target }).outputs.values());
  value.graph.outputs.clear();
  const has = (name: string) => nodes.some(({ operator }) => operator === name);
  const blocked = has("ReorderInput");
  if (has("ConvTranspose")) return "transposed";
  if (nodes.filter(({ operator }) => operator === "Conv").length > 1) return "phases";
  if (value.origin.kind === "node" && value.origin.node.operator === "ConvWeightGradient")
    return blocked ? "in blocks" : has("MatMul") ? "columns" : "convolution";
  // All images at once are innermost in the places of one.
  const convolution = nodes.find(({ operator }) => operator === "Conv")!;
  if (convolution.inputs[0]!.shape[0] === value.shape[0]) return blocked ? "in blocks" : "one by one";
  return blocked ? "at once in blocks" : "at once";
}

/** Compares what is computed for every block, and by this processor's kernels, with the plain forms. */
async function check(problem: ConvolutionCase, random: Random, blocks: readonly number[] = [4, 8, 16]) {
  const { operators, feeds } = start(problem, random);
  const expected = await evaluate(operators, feeds);
  operators.y.graph.outputs.clear();
  const compare = (actual: Record<string, number[]>, how: string) => {
    for (const name of Object.keys(operators))
      assertClose(actual[name], expected[name], 1e-5, `${name} of ${JSON.stringify(problem)} ${how}`);
  };
  for (const block of blocks)
    compare(await evaluateInBlocks(operators, feeds, block), `in blocks of ${block}`);
  if (!skip) compare(await evaluate(operators, feeds, { target }), "by this processor's kernels");
  operators.y.graph.outputs.clear();
}

describe("a convolution and its gradients in blocks", () => {
  for (const [name, [problem, expected]] of Object.entries(named)) {
    for (const block of Object.keys(targets) as (keyof typeof targets)[]) {
      test(`${name}, blocks: ${block}: the form`, () => {
        const { operators } = start(problem, randomStream(7, name));
        const actual = Object.entries(operators).map(([key, value]) => [key, formOf(value, targets[block])]);
        assert.deepEqual(Object.fromEntries(actual), expected[block]);
      });
    }
    test(`${name}: the plain numbers`, () => check(problem, randomStream(7, name)));
  }

  test("random settings", async () => {
    for (let index = 0; index < 24; index++) {
      const random = randomStream(7, "random settings", index);
      const block = [4, 8, 16][index % 3];
      await check(randomCase(random, block), random, [block]);
    }
  });

  test("the forms by themselves, however few the places", async () => {
    for (let index = 0; index < 40; index++) {
      const random = randomStream(7, "forms", index);
      const block = [4, 8, 16][index % 3];
      const problem = { ...randomCase(random, block), images: 1 + random.integer(4) };
      const { x, weight, bias, operators, feeds } = start(problem, random);
      const built = (blockedChannels: number) => ({
        blocked: blockedConv(x, kernelOf(weight).filters(blockedChannels), bias, problem, weight.shape[0]),
        atOnce: convAtOnce(x, kernelOf(weight), bias, problem, { blockedChannels }),
      });
      const { y } = await evaluate({ y: operators.y }, feeds);
      operators.y.graph.outputs.clear();
      const actual = { ...(await evaluateInBlocks(built(block), feeds, block)) };
      if (target.blockedChannels === block) {
        for (const [name, form] of Object.entries(await evaluate(built(block), feeds, { target })))
          actual[`${name} by this processor's kernels`] = form;
      }
      for (const [name, form] of Object.entries(actual))
        assertClose(form, y, 1e-5, `${name} of ${JSON.stringify(problem)}`);
    }
  });

  test("the same bits in every run", { skip }, async () => {
    const { operators, feeds } = start(named["whole blocks of 16"][0], randomStream(7, "bits"));
    const first = await evaluate(operators, feeds, { target });
    operators.y.graph.outputs.clear();
    assert.deepEqual(await evaluate(operators, feeds, { target }), first);
  });

  test("float64 is left alone", () => {
    const graph = new Graph();
    const x = graph.input("x", "float64", [16, 16, 9, 9]);
    const weight = graph.input("weight", "float64", [16, 16, 3, 3]);
    const y = conv(x, weight);
    graph.output("y", y);
    graph.output("dw", convWeightGradient(x, y, [3, 3], completeConvolution({}, 2)));
    for (const target of Object.values(targets)) assert.deepEqual(compile(graph, { target }), compile(graph));
  });
});

describe("operators of one target stay out of files", () => {
  const domainsOf = (bytes: Uint8Array) => {
    const { opsetImport, graph } = readModel(bytes);
    return [...new Set([...opsetImport, ...graph!.node].map(({ domain }) => domain))].sort();
  };
  const built = () => {
    const { operators } = start(
      caseOf({ images: 32, channels: 16, outputs: 16, ...padded }),
      randomStream(7, "files"),
    );
    const { graph } = operators.y;
    for (const [name, value] of Object.entries(operators)) graph.output(name, value);
    return graph;
  };

  test("a program has them only for a target that does", () => {
    assert.deepEqual(domainsOf(compile(built(), { target: targets["16"] })), ["", "com.microsoft.nchwc"]);
    assert.deepEqual(domainsOf(compile(built())), [""]);
    assert.deepEqual(compile(built(), { target: {} }), compile(built()));
  });

  test("a model with weights inside has none, whatever the target", () => {
    const weight = tensor(new Float32Array(16 * 16 * 9), [16, 16, 3, 3], "float32");
    const weights = new Map([["weight", weight]]);
    assert.deepEqual(domainsOf(compile(built(), { weights, target: targets["16"] })), [""]);
  });

  test("writing them takes naming their domain", () => {
    const lowered = lower(built(), { target: targets["16"] });
    assert.throws(() => toOnnx(lowered, { opset: 13 }), /ReorderInput has no ONNX form/);
  });
});
