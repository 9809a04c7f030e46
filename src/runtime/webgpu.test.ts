import assert from "node:assert/strict";
import { test } from "node:test";
import { noSwiftShader, runOnSwiftShader } from "../testing/swiftshader.ts";

test("WebGPU keeps the store, and takes steps all or not at all", { skip: noSwiftShader }, async () => {
  const { result } = await runOnSwiftShader("engine");
  assert.deepEqual(result, {
    runs: [
      { outputs: ["sum"], sum: 6, advanced: true },
      { outputs: ["sum"], sum: 14, advanced: false },
      { outputs: ["sum"], sum: 14, advanced: false },
      { outputs: ["sum"], sum: 14, advanced: true },
    ],
    // ((1, 2, 3) + (1, 0, 0))·2 = (4, 4, 6); the second step is not finite, the third not asked to advance.
    x: [8, 8, 12],
    count: 7,
  });
});
