import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Random, randomStream } from "../common/random.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { nodesOf } from "../graph/walk.ts";
import { readModel } from "../onnx/model.ts";
import { completeConvolution, conv, convWeightGradient } from "../ops/convolution.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import {
  type ConvolutionCase,
  caseFrom,
  convolutionInputs,
  convolutionOperators,
} from "../testing/convolutions.ts";
import { assertClose, evaluate, tensor } from "../testing/numeric.ts";
import { blockedConv, type Target } from "./blocked.ts";
import { compile } from "./compile.ts";
import { convAtOnce } from "./convolution.ts";
import { lower } from "./lower.ts";

// Convolutions in ONNX Runtime's blocks of channels, against the plain forms. Where this machine has no blocks there is
// nothing to run.

const engine = new OnnxRuntimeEngine({ threads: 1 });
const target = await engine.target();
await engine.close();
const block = target.blockedChannels ?? 16;
const skip = target.blockedChannels === undefined && "ONNX Runtime has no blocked convolution here";

const caseOf = caseFrom({
  images: block,
  channels: block,
  outputs: 2 * block,
  size: [9, 10],
  kernel: [3, 3],
});

/** Which of a case's three operators are to be found in blocks. */
type InBlocks = readonly ("y" | "dx" | "dw")[];

const padded = { pads: [1, 1, 1, 1] };
const named: Record<string, [ConvolutionCase, InBlocks]> = {
  "3×3 with padding": [caseOf({ images: 2 * block, ...padded }), ["y", "dx", "dw"]],
  "several blocks on the way in": [
    caseOf({ channels: 3 * block, outputs: block, ...padded }),
    ["y", "dx", "dw"],
  ],
  "padding larger than the kernel reaches": [caseOf({ pads: [4, 3, 5, 4] }), ["y", "dx", "dw"]],
  strides: [caseOf({ size: [20, 21], strides: [2, 2], ...padded }), ["y", "dw"]],
  "stride that does not divide": [
    caseOf({ size: [30, 17], strides: [3, 2], pads: [0, 1, 2, 0] }),
    ["y", "dw"],
  ],
  "dilation of the first axis": [
    caseOf({ size: [14, 11], dilations: [2, 1], pads: [2, 1, 0, 1] }),
    ["y", "dx", "dw"],
  ],
  "dilations of both axes": [caseOf({ size: [14, 12], dilations: [2, 3], pads: [2, 3, 2, 3] }), ["y", "dx"]],
  "a kernel that is not square": [
    caseOf({ size: [12, 11], kernel: [2, 5], pads: [1, 0, 0, 3] }),
    ["y", "dx", "dw"],
  ],
  "many more filters than places": [
    caseOf({ images: 12 * block, outputs: 6 * block, size: [4, 3], ...padded }),
    ["y", "dw"],
  ],
  "few images": [caseOf({ images: 3, size: [20, 20], ...padded }), ["y", "dx"]],
  "few places": [caseOf({ size: [4, 4], ...padded }), ["dw"]],
  "channels that are no whole blocks": [caseOf({ channels: block + 4, ...padded }), []],
  "filters that are no whole blocks": [caseOf({ outputs: block + 4, ...padded }), []],
  groups: [caseOf({ channels: 2 * block, group: 2, ...padded }), []],
  "one tap": [caseOf({ kernel: [1, 1], size: [12, 12] }), []],
  "1-D": [caseOf({ size: [200], kernel: [3], pads: [1, 1] }), []],
  "3-D": [caseOf({ size: [5, 5, 6], kernel: [2, 2, 2] }), []],
};

function randomCase(random: Random): ConvolutionCase {
  const size = (largest: number) => 1 + random.integer(largest);
  const many = (draw: () => number, count = 2) => Array.from({ length: count }, draw);
  const kernel = many(() => size(4));
  const dilations = many(() => size(2));
  return {
    images: block * size(2),
    channels: block * size(3),
    outputs: block * size(5),
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

/** Whether a value of a graph without outputs is lowered to something in blocks. */
function isBlocked(value: Value): boolean {
  value.graph.output("value", value);
  const lowered = lower(value.graph, { target: { blockedChannels: block } });
  value.graph.outputs.clear();
  return nodesOf(lowered.outputs.values()).some(({ operator }) => operator === "ReorderInput");
}

async function check(problem: ConvolutionCase, random: Random) {
  const { operators, feeds } = start(problem, random);
  const expected = await evaluate(operators, feeds);
  operators.y.graph.outputs.clear();
  const actual = await evaluate(operators, feeds, { target });
  for (const name of Object.keys(operators))
    assertClose(actual[name], expected[name], 1e-5, `${name} of ${JSON.stringify(problem)}`);
}

describe("a convolution and its gradients in blocks", () => {
  for (const [name, [problem, inBlocks]] of Object.entries(named)) {
    test(`${name}: what is in blocks`, () => {
      const { operators } = start(problem, randomStream(7, name));
      assert.deepEqual(
        Object.keys(operators).filter((operator) => isBlocked(operators[operator])),
        inBlocks,
      );
    });
    test(`${name}: the plain numbers`, { skip }, () => check(problem, randomStream(7, name)));
  }

  test("random settings", { skip }, async () => {
    for (let index = 0; index < 25; index++) {
      const random = randomStream(7, "random settings", index);
      await check(randomCase(random), random);
    }
  });

  test("the forms by themselves, however few the places", { skip }, async () => {
    for (let index = 0; index < 40; index++) {
      const random = randomStream(7, "forms", index);
      const problem = { ...randomCase(random), images: 1 + random.integer(4) };
      const { x, weight, bias, operators, feeds } = start(problem, random);
      const forms = {
        y: operators.y,
        blocked: blockedConv(x, weight, bias, problem, block),
        atOnce: convAtOnce(x, weight, bias, problem, target),
      };
      const { y, ...others } = await evaluate(forms, feeds, { target });
      for (const [name, form] of Object.entries(others))
        assertClose(form, y, 1e-5, `${name} of ${JSON.stringify(problem)}`);
    }
  });

  test("the same bits in every run", { skip }, async () => {
    const { operators, feeds } = start(named["3×3 with padding"][0], randomStream(7, "bits"));
    const first = await evaluate(operators, feeds, { target });
    operators.y.graph.outputs.clear();
    assert.deepEqual(await evaluate(operators, feeds, { target }), first);
  });

  test("float64 is left alone", () => {
    const graph = new Graph();
    const x = graph.input("x", "float64", [block, block, 9, 9]);
    const weight = graph.input("weight", "float64", [block, block, 3, 3]);
    assert.ok(!isBlocked(conv(x, weight)));
    assert.ok(!isBlocked(convWeightGradient(x, conv(x, weight), [3, 3], completeConvolution({}, 2))));
  });
});

describe("operators of one target stay out of files", () => {
  const domainsOf = (bytes: Uint8Array) => {
    const { opsetImport, graph } = readModel(bytes);
    return [...new Set([...opsetImport, ...graph!.node].map(({ domain }) => domain))].sort();
  };
  const both: Target = { blockedChannels: 16 };
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
    assert.deepEqual(domainsOf(compile(built(), { target: both })), ["", "com.microsoft.nchwc"]);
    assert.deepEqual(domainsOf(compile(built())), [""]);
    assert.deepEqual(compile(built(), { target: {} }), compile(built()));
  });

  test("a model with weights inside has none, whatever the target", () => {
    const weight = tensor(new Float32Array(16 * 16 * 9), [16, 16, 3, 3], "float32");
    const weights = new Map([["weight", weight]]);
    assert.deepEqual(domainsOf(compile(built(), { weights, target: both })), [""]);
  });

  test("writing them takes naming their domain", () => {
    const lowered = lower(built(), { target: both });
    assert.throws(() => toOnnx(lowered, { opset: 13 }), /ReorderInput has no ONNX form/);
  });
});
