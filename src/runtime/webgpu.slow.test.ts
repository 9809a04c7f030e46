import assert from "node:assert/strict";
import { test } from "node:test";
import { assertSameSteps, deviceNetworks } from "../testing/device-trials.ts";
import { noSwiftShader, runOnSwiftShader } from "../testing/swiftshader.ts";
import type { Steps } from "../testing/take-steps.ts";

// Training steps on WebGPU, without a graphics card: on SwiftShader, in processes of their own.

for (const network of deviceNetworks) {
  test(`${network}: all nodes of a step on the device, numbers of the CPU`, {
    skip: noSwiftShader,
  }, async () => {
    const { result, log } = await runOnSwiftShader<Record<"cpu" | "webgpu", Steps>>("steps", network);
    const { cpu, webgpu } = result;
    assertSameSteps(webgpu, cpu);
    // One session logs: that of the step.
    const placements = [...log.matchAll(/All nodes placed on \[(\w+)\]/g)].map(([, provider]) => provider);
    assert.deepEqual(placements, ["WebGpuExecutionProvider"]);
  });
}

test("a device with a wrong kernel is not trained on", { skip: noSwiftShader }, async () => {
  // The convolution of 6 channels to 16 is wrong on SwiftShader unless channels are added (`convInFours`).
  const { result } = await runOnSwiftShader<string>("proof", "lenet5", "wrong");
  assert.match(result, /computes a training step wrong: .+ is [\d.]+, and on the CPU [\d.]+/);
  const { result: right } = await runOnSwiftShader<string>("proof", "lenet5");
  assert.equal(right, "passed");
});
