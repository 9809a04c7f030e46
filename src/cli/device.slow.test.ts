import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { lowland, readJsonFile, temporaryFolder } from "../testing/cli.ts";
import { noSwiftShader, swiftShader } from "../testing/swiftshader.ts";
import type { RunSummary } from "../train/records.ts";

const root = temporaryFolder();
const train = [
  "train",
  "--data",
  "digits",
  "--model",
  "mlp",
  "--limit",
  "256",
  "--epochs",
  "1",
  "--threads",
  "1",
];

test("a run on WebGPU names the device and its adapter, and comes to the CPU's numbers", {
  skip: noSwiftShader,
}, async () => {
  const summaryOf = async (device: string) => {
    const out = join(root, device);
    const { code, stderr } = await lowland([...train, "--device", device, "--out", out], {
      env: swiftShader,
    });
    assert.equal(code, 0, stderr);
    return { summary: readJsonFile(out, "summary.json") as RunSummary, stderr };
  };
  const cpu = await summaryOf("cpu");
  const { summary, stderr } = await summaryOf("webgpu");
  assert.equal(summary.device?.name, "webgpu");
  assert.match(summary.device?.adapter ?? "", /SwiftShader/);
  assert.match(stderr, /✓ .+ on webgpu \(SwiftShader .*\)/);
  assert.ok(!/wrong|cannot run/.test(stderr), stderr);
  assert.ok(Math.abs(summary.trainLoss - cpu.summary.trainLoss) < 1e-5);
  assert.ok(Math.abs(summary.testLoss - cpu.summary.testLoss) < 1e-5);
});

test("auto takes the CPU where that is faster, as it is than SwiftShader", {
  skip: noSwiftShader,
}, async () => {
  const out = join(root, "auto");
  const { code, stderr } = await lowland([...train, "--device", "auto", "--out", out], { env: swiftShader });
  assert.equal(code, 0, stderr);
  assert.match(
    stderr,
    /webgpu \(SwiftShader .*\) takes [\d.e+]+ ms for a training step, and the CPU [\d.]+ ms: training runs on the CPU/,
  );
  assert.equal((readJsonFile(out, "summary.json") as RunSummary).device?.name, "cpu");
});

const skip = process.platform !== "linux" && "only Vulkan's drivers can be hidden";
test("without a driver WebGPU is refused with what to install, and auto trains", { skip }, async () => {
  const env = { VK_ICD_FILENAMES: "/nowhere.json", VK_DRIVER_FILES: "/nowhere.json" };
  const out = join(root, "none");
  const { code, stderr } = await lowland([...train, "--device", "webgpu", "--out", out], { env });
  assert.equal(code, 2);
  assert.match(
    stderr,
    /^lowland: device: webgpu found no graphics adapter through \w+: .+; install the graphics driver.*, or train with device "cpu"\n$/,
  );
  assert.ok(!existsSync(out));
  const auto = await lowland([...train, "--device", "auto", "--out", out], { env });
  assert.equal(auto.code, 0, auto.stderr);
});
