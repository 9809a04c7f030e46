import assert from "node:assert/strict";
import { test } from "node:test";
import { assertClose } from "../testing/numeric.ts";
import { noSwiftShader, runOnSwiftShader } from "../testing/swiftshader.ts";
import type { Steps } from "../testing/swiftshader-process.ts";

// Training steps on WebGPU, without a graphics card: on SwiftShader, in processes of their own.

for (const network of ["mlp", "cnn", "lenet5", "resnet with a 3×3/2 max pool"]) {
  test(`${network}: all nodes of a step on the device, numbers of the CPU`, {
    skip: noSwiftShader,
  }, async () => {
    const { result, log } = await runOnSwiftShader<Record<"cpu" | "webgpu", Steps>>("steps", network);
    const { cpu, webgpu } = result;
    for (const [index, loss] of cpu.losses.entries()) {
      const difference = Math.abs(webgpu.losses[index] - loss);
      assert.ok(difference <= 1e-5, `loss of step ${index + 1}: ${webgpu.losses[index]}, on the CPU ${loss}`);
    }
    for (const [name, numbers] of Object.entries(cpu.tensors))
      assertClose(webgpu.tensors[name], numbers, 1e-3, name);
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
