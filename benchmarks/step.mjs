// Times one training step of several builds or methods against each other.
//
//   npm run build && node benchmarks/step.mjs --model cnn --methods sgd,sam,bilateral-sam
//   node benchmarks/step.mjs --model resnet20 --dist ../other-checkout/dist,dist
//
// The variants (every build with every method) take turns, each time in a process of its own, so that whatever else the
// machine does meets all of them alike. Prints one JSON line per variant: the median of the rounds' medians and the
// fastest step in milliseconds, both divided by the first variant's, and the largest memory.
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { measureStep, medianOf } from "./measured.mjs";

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "cnn" }, // a name of src/nn/models.ts
    methods: { type: "string", default: "sgd" }, // sgd, sam, bilateral-sam
    batch: { type: "string", default: "128" },
    threads: { type: "string", default: "2" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "1.5" }, // of timed steps in each process, two steps or more
    dist: { type: "string", default: resolve(import.meta.dirname, "../dist") }, // builds to compare
  },
});
const { model, batch, threads, seconds } = options;
const variants = options.dist
  .split(",")
  .flatMap((dist) => options.methods.split(",").map((method) => ({ dist, method, found: [] })));
for (let round = 0; round < Number(options.rounds); round++) {
  for (const { dist, method, found } of variants)
    found.push(await measureStep({ dist, model, method, batch, threads, seconds }));
}
const median = ({ found }) => medianOf(found.map(({ milliseconds }) => medianOf(milliseconds)));
const fastest = ({ found }) => Math.min(...found.flatMap(({ milliseconds }) => milliseconds));
for (const variant of variants) {
  const { dist, method, found } = variant;
  console.log(
    JSON.stringify({
      model,
      method,
      batch: Number(batch),
      threads: Number(threads),
      dist,
      median: round(median(variant)),
      fastest: round(fastest(variant)),
      medianRatio: round(median(variant) / median(variants[0])),
      fastestRatio: round(fastest(variant) / fastest(variants[0])),
      peakMegabytes: Math.round(Math.max(...found.map(({ peakBytes }) => peakBytes)) / 1e6),
    }),
  );
}

function round(value) {
  return Number(value.toPrecision(4));
}
