// Times one training step: one graph, run by ONNX Runtime, weights and optimizer state kept inside.
//
//   npm run build && node benchmarks/step.mjs --model cnn --methods sgd,sam,bilateral-sam
//   node benchmarks/step.mjs --model resnet20 --dist ../other-checkout/dist,dist
//
// The variants (every build with every method) take turns within one process, so that whatever else the machine does
// meets all of them alike. Prints one JSON line per variant: the median and the fastest step in milliseconds, and both
// divided by the first variant's.
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { medianOf, prepareStep } from "./prepared-step.mjs";

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "cnn" }, // a name of src/nn/models.ts
    methods: { type: "string", default: "sgd" }, // sgd, sam, bilateral-sam
    batch: { type: "string", default: "128" },
    threads: { type: "string", default: "2" },
    steps: { type: "string", default: "20" }, // timed steps of each variant, after 3 that are not
    dist: { type: "string", default: resolve(import.meta.dirname, "../dist") }, // builds to compare
  },
});
const batch = Number(options.batch);
const threads = Number(options.threads);

const variants = [];
for (const dist of options.dist.split(",")) {
  for (const method of options.methods.split(",")) {
    const step = await prepareStep(dist, { model: options.model, method, batch, threads });
    variants.push({ ...step, dist, method, times: [] });
  }
}
for (let step = -3; step < Number(options.steps); step++) {
  for (const { run, times } of variants) {
    const start = performance.now();
    await run();
    if (step >= 0) times.push(performance.now() - start);
  }
}
for (const { method, dist, times } of variants) {
  const [median, fastest] = [medianOf(times), Math.min(...times)];
  const [first] = variants;
  console.log(
    JSON.stringify({
      model: options.model,
      method,
      batch,
      threads,
      dist,
      median: round(median),
      fastest: round(fastest),
      medianRatio: round(median / medianOf(first.times)),
      fastestRatio: round(fastest / Math.min(...first.times)),
    }),
  );
}
for (const { engine } of variants) await engine.close();

function round(value) {
  return Number(value.toPrecision(4));
}
