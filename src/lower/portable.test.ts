import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gradients, innerProduct } from "../autodiff/gradients.ts";
import { type Random, randomStream } from "../common/random.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import type { DataType } from "../onnx/types.ts";
import { mul } from "../ops/arithmetic.ts";
import { batchNormTraining } from "../ops/normalization.ts";
import { globalMaxPool, maxPool, type PoolOptions } from "../ops/pooling.ts";
import { reduceSum } from "../ops/reduction.ts";
import { logSoftmax } from "../ops/softmax.ts";
import { caseFrom, convolutionInputs, convolutionOperators } from "../testing/convolutions.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { lower } from "./lower.ts";
import { deviceTargets, squaresName, type Target } from "./target.ts";

// What devices lack, in other operators. The numbers have to be those of the plain form, both on the CPU.

const target: Target = { lacks: deviceTargets.webgpu.lacks };

/** The nodes of named values as they are lowered for a target. */
function nodesFor(values: Record<string, Value>, lowering: Target = target) {
  const { graph } = Object.values(values)[0];
  for (const [name, value] of Object.entries(values)) graph.output(name, value);
  const lowered = lower(graph, { target: lowering });
  graph.outputs.clear();
  return nodesOf(lowered.outputs.values());
}

interface Comparison {
  type: DataType;
  tolerance: number;
  /** Operators that the portable form may not have. */
  without: readonly string[];
  draw?: (random: Random) => number;
}

/** Compares both forms of what `build` gives of inputs of these shapes. */
async function compare(
  shapes: readonly Shape[],
  build: (...inputs: Value[]) => Record<string, Value>,
  { type, tolerance, without, draw = (random) => random.normal() }: Comparison,
) {
  const graph = new Graph();
  const values = build(...shapes.map((shape, index) => graph.input(`x${index}`, type, shape)));
  const feeds = Object.fromEntries(
    shapes.map((shape, index) => {
      const random = randomStream(index, JSON.stringify(shape));
      const numbers = Array.from({ length: elementCount(shape) }, () => draw(random));
      return [`x${index}`, tensorData(numbers, shape, type)];
    }),
  );
  const operators = nodesFor(values).map(({ operator }) => operator);
  for (const operator of without) assert.ok(!operators.includes(operator), `${operator} is still there`);
  const plain = await evaluate(values, feeds);
  graph.outputs.clear();
  const portable = await evaluate(values, feeds, { target });
  for (const name of Object.keys(values)) assertClose(portable[name], plain[name], tolerance, name);
}

describe("what a device lacks", () => {
  for (const shape of [
    [5, 3],
    [2, 4, 7],
    [3, 2, 4, 5],
  ]) {
    test(`batch normalization in training, its statistics and gradients: [${shape.join(", ")}]`, async () => {
      const channel = [shape[1]];
      await compare(
        [shape, channel, channel, shape],
        (x, scale, bias, seen) => {
          // An epsilon that a float32 holds: ONNX has no other.
          const { y, mean, variance } = batchNormTraining(x, scale, bias, 2 ** -10);
          const [dx, dScale, dBias] = gradients(innerProduct([y], [seen]), [x, scale, bias]);
          return { y, mean, variance, dx, dScale, dBias };
        },
        { type: "float64", tolerance: 1e-12, without: ["BatchNormalization"] },
      );
    });
  }

  for (const [shape, axis] of [
    [[4, 10], -1],
    [[2, 3, 4], 1],
    [[3, 5], 0],
  ] as const) {
    test(`log softmax and its gradient, without overflow: [${shape.join(", ")}], axis ${axis}`, async () => {
      await compare(
        [shape, shape],
        (x, seen) => {
          const y = logSoftmax(mul(x, 1000), axis);
          return { y, dx: gradients(innerProduct([y], [seen]), [x])[0] };
        },
        { type: "float64", tolerance: 1e-12, without: ["LogSoftmax"] },
      );
    });
  }

  const pools: Record<string, [shape: Shape, kernel: Shape, options: PoolOptions]> = {
    "apart, 2×2": [[2, 3, 6, 8], [2, 2], {}],
    "apart, with places that no window sees": [[2, 2, 7, 7], [2, 2], { strides: [3, 3] }],
    "overlapping, 3×3/2 as in ResNet's stem": [[2, 3, 8, 8], [3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }],
    "overlapping, odd sizes": [[1, 2, 9, 7], [3, 2], { strides: [1, 1], pads: [1, 0, 1, 1] }],
    "one axis": [[2, 3, 11], [3], { strides: [2], pads: [1, 1] }],
    "three axes": [[1, 2, 5, 4, 6], [2, 3, 2], { strides: [2, 1, 2], pads: [0, 1, 0, 0, 1, 0] }],
    dilated: [[1, 2, 9, 9], [2, 2], { strides: [1, 1], dilations: [3, 2] }],
    "beyond the end": [[1, 2, 8, 8], [3, 3], { strides: [2, 2], ceilMode: true }],
  };
  for (const [name, [shape, kernel, options]] of Object.entries(pools)) {
    for (const [numbers, draw] of Object.entries({
      "different numbers": (random: Random) => random.normal(),
      // The first of several maxima gets everything, also where padding of zeros would be as large.
      "few numbers, negative ones and many zeros": (random: Random) => Math.min(0, random.integer(4) - 2),
    })) {
      test(`gradient of max pooling, ${name}, ${numbers}`, async () => {
        await compare(
          [shape],
          (x) => {
            const y = maxPool(x, kernel, options);
            // Weighs every window differently.
            const weights = Float64Array.from({ length: elementCount(y.shape) }, (_, index) =>
              Math.cos(index),
            );
            const seen = x.graph.constant(tensorData(weights, y.shape, "float32"));
            return { y, dx: gradients(innerProduct([y], [seen]), [x])[0] };
          },
          { type: "float32", tolerance: 1e-6, draw, without: ["ScatterElements", "MaxUnpool", "ArgMax"] },
        );
      });
    }
  }

  test("gradient of the maximum of all places, which goes to the first", async () => {
    await compare(
      [[3, 2, 4, 5]],
      (x) => {
        const y = globalMaxPool(x);
        return { dx: gradients(reduceSum(mul(y, y)), [x])[0] };
      },
      { type: "float64", tolerance: 0, draw: (random) => random.integer(4), without: ["ArgMax"] },
    );
  });

  /** Channels that Conv is wrong for on WebGPU, and others: whether zeros are added. */
  const channelCases: Record<string, [channels: number, filters: number, kernel: Shape, added: number]> = {
    "6 to 16": [6, 16, [5, 5], 2],
    "9 to 4": [9, 4, [3, 3], 3],
    "15 to 8, 3×1": [15, 8, [3, 1], 1],
    "30 to 4": [30, 4, [3, 3], 2],
    "3 to 16": [3, 16, [3, 3], 0],
    "12 to 16": [12, 16, [3, 3], 0],
    "8 to 16": [8, 16, [3, 3], 0],
    "6 to 10": [6, 10, [3, 3], 0],
    "6 to 16, 1×1": [6, 16, [1, 1], 0],
  };
  const caseOf = caseFrom({ images: 6, channels: 6, outputs: 16, size: [9, 8], kernel: [3, 3] });
  for (const [name, [channels, outputs, kernel, added]] of Object.entries(channelCases)) {
    test(`convolution and its gradients, ${name}`, async () => {
      const problem = caseOf({ channels, outputs, kernel, pads: [1, 1, 1, 1] });
      const { feeds, ...inputs } = convolutionInputs(problem, randomStream(5, name));
      const values: Record<string, Value> = convolutionOperators(inputs, problem);
      const read = nodesFor({ y: values.y }).find(({ operator }) => operator === "Conv")?.inputs[0];
      assert.equal(read?.shape[1], channels + added);
      const plain = await evaluate(values, feeds);
      inputs.x.graph.outputs.clear();
      const portable = await evaluate(values, feeds, { target });
      for (const key of Object.keys(values)) assertClose(portable[key], plain[key], 2e-6, key);
    });
  }

  test("no convolution on the device has channels that it is wrong for, also none of the gradients", () => {
    for (const images of [6, 9, 16]) {
      for (const channels of [6, 9, 16, 21]) {
        for (const outputs of [6, 16, 24]) {
          const problem = caseOf({ images, channels, outputs, pads: [1, 1, 1, 1] });
          const { feeds: _, ...inputs } = convolutionInputs(problem, randomStream(6, "shapes"));
          for (const { operator, inputs: read } of nodesFor(convolutionOperators(inputs, problem))) {
            if (operator !== "Conv") continue;
            const [filters, count] = read[1]?.shape ?? [];
            const isWrong = count > 3 && count % 3 === 0 && count % 4 !== 0 && filters % 4 === 0;
            assert.ok(!isWrong, `${count} channels, ${filters} filters`);
          }
        }
      }
    }
  });

  test("without a device nothing changes, and a file for others has none of it", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [4, 10]);
    const y = logSoftmax(x);
    assert.deepEqual(
      nodesFor({ y }, {}).map(({ operator }) => operator),
      ["LogSoftmax"],
    );
    graph.output("y", y);
    const plain = lower(graph, { plain: true, target });
    assert.deepEqual(
      nodesOf(plain.outputs.values()).map(({ operator }) => operator),
      ["LogSoftmax"],
    );
  });
});

describe("a program whose next values stay on the device", () => {
  const build = (x: Value) => ({ "a.next": mul(x, 2), "b.next": mul(x, x), loss: reduceSum(x) });
  const run = (values: number[]) => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [values.length]);
    const feeds = { x: tensorData(values, [values.length], "float32") };
    return evaluate(build(x), feeds, { target: { keepsNext: true } });
  };

  test("has the sum of their squares", async () => {
    const { [squaresName]: squares } = await run([1, 2, 3]);
    assert.deepEqual(squares, [4 * (1 + 4 + 9) + (1 + 16 + 81)]);
  });

  test("which is not finite where one of them is not", async () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e20]) {
      const { [squaresName]: squares } = await run([1, value, 3]);
      assert.ok(!Number.isFinite(squares[0]), `${value}`);
    }
  });
});
