import assert from "node:assert/strict";
import { test } from "node:test";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { scalarData, tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { exp } from "../ops/elementwise.ts";
import { matMul } from "../ops/linear.ts";
import { concat, reshape } from "../ops/movement.ts";
import { reduceMean, reduceSum } from "../ops/reduction.ts";
import { assertClose, compileForTest } from "../testing/numeric.ts";
import { sharpnessGraph, sharpnessRecord, sharpnessStages } from "./sharpness.ts";

// For the quadratic loss L(w) = ½ wᵀHw + bᵀw all is known: g = Hw + b, and with u = g/‖g‖
// L(w ± ρu) = L(w) ± ρ‖g‖ + ½ρ² uᵀHu.

const sizes = [2, 3];
const n = 5;
const random = randomStream(1, "quadratic");
const half = Array.from({ length: n }, () => Array.from({ length: n }, () => random.normal()));
const H = half.map((row, i) => row.map((value, j) => value + half[j][i]));
const b = Array.from({ length: n }, () => random.normal());

/** The loss over two parameters, [2] and [3, 1], which together are w. */
function quadratic() {
  const graph = new Graph();
  const parameters = new Map([
    ["first", graph.input("first", "float64", [sizes[0]])],
    ["second", graph.input("second", "float64", [sizes[1], 1])],
  ]);
  const w = concat([reshape(parameters.get("first")!, [sizes[0], 1]), parameters.get("second")!], 0);
  const Hw = matMul(graph.constant(tensorData(H.flat(), [n, n], "float64")), w);
  const linear = mul(graph.constant(tensorData(b, [n, 1], "float64")), w);
  return { loss: reduceSum(add(mul(mul(w, Hw), 0.5), linear)), parameters, buffers: new Map() };
}

async function measured(w: number[], rho: number) {
  const program = await compileForTest(sharpnessGraph(quadratic()));
  const outputs = await program.run({
    first: tensorData(w.slice(0, sizes[0]), [sizes[0]], "float64"),
    second: tensorData(w.slice(sizes[0]), [sizes[1], 1], "float64"),
    rho: scalarData(rho, "float64"),
  });
  await program.close();
  const tensors = Object.entries(outputs).map(([name, [value]]) => [name, scalarData(value, "float64")]);
  return sharpnessRecord(Object.fromEntries(tensors), { rho, images: 1 });
}

const dot = (x: number[], y: number[]) => x.reduce((sum, value, i) => sum + value * y[i], 0);
const timesH = (x: number[]) => H.map((row) => dot(row, x));

for (const rho of [0.05, 0.7]) {
  test(`MaxS, MinS and BilS of a quadratic loss at radius ${rho} are those of the closed form`, async () => {
    for (let sample = 0; sample < 3; sample++) {
      const w = Array.from({ length: n }, () => random.normal());
      const g = timesH(w).map((value, i) => value + b[i]);
      const norm = Math.hypot(...g);
      const bend = (rho ** 2 * dot(g, timesH(g))) / norm ** 2 / 2;
      const record = await measured(w, rho);
      const expected = {
        loss: dot(w, timesH(w)) / 2 + dot(b, w),
        maxSharpness: rho * norm + bend,
        minSharpness: rho * norm - bend,
        bilateralSharpness: 2 * rho * norm,
        gradNorm: norm,
      };
      for (const [name, value] of Object.entries(expected)) {
        assertClose([record[name as keyof typeof expected]], [value], 1e-12, name);
      }
      assert.equal(record.rho, rho);
    }
  });
}

test("where the gradient is zero nothing is perturbed, and the sharpness is zero", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float64", [2]);
  const program = await compileForTest(
    sharpnessGraph({ loss: reduceSum(mul(x, x)), parameters: new Map([["x", x]]), buffers: new Map() }),
  );
  const outputs = await program.run({
    x: tensorData([0, 0], [2], "float64"),
    rho: scalarData(0.5, "float64"),
  });
  await program.close();
  assert.deepEqual(outputs, { loss: [0], loss_max: [0], loss_min: [0], grad_norm: [0] });
});

test("in parts the numbers are the same", async () => {
  const sharpness = async (parts: number) => {
    const graph = new Graph();
    const w = graph.input("w", "float64", [3, 1]);
    const x = graph.input("x", "float64", [12 / parts, 3]);
    const loss = reduceMean(exp(matMul(x, w)));
    const program = await compileForTest(
      sharpnessGraph({ loss, parameters: new Map([["w", w]]), buffers: new Map() }, { parts }),
    );
    const outputs = await program.run({
      w: tensorData([0.3, -0.2, 0.5], [3, 1], "float64"),
      x: tensorData(
        Array.from({ length: 36 }, (_, index) => Math.sin(index)),
        [12, 3],
        "float64",
      ),
      rho: scalarData(0.4, "float64"),
    });
    await program.close();
    return outputs;
  };
  const whole = await sharpness(1);
  for (const parts of [2, 3, 12]) {
    const inParts = await sharpness(parts);
    for (const [name, value] of Object.entries(whole)) assertClose(inParts[name], value, 1e-12, name);
  }
});

test("in two stages, batch by batch, the numbers are the same", async () => {
  const objectiveOf = (examples: number) => {
    const graph = new Graph();
    const w = graph.input("w", "float64", [3, 1]);
    const loss = reduceMean(exp(matMul(graph.input("x", "float64", [examples, 3]), w)));
    return { loss, parameters: new Map([["w", w]]), buffers: new Map() };
  };
  const values = Array.from({ length: 36 }, (_, index) => Math.sin(index));
  const given = { w: tensorData([0.3, -0.2, 0.5], [3, 1], "float64"), rho: scalarData(0.4, "float64") };
  const program = await compileForTest(sharpnessGraph(objectiveOf(12)));
  const whole = await program.run({ ...given, x: tensorData(values, [12, 3], "float64") });
  await program.close();

  const stages = sharpnessStages(objectiveOf(4));
  const mean = async (stage: Graph, others: Tensors) => {
    const own = await compileForTest(stage);
    const sums: Record<string, number[]> = {};
    for (let batch = 0; batch < 3; batch++) {
      const x = tensorData(values.slice(12 * batch, 12 * (batch + 1)), [4, 3], "float64");
      for (const [name, numbers] of Object.entries(await own.run({ ...given, ...others, x })))
        sums[name] = numbers.map((value, index) => (sums[name]?.[index] ?? 0) + value / 3);
    }
    await own.close();
    return sums;
  };
  const first = await mean(stages.gradient, {});
  const losses = await mean(stages.losses, {
    "gradient.w": tensorData(first["gradient.w"], [3, 1], "float64"),
  });
  for (const [name, value] of Object.entries(whole))
    assertClose({ ...first, ...losses }[name], value, 1e-12, name);
});
