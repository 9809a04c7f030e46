import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { gradients, innerProduct } from "../autodiff/gradients.ts";
import { Graph, type Value } from "../graph/graph.ts";
import type { CompileOptions } from "../lower/compile.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { corners, cornersGraph, derivativeName, expected } from "../testing/corners.ts";
import { cornersPage, coverage } from "../testing/corners-page.ts";
import { compileForTest } from "../testing/numeric.ts";
import { mul } from "./arithmetic.ts";
import { apply, int } from "./operator.ts";
import { reduceSum } from "./reduction.ts";
import { maximumOf } from "./variadic.ts";

const cases = corners();

const programs: Record<string, { type: "float32" | "float64"; options: () => Promise<CompileOptions> }> = {
  float64: { type: "float64", options: async () => ({}) },
  float32: { type: "float32", options: async () => ({}) },
  "float32, plain": { type: "float32", options: async () => ({ weights: new Map() }) },
  "float32, for this engine": {
    type: "float32",
    options: async () => {
      const engine = new OnnxRuntimeEngine({ threads: 1 });
      try {
        return { target: await engine.target() };
      } finally {
        await engine.close();
      }
    },
  },
};

for (const [program, { type, options }] of Object.entries(programs)) {
  describe(`gradients at corners are PyTorch's: ${program}`, () => {
    let found: Record<string, number[]> = {};
    before(async () => {
      const { graph, feeds } = cornersGraph(cases, type);
      const { run, close } = await compileForTest(graph, await options());
      try {
        found = await run(feeds);
      } finally {
        await close();
      }
    });
    for (const one of cases) {
      test(one.name, () => {
        const wanted = expected(one);
        for (const order of ["first", "second"] as const) {
          for (const [index, values] of (wanted[order] ?? []).entries()) {
            const computed = found[derivativeName(one.name, order, index)];
            assertSame(computed, values, type, `${order} derivative for input ${index}`);
          }
        }
      });
    }
  });
}

test("every operator with a gradient is on the page", () => {
  assert.deepEqual(coverage(), { missing: [], unknown: [] });
});

test("docs/gradients-at-corners.md is what node scripts/corners.mjs writes", () => {
  const page = readFileSync(new URL("../../docs/gradients-at-corners.md", import.meta.url), "utf8");
  assert.equal(page, cornersPage());
});

// What PyTorch has no function for.
for (const type of ["float32", "float64"] as const) {
  test(`choices of our own, ${type}`, async () => {
    const graph = new Graph();
    const x = graph.input("x", type, [2, 2]);
    const derivatives = (name: string, y: Value, along: Value, wrt: readonly Value[] = [x]) => {
      const first = gradients(reduceSum(y), wrt);
      for (const [index, value] of first.entries()) graph.output(`${name} ${index}`, value);
      graph.output(`${name} second`, gradients(innerProduct([first[0]], [along]), [x])[0]);
    };
    const v = graph.constant(tensorData([1, 2, 3, 4], [2, 2], type));
    for (const p of [1, 2]) {
      derivatives(`normalized ${p}`, apply("LpNormalization", [x], { axis: int(1), p: int(p) })[0], v);
    }
    derivatives(
      "standardized",
      mul(apply("MeanVarianceNormalization", [x], { axes: { ints: [1] } })[0], v),
      v,
    );
    const others = [1, 2].map((index) => graph.input(`x${index}`, type, [2, 2]));
    derivatives("largest", maximumOf([x, ...others]), v, [x, ...others]);
    const zeros = tensorData([0, 0, 3, 4], [2, 2], type);
    const { run, close } = await compileForTest(graph);
    const found = await run({ x: zeros, x1: zeros, x2: tensorData([0, -1, 4, 4], [2, 2], type) });
    await close();
    assertSame(found["normalized 1 0"], [0, 0, (7 - 7) / 49, 0], type, "LpNormalization, p 1");
    // x/‖x‖ summed: (1 − u·Σu)/‖x‖ with u = (0.6, 0.8).
    assertSame(found["normalized 2 0"], [0, 0, (1 - 0.6 * 1.4) / 5, (1 - 0.8 * 1.4) / 5], type, "p 2");
    for (const name of ["normalized 1 second", "normalized 2 second", "standardized second"]) {
      assert.ok(found[name].every(Number.isFinite), `${name}: ${found[name].join(", ")}`);
      assert.deepEqual(found[name].slice(0, 2).map(Math.abs), [0, 0], name);
    }
    // Of two elements one is −1 and the other 1, whatever they are.
    assertSame(found["standardized 0"], [0, 0, 0, 0], type, "MeanVarianceNormalization");
    const third = 1 / 3;
    assertSame(found["largest 0"], [third, 0.5, 0, third], type, "Max of three, first");
    assertSame(found["largest 1"], [third, 0.5, 0, third], type, "Max of three, second");
    assertSame(found["largest 2"], [third, 0, 1, third], type, "Max of three, third");
  });
}

function assertSame(
  computed: readonly number[],
  wanted: readonly number[],
  type: string,
  what: string,
): void {
  const tolerance = type === "float64" ? 1e-7 : 2e-4;
  const finite = wanted.filter(Number.isFinite).map(Math.abs);
  const scale = Math.max(1e-3, ...finite);
  const close = (value: number, index: number) =>
    Number.isFinite(wanted[index])
      ? Math.abs(value - wanted[index]) <= tolerance * scale
      : Object.is(value, wanted[index]);
  assert.ok(
    computed.length === wanted.length && computed.every(close),
    `${what} is [${computed.join(", ")}], [${wanted.join(", ")}] is right`,
  );
}
