import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import type { CompileOptions } from "../lower/compile.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { corners, cornersGraph, derivativeName, expected } from "../testing/corners.ts";
import { compileForTest } from "../testing/numeric.ts";

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
