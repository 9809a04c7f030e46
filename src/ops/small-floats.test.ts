import assert from "node:assert/strict";
import { test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { type FractionalType, smallFloatBits, smallFloatValue } from "../onnx/small-floats.ts";
import { evaluate, tensor } from "../testing/numeric.ts";
import { reduceSum } from "./reduction.ts";
import { type CastOptions, roundToType, wrapToType } from "./small-floats.ts";

const types: FractionalType[] = [
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
  "float4e2m1",
];

async function rounded(
  values: readonly number[],
  type: Parameters<typeof roundToType>[1],
  options?: CastOptions,
) {
  const x = new Graph().input("x", "float32", [values.length]);
  const feeds = { x: tensor(values, [values.length], "float32") };
  return (await evaluate({ y: roundToType(x, type, options) }, feeds)).y;
}

test("rounding in a graph is rounding by the definition, at all sizes", async () => {
  const random = randomStream(7, "small floats");
  const drawn = Array.from({ length: 2000 }, () =>
    Math.fround(random.normal() * 2 ** (random.integer(44) - 24)),
  );
  for (const type of types) {
    const codes = Array.from({ length: type === "float4e2m1" ? 7 : 126 }, (_, code) => code);
    const own = codes.map((code) => smallFloatValue(code, type)).filter(Number.isFinite);
    const middles = own.slice(1).map((value, index) => (value + own[index]) / 2);
    const values = [...drawn, ...own, ...own.map((value) => -value), ...middles];
    const expected = values.map((value) => smallFloatValue(smallFloatBits(value, type), type));
    assert.deepEqual(
      (await rounded(values, type)).map((value) => value + 0),
      expected.map((value) => value + 0),
      type,
    );
  }
});

test("what is beyond a type, with and without saturation", async () => {
  const far = [1e6, Number.POSITIVE_INFINITY, -1e6, Number.NaN];
  const { NaN: none, POSITIVE_INFINITY: infinity } = Number;
  assert.deepEqual(await rounded(far, "float8e4m3fn"), [448, 448, -448, none]);
  assert.deepEqual(await rounded(far, "float8e5m2"), [57344, 57344, -57344, none]);
  assert.deepEqual(await rounded(far, "float8e4m3fnuz", { saturate: false }), [none, none, none, none]);
  assert.deepEqual(await rounded(far, "float8e5m2", { saturate: false }), [
    infinity,
    infinity,
    -infinity,
    none,
  ]);
  assert.deepEqual(await rounded([460, 464, 465], "float8e4m3fn", { saturate: false }), [448, 448, none]);
});

test("powers of two are rounded up, down or to the nearest", async () => {
  const values = [0.3, 0.375, 1, 5, 8];
  assert.deepEqual(await rounded(values, "float8e8m0"), [0.5, 0.5, 1, 8, 8]);
  assert.deepEqual(await rounded(values, "float8e8m0", { roundMode: "down" }), [0.25, 0.25, 1, 4, 8]);
  assert.deepEqual(await rounded(values, "float8e8m0", { roundMode: "nearest" }), [0.25, 0.5, 1, 4, 8]);
  assert.deepEqual(await rounded([0, Number.NaN], "float8e8m0"), [2 ** -127, Number.NaN]);
});

test("the gradient passes through the rounding", async () => {
  const x = new Graph().input("x", "float64", [3]);
  const [dx] = gradients(reduceSum(roundToType(x, "float8e4m3fn")), [x]);
  assert.deepEqual((await evaluate({ dx }, { x: tensor([0.1, -3, 2000], [3]) })).dx, [1, 1, 1]);
});

test("integers of a few bits keep the low ones", async () => {
  const x = new Graph().input("x", "float32", [4]);
  const results = { four: wrapToType(x, "int4"), two: wrapToType(x, "uint2") };
  const { four, two } = await evaluate(results, { x: tensor([-9, 8, 7, 21], [4], "float32") });
  assert.deepEqual(four, [7, -8, 7, 5]);
  assert.deepEqual(two, [3, 0, 3, 1]);
});
