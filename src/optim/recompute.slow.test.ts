import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runNode, temporaryFolder } from "../testing/cli.ts";

// Two steps of ResNet-20 with 256 images in a process of its own, which prints the largest memory it had.
const script = join(temporaryFolder(), "memory.mjs");
const lowland = new URL("../index.js", import.meta.url).href;
writeFileSync(
  script,
  `import { compile, nn, openEngine, ops, optim, sgd } from "${lowland}";
const inputShape = [3, 32, 32];
const layer = nn.createModel("resnet20", { channels: 3, height: 32, width: 32, classes: 10 });
const model = nn.buildModel(layer, { inputShape, batchSize: 256, training: true });
const loss = ops.softmaxCrossEntropy(model.logits, model.graph.input("target", "int32", [256]));
const parameters = new Map(model.parameters.map(({ name }) => [name, model.graph.inputs.get(name)]));
const objective = { loss, parameters, buffers: model.bufferUpdates };
const step = optim.trainingStep(objective, sgd(), { recompute: process.argv[2] === "recompute" });
const engine = openEngine({ threads: 1 });
await engine.load("step", compile(step, { target: await engine.target() }));
await engine.write(nn.initialTensors(model, 1));
for (let run = 0; run < 2; run++)
  await engine.run(
    "step",
    {
      input: { type: "float32", shape: [256, ...inputShape], data: new Float32Array(256 * 3072).fill(0.5) },
      target: { type: "int32", shape: [256], data: new Int32Array(256) },
      learning_rate: { type: "float32", shape: [], data: Float32Array.of(0.1) },
    },
    { advance: true },
  );
await engine.close();
console.log(process.resourceUsage().maxRSS);
`,
);

test("a process that recomputes takes less memory", async () => {
  const peak = async (how: string) => {
    const { code, stdout, stderr } = await runNode([script, how]);
    assert.equal(code, 0, stderr);
    return Number(stdout);
  };
  const [plain, recomputed] = [await peak("plain"), await peak("recompute")];
  // 829 MB and 520.
  assert.ok(recomputed < 0.75 * plain, `${recomputed} KB instead of ${plain}`);
});
