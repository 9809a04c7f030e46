// The optimizer study: every flatness-aware method on Fashion-MNIST, clean and with noisy labels, at equal epochs and
// at equal gradient evaluations, over several seeds.
//
//   npm run build && node studies/optimizers.mjs [--parallel 2] [--data-dir FOLDER]     trains what is missing
//   node studies/optimizers.mjs --table                                                 writes what is there only
//
// Each finished run is one line of docs/results/optimizers.jsonl, so the study can be stopped and resumed at any
// time; the tables of docs/results/optimizers.md and its pictures are made from these lines, its sentences are written
// by hand. One run uses one thread; several run side by side.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writePictures } from "../dist/report/drawing/pictures.js";
import { accuracyCharts, accuracyTable, measureTable } from "./optimizer-tables.mjs";
import { resultLines, writeTable } from "./result-lines.mjs";

const { values: flags } = parseArgs({
  options: {
    parallel: { type: "string", default: "2" },
    "data-dir": { type: "string" },
    table: { type: "boolean", default: false },
  },
});

/** Epochs of every method at equal epochs, and of the methods with three gradients a step at equal evaluations. */
const epochs = 10;
const evaluationsPerEpochOfBudget = 3;
const seeds = [1, 2, 3, 4, 5];
const conditions = { clean: 0, "40 % noisy labels": 0.4 };

/** Each method with the mini-batch gradients a step of it computes. */
const methods = {
  SGD: [1, { method: "sgd" }],
  "SAM, ρ 0.05": [2, { method: "sam", rho: 0.05 }],
  "SAM, ρ 0.1": [2, { method: "sam", rho: 0.1 }],
  "ASAM, ρ 0.5": [2, { method: "asam", rho: 0.5 }],
  "GSAM, ρ 0.05": [2, { method: "gsam", rho: 0.05 }],
  "bilateral SAM": [3, { method: "bilateral-sam" }],
  "bilateral SAM, released": [3, { method: "bilateral-sam", variant: "released" }],
  "bilateral SAM, two-pass": [2, { method: "bilateral-sam", variant: "two-pass" }],
  "bilateral SAM, every 4": [1.5, { method: "bilateral-sam", every: 4 }],
  "bilateral SAM, reuse 4": [1.5, { method: "bilateral-sam", reuse: 4 }],
};
const control = "SAM, ρ 0.1";

const shared = {
  data: "fashion-mnist",
  limit: 10000,
  model: "cnn",
  batchSize: 128,
  learningRate: 0.05,
  augmentation: { flip: true },
  labelSmoothing: 0.1,
  evaluateEvery: 5,
  threads: 1,
};

/** A run's line is known by this: the same network trained the same way, whatever the budget it is counted under. */
const results = resultLines("optimizers.jsonl", ({ method, condition, seed, epochs: count }) => [
  ...[method, condition, seed, count],
]);
const lowland = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));

/** All runs of the study, seed by seed, so that what is there at any time is balanced. */
function allRuns() {
  return seeds.flatMap((seed) =>
    Object.entries(conditions).flatMap(([condition, labelNoise]) =>
      ["equal epochs", "equal gradients"].flatMap((budget) =>
        Object.entries(methods).map(([method, [gradients, optimizer]]) => {
          const longer = budget === "equal gradients" ? evaluationsPerEpochOfBudget / gradients : 1;
          const configuration = {
            ...shared,
            labelNoise,
            seed,
            optimizer,
            epochs: Math.round(epochs * longer),
          };
          return { method, condition, budget, seed, epochs: configuration.epochs, configuration };
        }),
      ),
    ),
  );
}

async function trainMissing() {
  const missing = results.missing(allRuns());
  console.error(`${missing.length} runs to go`);
  const work = missing[Symbol.iterator]();
  await Promise.all(
    Array.from({ length: Number(flags.parallel) }, async () => {
      for (const run of work) {
        const {
          epochs: count,
          testLoss,
          metrics: { accuracy: testAccuracy, wrongLabelAccuracy },
          sharpness,
          gradientEvaluations,
          seconds,
        } = await trainOne(run.configuration);
        const { method, condition, seed } = run;
        const measured = {
          testAccuracy,
          testLoss,
          wrongLabelAccuracy,
          sharpness,
          gradientEvaluations,
          seconds,
        };
        results.append({ method, condition, seed, epochs: count, ...measured });
        console.error(
          `${method}, ${condition}, seed ${seed}, ${count} epochs: ${(100 * testAccuracy).toFixed(2)} %`,
        );
      }
    }),
  );
}

/** Trains in a process of its own and returns the run's summary. */
function trainOne(configuration) {
  const folder = mkdtempSync(join(tmpdir(), "lowland-study-"));
  writeFileSync(join(folder, "configuration.json"), JSON.stringify(configuration));
  const args = [
    "train",
    "--config",
    join(folder, "configuration.json"),
    "--out",
    join(folder, "run"),
    "--json",
  ];
  if (flags["data-dir"]) args.push("--data-dir", flags["data-dir"]);
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [lowland, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let [output, errors] = ["", ""];
    child.stdout.on("data", (text) => {
      output += text;
    });
    child.stderr.on("data", (text) => {
      errors += text;
    });
    child.on("close", (code) => {
      rmSync(folder, { recursive: true, force: true });
      if (code === 0) resolve(JSON.parse(output));
      else reject(new Error(`${JSON.stringify(configuration)} ended with code ${code}: ${errors}`));
    });
  });
}

if (!flags.table) await trainMissing();
const byKey = results.byKey();
const lines = allRuns().flatMap((run) => {
  const line = byKey.get(results.key(run));
  return line ? [{ ...line, budget: run.budget }] : [];
});
const study = { control, methods: Object.keys(methods) };
await writePictures(
  fileURLToPath(new URL("../docs/results/optimizers", import.meta.url)),
  accuracyCharts(lines, study),
);
for (const [name, table] of Object.entries({
  accuracy: accuracyTable(lines, study),
  sharpness: measureTable(lines, study, 3, ({ sharpness }) => sharpness.maxSharpness),
  "wrong labels": measureTable(
    lines.filter(({ wrongLabelAccuracy }) => wrongLabelAccuracy !== undefined),
    study,
    1,
    ({ wrongLabelAccuracy }) => 100 * wrongLabelAccuracy,
  ),
})) {
  writeTable("optimizers.md", `${name}: written by studies/optimizers.mjs`, table);
}
console.error(`${lines.length} of ${allRuns().length} results`);
