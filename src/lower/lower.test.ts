import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { nodesOf } from "../graph/walk.ts";
import { writeModel } from "../onnx/model.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { conv } from "../ops/convolution.ts";
import { relu } from "../ops/elementwise.ts";
import { expand } from "../ops/movement.ts";
import { requiredOpset } from "../ops/operator.ts";
import { maxPool } from "../ops/pooling.ts";
import { reduceSum } from "../ops/reduction.ts";
import { insertZeros } from "../ops/slicing.ts";
import type { Tensors } from "../runtime/engine.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { assertClose } from "../testing/numeric.ts";
import { type LowerOptions, lower } from "./lower.ts";
import { deviceTargets } from "./target.ts";

// The rules that only make a graph faster: what they build, and that its numbers are those of the plain operators.

function operatorsOf(graph: Graph): Set<string> {
  return new Set(nodesOf(graph.outputs.values()).map((node) => node.operator));
}

async function run(graph: Graph, feeds: Tensors, options: LowerOptions): Promise<Tensors> {
  const lowered = lower(graph, options);
  const opset = requiredOpset(nodesOf(lowered.outputs.values()));
  const engine = new OnnxRuntimeEngine({ threads: 1 });
  await engine.load("test", writeModel(toOnnx(lowered, { opset })));
  const { outputs } = await engine.run("test", feeds);
  await engine.close();
  return outputs;
}

interface Expectation {
  shape: Shape;
  build: (x: Value) => Value;
  /** Operators the lowered graph no longer has. */
  without?: string[];
  /** Operators it has instead. */
  having?: string[];
  /** Draws one number of the input; default standard normal. */
  draw?: (index: number, normal: number) => number;
  /** Largest difference relative to the largest number. Default 0: the same numbers. */
  tolerance?: number;
}

async function check({
  shape,
  build,
  without = [],
  having = [],
  draw = (_, normal) => normal,
  tolerance = 0,
}: Expectation) {
  const graph = new Graph();
  graph.output("result", build(graph.input("x", "float32", shape)));
  const operators = operatorsOf(lower(graph));
  for (const operator of without) assert.ok(!operators.has(operator), `${operator} is still there`);
  for (const operator of having) assert.ok(operators.has(operator), `${operator} is not there`);
  const random = randomStream(5, "lower", elementCount(shape));
  const numbers = Array.from({ length: elementCount(shape) }, (_, index) => draw(index, random.normal()));
  const feeds = { x: tensorData(numbers, shape, "float32") };
  const [fast, plain] = [await run(graph, feeds, {}), await run(graph, feeds, { plain: true })];
  assert.deepEqual(fast.result.shape, plain.result.shape);
  // Adding 0 makes −0 the same as 0.
  const [actual, expected] = [fast, plain].map(({ result }) =>
    Array.from(result.data as Float32Array, (value) => value + 0),
  );
  if (tolerance === 0) assert.deepEqual(actual, expected);
  else assertClose(actual, expected, tolerance);
}

const gradientOf = (build: (x: Value) => Value) => (x: Value) =>
  gradients(reduceSum(mul(build(x), build(x))), [x])[0];

describe("faster forms", () => {
  test("the mask of a ReLU", () =>
    check({
      shape: [3, 5, 7],
      build: gradientOf(relu),
      without: ["Sign"],
      draw: (index, normal) => (index % 4 === 0 ? 0 : normal * 10 ** ((index % 80) - 40)),
    }));

  test("the mask of a ReLU is exactly 0 or 1, also for denormal and infinite activations", async () => {
    const numbers = [
      0,
      -0,
      1,
      -1,
      1.4e-45,
      5e-45,
      1e-40,
      2.9e-39,
      1.2e-38,
      -1e-40,
      3.4e38,
      Infinity,
      -Infinity,
    ];
    const graph = new Graph();
    const x = graph.input("x", "float32", [numbers.length]);
    graph.output("result", gradients(reduceSum(relu(x)), [x])[0]);
    const { result } = await run(graph, { x: tensorData(numbers, [numbers.length], "float32") }, {});
    assert.deepEqual(
      Array.from(result.data as Float32Array),
      numbers.map((number) => (number > 0 ? 1 : 0)),
    );
  });

  test("a device that takes other forms than the processor casts the mask, and WebAssembly takes its sign", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [4]);
    graph.output("result", gradients(reduceSum(relu(x)), [x])[0]);
    const has = (options: LowerOptions, operator: string) => operatorsOf(lower(graph, options)).has(operator);
    assert.ok(has({ target: deviceTargets.webgpu }, "Cast"));
    assert.ok(!has({ target: deviceTargets.webgpu }, "HardSigmoid"));
    assert.ok(has({ target: deviceTargets.cpu }, "HardSigmoid"));
    assert.ok(has({ target: { webAssembly: true } }, "Sign"));
    assert.ok(!has({ target: { webAssembly: true } }, "HardSigmoid"));
  });

  test("operands that broadcast by themselves are not stretched first", async () => {
    for (const operator of [add, sub, mul]) {
      const stretched = (x: Value) => expand(reduceSum(x, [2, 3], true), x.shape);
      const shape = [2, 3, 4, 5];
      const settings = { shape, without: ["Expand"], tolerance: 1e-6 };
      await check({ ...settings, build: (x) => operator(x, stretched(x)) });
      await check({ ...settings, build: (x) => operator(stretched(x), x) });
    }
  });

  test("a stretched operand stays where it makes the shape", () =>
    check({ shape: [1, 3], build: (x) => add(expand(x, [4, 3]), x), having: ["Expand"] }));

  test("sums over both sides of a kept axis", async () => {
    for (const [shape, axes] of [
      [
        [4, 3, 5, 6],
        [0, 2, 3],
      ],
      [
        [4, 3, 2, 40],
        [0, 3],
      ],
      [
        [2, 3, 4, 5, 16],
        [0, 2, 4],
      ],
      [
        [3, 4, 50],
        [0, 2],
      ],
      [[3, 4, 50], [-1]],
      [[30, 4], [0]],
    ] as const) {
      for (const keep of [true, false])
        await check({ shape, build: (x) => reduceSum(x, axes, keep), tolerance: 1e-6 });
    }
  });

  test("zeros between neighbors", async () => {
    for (const strides of [
      [1, 1, 2, 2],
      [1, 1, 1, 3],
      [1, 1, 3, 1],
      [2, 1, 1, 4],
    ]) {
      const having = strides[3] > 1 ? ["MatMul"] : [];
      await check({ shape: [2, 3, 4, 5], build: (x) => insertZeros(x, strides), having });
    }
    await check({ shape: [2, 200], build: (x) => insertZeros(x, [1, 2]), having: ["Pad"] });
  });

  test("gradient of max pooling with windows apart", async () => {
    for (const [size, kernel, strides, pads] of [
      [
        [8, 8],
        [2, 2],
        [2, 2],
        [0, 0, 0, 0],
      ],
      [
        [7, 9],
        [2, 3],
        [2, 3],
        [0, 0, 0, 0],
      ],
      [
        [7, 9],
        [2, 3],
        [3, 4],
        [1, 0, 0, 1],
      ],
      [[13], [3], [3], [1, 1]],
      [
        [5, 4, 6],
        [2, 2, 2],
        [2, 2, 3],
        [0, 0, 0, 1, 1, 1],
      ],
    ] as const) {
      await check({
        shape: [2, 3, ...size],
        build: gradientOf((x) => maxPool(x, kernel, { strides, pads })),
        without: ["ScatterElements"],
        having: ["MaxUnpool"],
        // Many equal numbers: the first one of a window gets all of the gradient.
        draw: (_, normal) => Math.round(normal),
      });
    }
  });

  test("windows that overlap add up", () =>
    check({
      shape: [2, 3, 7, 7],
      build: gradientOf((x) => maxPool(x, [3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] })),
      having: ["ScatterElements"],
      tolerance: 1e-6,
    }));

  test("plain lowering leaves ONNX's operators alone", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [8, 4, 3, 3]);
    const weight = graph.input("weight", "float32", [32, 4, 3, 3]);
    graph.output("y", conv(x, weight, undefined, { pads: [1, 1, 1, 1] }));
    assert.deepEqual([...operatorsOf(lower(graph, { plain: true }))], ["Conv"]);
    assert.ok(operatorsOf(lower(graph)).has("Transpose"));
  });
});
