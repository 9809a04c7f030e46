import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph, type Value } from "../graph/graph.ts";
import { type DataType, dataTypeNumber, dataTypes } from "../onnx/types.ts";
import { apply, int } from "../ops/operator.ts";
import { runModel } from "../testing/onnx-models.ts";
import { compile } from "./compile.ts";

type Whole = Exclude<DataType, "string">;

function tensorOf(type: Whole, values: readonly bigint[]) {
  const { array, bits } = dataTypes[type];
  const data = bits === 64 ? values : values.map(Number);
  return { type, shape: [values.length], data: new (array as Int32ArrayConstructor)(data as number[]) };
}

/** What one operator makes of vectors of a type. */
async function run(
  type: Whole,
  vectors: readonly (readonly bigint[])[],
  build: (values: Value[], graph: Graph) => Value,
): Promise<bigint[]> {
  const graph = new Graph();
  const values = vectors.map((vector, index) => graph.input(`x${index}`, type, [vector.length]));
  graph.output("y", build(values, graph));
  const feeds = Object.fromEntries(vectors.map((vector, index) => [`x${index}`, tensorOf(type, vector)]));
  const { y } = await runModel(compile(graph), feeds);
  return Array.from(y.data as ArrayLike<number | bigint>, BigInt);
}

const types: Whole[] = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"];

test("bits of every integer type are shifted as the definition says", async () => {
  for (const type of types) {
    const { bits } = dataTypes[type];
    const signed = !type.startsWith("u");
    const kept = (value: bigint) => (signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value));
    const numbers = [1n, 5n, 100n, kept(-1n), kept(-8n), kept(1n << BigInt(bits - 1))];
    const shifts = [0n, 1n, 3n, BigInt(bits - 1)];
    const outside = signed ? [BigInt(bits), 100n, -1n, -64n] : [];
    const pairs = numbers.flatMap((x) => [...shifts, ...outside].map((by) => [x, by] as const));
    for (const direction of ["LEFT", "RIGHT"]) {
      const expected = pairs.map(([x, by]) => {
        if (outside.includes(by)) return direction === "RIGHT" && x < 0n ? -1n : 0n;
        return kept(direction === "LEFT" ? x << by : x >> by);
      });
      const sides = [pairs.map(([x]) => x), pairs.map(([, by]) => by)];
      const shifted = await run(
        type,
        sides,
        (values) => apply("BitShift", values, { direction: { string: direction } })[0],
      );
      assert.deepEqual(shifted, expected, `${type} ${direction}`);
    }
  }
});

test("operators without a kernel for a type give its own numbers", async () => {
  const top = 2n ** 64n;
  const large = [3n, top - 1n, 2n ** 63n, 7n];
  const two = (graph: Graph) => graph.constant(tensorOf("int64", [2n]));
  const first = (graph: Graph) => graph.constant(tensorOf("int64", [0n]));
  assert.deepEqual(await run("uint64", [large], ([x], graph) => apply("TopK", [x, two(graph)])[0]), [
    top - 1n,
    2n ** 63n,
  ]);
  assert.deepEqual(await run("uint64", [large], ([x]) => apply("ArgMin", [x], { axis: int(0) })[0]), [0n]);
  const reduced = (operator: string, numbers = large) =>
    run("uint64", [numbers], ([x], graph) => apply(operator, [x, first(graph)], { keepdims: int(0) })[0]);
  assert.deepEqual(await reduced("ReduceMax"), [top - 1n]);
  assert.deepEqual(await reduced("ReduceSum", [3n, 2n ** 40n]), [2n ** 40n + 3n]);
  const sides = [
    [1n, 60000n, 7n],
    [2n, 50000n, 7n],
  ];
  assert.deepEqual(await run("uint16", sides, (values) => apply("Max", values)[0]), [2n, 60000n, 7n]);
  assert.deepEqual(await run("int16", [[-5n, 4n]], ([x]) => apply("Relu", [x])[0]), [0n, 4n]);
});

test("a zero point for each channel of an integer convolution", async () => {
  const x = [2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n];
  const graph = new Graph();
  const shaped = (values: readonly bigint[], shape: number[]) =>
    graph.constant({ ...tensorOf("uint8", values), shape });
  const weight = shaped([1n, 1n, 1n, 1n, 3n, 2n, 1n, 0n], [2, 1, 2, 2]);
  const inputs = [graph.input("x", "uint8", [1, 1, 3, 3]), weight, shaped([1n], []), shaped([0n, 2n], [2])];
  graph.output("y", apply("ConvInteger", inputs)[0]);
  const { y } = await runModel(compile(graph), { x: { ...tensorOf("uint8", x), shape: [1, 1, 3, 3] } });
  assert.deepEqual([...(y.data as Int32Array)], [12, 16, 24, 28, -13, -15, -19, -21]);
});

test("the bits of a number as another type", async () => {
  const as = (type: DataType) => ({ to: int(dataTypeNumber(type)) });
  assert.deepEqual(await run("int8", [[-1n, 3n]], ([x]) => apply("BitCast", [x], as("uint8"))[0]), [
    255n,
    3n,
  ]);
  assert.deepEqual(await run("bool", [[1n, 0n]], ([x]) => apply("BitCast", [x], as("uint8"))[0]), [1n, 0n]);
  const [one] = await run("int32", [[0x3f800000n]], ([x]) => apply("BitCast", [x], as("float32"))[0]);
  assert.equal(one, 1n);
  await assert.rejects(
    run("int32", [[1n]], ([x]) => apply("BitCast", [x], as("int64"))[0]),
    /BitCast: int32 \[1\] has not the bits of int64/,
  );
});
