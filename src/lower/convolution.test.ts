import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Random, randomStream } from "../common/random.ts";
import type { Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { conv } from "../ops/convolution.ts";
import {
  type ConvolutionCase,
  caseFrom,
  convolutionInputs,
  convolutionOperators,
} from "../testing/convolutions.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { kernelOf } from "./blocked.ts";
import { convAtOnce } from "./convolution.ts";
import { inputGradientForms } from "./input-gradient.ts";
import { lower } from "./lower.ts";
import type { Target } from "./target.ts";
import { weightGradient, weightGradientForms } from "./weight-gradient.ts";

// Every lowered form of a convolution and its gradients in float32, against the float64 form, which goes tap by tap.

const caseOf = caseFrom({ images: 2, channels: 4, outputs: 6, size: [7, 7], kernel: [3, 3] });

const named: Record<string, ConvolutionCase> = {
  "3×3 with padding": caseOf({ pads: [1, 1, 1, 1] }),
  "padding larger than the kernel reaches": caseOf({ pads: [4, 3, 5, 4] }),
  "padding larger than the kernel reaches, strides": caseOf({ pads: [4, 3, 5, 4], strides: [2, 3] }),
  "one tap with padding": caseOf({ kernel: [1, 1], pads: [1, 2, 0, 1] }),
  "one tap with strides": caseOf({ kernel: [1, 1], strides: [2, 2] }),
  "one tap, more products than operands": caseOf({
    kernel: [1, 1],
    size: [2, 2],
    channels: 16,
    outputs: 24,
    images: 5,
  }),
  "stride larger than the kernel": caseOf({ kernel: [2, 2], strides: [3, 4], size: [10, 11] }),
  "stride that does not divide": caseOf({ strides: [2, 2], size: [8, 10] }),
  "stride that does not divide, padding on one side": caseOf({
    strides: [3, 2],
    size: [9, 8],
    pads: [0, 1, 2, 0],
  }),
  dilations: caseOf({ dilations: [2, 3], size: [9, 10], pads: [2, 3, 2, 3] }),
  "dilations and strides": caseOf({
    dilations: [2, 3],
    strides: [3, 2],
    size: [11, 10],
    pads: [1, 0, 2, 3],
  }),
  groups: caseOf({ group: 2, pads: [1, 1, 1, 1] }),
  "groups with strides and dilations": caseOf({
    group: 3,
    channels: 6,
    outputs: 9,
    strides: [2, 1],
    dilations: [1, 2],
  }),
  depthwise: caseOf({ group: 4, outputs: 4, pads: [1, 1, 1, 1] }),
  "depthwise with several outputs each": caseOf({ group: 4, outputs: 8, strides: [2, 2] }),
  "one channel": caseOf({ channels: 1, kernel: [5, 5], pads: [2, 2, 2, 2] }),
  "many channels": caseOf({ channels: 19, outputs: 17, pads: [1, 1, 1, 1] }),
  "more filters than places": caseOf({ outputs: 20, size: [4, 4], images: 5, pads: [1, 1, 1, 1] }),
  "more filters than places, strides": caseOf({ outputs: 20, size: [5, 6], images: 3, strides: [2, 2] }),
  "more filters than places, groups": caseOf({ outputs: 24, group: 2, size: [4, 3], strides: [1, 1] }),
  "a batch of one": caseOf({ images: 1, outputs: 20, size: [4, 4] }),
  "the kernel covers the image": caseOf({ size: [4, 5], kernel: [4, 5], outputs: 7 }),
  "1-D": caseOf({ size: [12], kernel: [4], pads: [1, 2] }),
  "1-D with stride, dilation and groups": caseOf({
    size: [15],
    kernel: [3],
    strides: [2],
    dilations: [3],
    group: 2,
  }),
  "3-D": caseOf({ size: [4, 5, 6], kernel: [2, 3, 2], pads: [1, 0, 1, 0, 1, 1] }),
  "3-D with strides": caseOf({ size: [5, 5, 6], kernel: [2, 3, 2], strides: [2, 1, 2], outputs: 40 }),
  "3-D with dilations": caseOf({ size: [5, 5, 6], kernel: [2, 2, 2], dilations: [2, 1, 3] }),
};

function randomCase(random: Random): ConvolutionCase {
  const size = (largest: number) => 1 + random.integer(largest);
  const axes = size(3);
  const many = (draw: () => number, count = axes) => Array.from({ length: count }, draw);
  const kernel = many(() => size(4));
  const dilations = many(() => size(2));
  const group = size(3);
  return {
    images: size(4),
    channels: group * size(5),
    outputs: group * size(9),
    size: kernel.map((taps, axis) => dilations[axis] * (taps - 1) + size(6)),
    kernel,
    strides: many(() => size(3)),
    dilations,
    pads: many(() => random.integer(4), 2 * axes),
    group,
  };
}

async function check(problem: ConvolutionCase, seed: () => Random) {
  const { images: _, channels: __, outputs: ___, size, kernel, ...settings } = problem;
  const { feeds: exactFeeds, ...exact } = convolutionInputs(problem, seed(), "float64");
  const { y: biased } = convolutionOperators(exact, problem);
  const expected = await evaluate(
    { ...convolutionOperators({ ...exact, bias: undefined }, problem), biased },
    exactFeeds,
  );

  const { x, weight, dy, bias, feeds } = convolutionInputs(problem, seed());
  const forms: Record<string, Value> = { ...convolutionOperators({ x, weight, dy }, problem) };
  forms["biased lowered"] = conv(x, weight, bias, settings);
  forms["y at once"] = convAtOnce(x, kernelOf(weight), undefined, settings);
  forms["biased at once"] = convAtOnce(x, kernelOf(weight), bias, settings);
  for (const form of Object.keys(weightGradientForms) as (keyof typeof weightGradientForms)[])
    forms[`dw as ${form}`] = weightGradient(form, x, dy, kernel, settings);
  const { transposed, convolution } = inputGradientForms;
  forms["dx as transposed"] = transposed(dy, weight, size, settings);
  if (settings.strides.every((stride) => stride === 1))
    forms["dx as convolution"] = convolution(dy, weight, size, settings, {});
  const actual = await evaluate(forms, feeds);
  for (const name of Object.keys(forms))
    assertClose(actual[name], expected[name.split(" ")[0]], 1e-5, `${name} of ${JSON.stringify(problem)}`);
}

test("a weight gradient as a convolution computes no more shifts than there are taps", () => {
  // 8 does not divide by the stride: the last column of padding is seen by no tap.
  const problem = caseOf({ size: [8, 8], strides: [2, 2], pads: [1, 1, 1, 1] });
  const { x, dy } = convolutionInputs(problem, randomStream(3, "shifts"));
  const [node] = nodesOf([weightGradient("convolution", x, dy, problem.kernel, problem)]).filter(
    ({ operator }) => operator === "Conv",
  );
  // [1, outputs, rows, columns · channels]
  assert.deepEqual(node.outputs[0].shape, [1, problem.outputs, 3, 3 * problem.channels]);
});

test("WebAssembly convolves all images at once where there are more than an eighth as many filters as places", () => {
  const transposes = (size: number, target: Target) => {
    const problem = caseOf({ outputs: 16, size: [size, size], pads: [1, 1, 1, 1] });
    const { x, weight } = convolutionInputs(problem, randomStream(3, "at once"));
    x.graph.output("y", conv(x, weight, undefined, { pads: problem.pads }));
    return nodesOf(lower(x.graph, { target }).outputs.values()).some(
      ({ operator }) => operator === "Transpose",
    );
  };
  assert.deepEqual(
    [11, 12].map((size) => transposes(size, { webAssembly: true })),
    [true, false],
  );
  assert.equal(transposes(11, {}), false);
});

describe("forms of convolution and its gradients agree with float64", () => {
  for (const [name, problem] of Object.entries(named)) {
    test(name, () => check(problem, () => randomStream(3, name)));
  }
  test("random settings", async () => {
    for (let index = 0; index < 40; index++) {
      const problem = randomCase(randomStream(3, "random settings", index));
      await check(problem, () => randomStream(3, "random numbers", index));
    }
  });
});
