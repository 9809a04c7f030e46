// A training step as a file, run by Lowland and by Python on the same real images: the same losses.
// After `npm run build`:
//   node examples/exported-step.mjs [--steps 200] [--out exported-step]     writes the files, trains with them here
//   node examples/exported-step.mjs --python python3                        and in a Python that has onnxruntime,
//                                                                           numpy and safetensors
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  bilateralSam,
  exportStep,
  loadDataset,
  onnx,
  openEngine,
  sgd,
  tensorData,
  train,
  weights,
  writeExportedStep,
} from "lowland";

const { values: flags } = parseArgs({
  options: {
    python: { type: "string" },
    steps: { type: "string", default: "200" },
    out: { type: "string", default: "exported-step" },
  },
});
const steps = Number(flags.steps);
const batchSize = 64;
mkdirSync(flags.out, { recursive: true });

// Somebody's model: here a small network after one epoch on the digits.
const { model: bytes } = await train({
  data: "digits",
  model: "cnn",
  epochs: 1,
  optimizer: { method: "sgd" },
});
const model = await onnx.loadModel(bytes);
const step = exportStep(model, bilateralSam(sgd({ momentum: 0.9, weightDecay: 1e-3 })), { batchSize });
await writeExportedStep(step, join(flags.out, "step.onnx"));

const { train: images } = await loadDataset("digits");
// The model takes pixels as they are stored.
const pixels = new Float32Array(images.count * 64);
for (let index = 0; index < images.count; index++) pixels.set(images.read(index).image.data, index * 64);
const input = tensorData(pixels, [images.count, 1, 8, 8], "float32");
const target = tensorData(images.labels, [images.count], "int64");
writeFileSync(join(flags.out, "data.safetensors"), weights.writeSafetensors({ input, target }));

// The steps in Lowland's engine.
const engine = openEngine();
await engine.load("step", step.programs[0].bytes);
await engine.write(step.initial);
const scalar = (value) => tensorData([value], [], "float32");
const perEpoch = Math.floor(images.count / batchSize);
const here = [];
for (let at = 0; at < steps; at++) {
  const share = 0.5 * (1 + Math.cos((Math.PI * at) / steps));
  const start = (at % perEpoch) * batchSize;
  const { outputs } = await engine.run(
    "step",
    {
      input: tensorData(
        input.data.slice(start * 64, (start + batchSize) * 64),
        [batchSize, 1, 8, 8],
        "float32",
      ),
      target: { type: "int64", shape: [batchSize], data: target.data.slice(start, start + batchSize) },
      learning_rate: scalar(0.05 * share),
      rho_max: scalar(0.05),
      rho_min: scalar(0.05 * share),
    },
    { advance: true },
  );
  here.push(outputs.loss.data[0]);
}
await engine.close();

const shown = [0, 1, 9, 49, 99, steps - 1].filter(
  (at, index, all) => at < steps && all.indexOf(at) === index,
);
for (const at of shown) console.log(`step ${at}: loss ${here[at].toFixed(6)}`);

// The same steps in Python, which knows nothing but the files.
const command = [
  fileURLToPath(new URL("train-exported-step.py", import.meta.url)),
  ...["step.json", "data.safetensors"].map((name) => join(flags.out, name)),
  String(steps),
  join(flags.out, "trained.safetensors"),
];
if (flags.python === undefined) {
  console.log(`the same in Python: python3 ${command.join(" ")}`);
} else {
  const python = spawnSync(flags.python, command, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  if (python.status !== 0) throw new Error(`${flags.python} ended with ${python.error ?? python.status}`);
  const lines = python.stdout.trim().split("\n");
  const apart = lines.map(
    (line, at) => Math.abs(Number(line.split("\t")[1]) - here[at]) / Math.abs(here[at]),
  );
  console.log(`largest relative difference to Python's losses: ${Math.max(...apart).toExponential(1)}`);
}
