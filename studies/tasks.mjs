// The studies of poses and segmentation: one network for each, trained by every flatness-aware method over Adam with the
// same number of mini-batch gradients, over five seeds. Radii are chosen on samples that are set aside.
//
//   npm run build && node studies/tasks.mjs pose|segmentation [--data-dir FOLDER] [--work FOLDER]     trains what is missing
//   node studies/tasks.mjs pose|segmentation --table                                  writes what is there only
//
// Each finished run is one line of docs/results/pose.jsonl or segmentation.jsonl, so a study can be stopped and
// resumed at any time. The tables of docs/results/pose.md and segmentation.md are made from these lines, their sentences are
// written by hand. One run uses one thread.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { train } from "lowland";
import { loadSamples } from "../dist/data/catalogue.js";
import { differences, interval } from "./optimizer-tables.mjs";
import { markdown, resultLines, writeTable } from "./result-lines.mjs";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "data-dir": { type: "string" },
    work: { type: "string" },
    table: { type: "boolean", default: false },
  },
});

/** What each task trains, and what of it the tables show. */
const tasks = {
  pose: {
    samples: "persons",
    data: (train, test) => `people:train=${train},test=${test}`,
    ...{ trained: 2000, validated: 500, tested: 1000 },
    settings: {
      ...{ images: { size: 64 }, model: "simple-baseline-small", batchSize: 16 },
      pose: { augmentation: { scale: 0.15, rotation: 15 } },
    },
    metrics: {
      pck: ["PCK@0.1, %", (value) => 100 * value],
      averagePrecision: ["AP", (value) => 100 * value],
    },
    passes: 12,
    adamRate: 0.002,
    sgdRates: [0.01, 0.03, 0.1],
    radii: [0.0015, 0.003, 0.006],
  },
  segmentation: {
    samples: "masks",
    data: (train, test) => `wardrobe:train=${train},test=${test}`,
    ...{ trained: 2000, validated: 500, tested: 500 },
    settings: {
      ...{ images: { size: 32 }, model: "unet:width=16,stem=2,depth=2", batchSize: 16 },
      augmentation: { flip: true },
    },
    // From scratch, runs of this length learn little more than what is background.
    start: { learningRate: 0.003, epochs: 12 },
    metrics: {
      meanIou: ["mean IoU, %", (value) => 100 * value],
      pixelAccuracy: ["pixel accuracy, %", (value) => 100 * value],
    },
    passes: 12,
    adamRate: 0.001,
    sgdRates: [0.03, 0.1, 0.3],
    radii: [0.02, 0.06, 0.18],
  },
};
const [name] = positionals;
/** Keeps the networks that runs start from, in this call or, with --work, for later ones too. */
const startFolder = flags.work ?? join(tmpdir(), `lowland-starts-${process.pid}`);
const task = tasks[name];
if (!task) throw new Error(`which study? one of ${Object.keys(tasks).join(", ")}`);
const [leading] = Object.keys(task.metrics);

const seeds = [1, 2, 3, 4, 5];
/** Of the runs that radii are chosen by. */
const choiceSeed = 100;
/** Gradients of every run, in passes over the training samples; and the learning rate over Adam. */
const { passes, adamRate } = task;

const adam = { base: { name: "adam" } };
const total = (rhoMax) => 2 * rhoMax;
/** Each method: gradients of a step, its settings at a radius, and the radii to choose from; those of `fixed` are given. */
const methods = {
  SGD: { gradients: 1, rates: task.sgdRates, optimizer: () => ({ method: "sgd" }) },
  Adam: { gradients: 1, optimizer: () => ({ method: "adam" }) },
  "SAM, ρ 0.05": { gradients: 2, fixed: 0.05, optimizer: (rho) => ({ method: "sam", rho, ...adam }) },
  "SAM, ρ 0.1": { gradients: 2, fixed: 0.1, optimizer: (rho) => ({ method: "sam", rho, ...adam }) },
  "SAM, chosen ρ": {
    ...{ gradients: 2, radii: task.radii },
    optimizer: (rho) => ({ method: "sam", rho, ...adam }),
  },
  ASAM: {
    ...{ gradients: 2, radii: task.radii.map((rho) => Number((10 * rho).toPrecision(6))) },
    optimizer: (rho) => ({ method: "asam", rho, ...adam }),
  },
  "bilateral SAM": { gradients: 3, radii: task.radii, optimizer: bilateral({}) },
  "bilateral SAM, two-pass": {
    ...{ gradients: 2, radii: task.radii },
    optimizer: bilateral({ variant: "two-pass" }),
  },
  "bilateral SAM, every 4": {
    ...{ gradients: 1.5, radii: task.radii },
    optimizer: bilateral({ every: 4 }),
  },
};
/** SAM at bilateral SAM's total radius: what differences are to. */
const control = "SAM, matched ρ";

/** Bilateral SAM whose two radii start alike; that of the descent falls with the learning rate. */
function bilateral(form) {
  return (rho) => ({
    ...{ method: "bilateral-sam", ...form, rhoMax: rho, ...adam },
    rhoMin: { name: "proportional-to-learning-rate", high: rho, low: 0 },
  });
}

const results = resultLines(`${name}.jsonl`, ({ method, rho, learningRate, seed }) => [
  ...[method, rho, learningRate, seed],
]);

/** What the other runs of a seed start from, where the task has it. */
const start = "start";

function startRun(seed) {
  return { method: start, row: start, seed, ...task.start, optimizer: { method: "adam" } };
}

function runOf(method, seed, rho, learningRate = adamRate) {
  const { gradients, optimizer } = methods[method];
  return { method, rho, learningRate, seed, epochs: passes / gradients, optimizer: optimizer(rho) };
}

/** What radii, and SGD's learning rate, are chosen by. */
function choiceRuns() {
  return Object.entries(methods).flatMap(([method, { radii = [], rates = [] }]) => [
    ...radii.map((rho) => runOf(method, choiceSeed, rho)),
    ...rates.map((rate) => runOf(method, choiceSeed, undefined, rate)),
  ]);
}

/** The run of a method that did best on the samples set aside; undefined until all of its choice are there. */
function chosen(method) {
  const byKey = results.byKey();
  const lines = choiceRuns()
    .filter((run) => run.method === method)
    .map((run) => byKey.get(results.key(run)));
  return lines.every(Boolean)
    ? lines.toSorted((a, b) => b.metrics[leading] - a.metrics[leading])[0]
    : undefined;
}

/** All runs of the study whose choice is made, seed by seed, so that what is there at any time is balanced. */
function allRuns() {
  return seeds.flatMap((seed) => [
    ...(task.start ? [startRun(seed)] : []),
    ...Object.entries(methods).flatMap(([method, { fixed, radii, rates }]) => {
      if (!radii && !rates) return [{ ...runOf(method, seed, fixed), row: method }];
      const best = chosen(method);
      if (!best) return [];
      const run = { ...runOf(method, seed, best.rho, best.learningRate), row: method };
      if (method !== "bilateral SAM") return [run];
      return [run, { ...runOf("SAM, chosen ρ", seed, total(best.rho)), row: control }];
    }),
  ]);
}

async function trainMissing(runs) {
  const missing = results.missing(runs);
  console.error(`${missing.length} runs to go`);
  for (const run of missing) {
    const { optimizer: _, row: __, ...line } = run;
    const isChoice = run.seed === choiceSeed;
    const { trained, validated, tested } = task;
    const data = isChoice ? await setAside(trained, validated) : task.data(trained, tested);
    const out = mkdtempSync(join(tmpdir(), "lowland-study-"));
    const { summary, failure } = await trainOne(run, data, out);
    if (failure && isChoice) {
      results.append({ ...line, metrics: { [leading]: 0 }, diverged: failure.message });
      continue;
    }
    if (summary?.status !== "finished")
      throw new Error(`${results.key(run)} did not finish`, { cause: failure });
    const { metrics, testLoss, trainLoss, gradientEvaluations, seconds, sharpness } = summary;
    const curvature = isChoice ? {} : { largestEigenvalue: largestEigenvalue(out) };
    rmSync(out, { recursive: true, force: true });
    const measured = { metrics, testLoss, trainLoss, gradientEvaluations, seconds, sharpness };
    results.append({ ...line, ...measured, ...curvature });
    console.error(`${results.key(run)}: ${(100 * metrics[leading]).toFixed(2)} %, ${seconds.toFixed(0)} s`);
  }
}

async function trainOne({ method, optimizer, learningRate, epochs, seed }, data, out) {
  const weights = task.start && method !== start ? await startWeights(seed, data) : undefined;
  return train({
    ...{ ...task.settings, task: name, optimizer, schedule: { name: "cosine" }, threads: 1, data },
    ...{ learningRate, epochs, evaluateEvery: epochs, seed, weights },
    ...{ out, existing: "overwrite", sharpness: { images: 64 } },
    ...(flags["data-dir"] && { dataDirectory: flags["data-dir"] }),
  });
}

/** The weights that all runs of a seed start from: a file. */
async function startWeights(seed, data) {
  const out = join(startFolder, String(seed));
  if (!existsSync(join(out, "summary.json"))) {
    const { summary, failure } = await trainOne(startRun(seed), data, out);
    if (summary?.status !== "finished")
      throw new Error(`the start of seed ${seed} did not finish`, { cause: failure });
  }
  return join(out, "model.safetensors");
}

/** The training samples, and as test part as many more of the same set, which no run of the study trains or measures. */
async function setAside(trained, validated) {
  const { train: all } = await loadSamples(task.samples, task.data(trained + validated, 1), {
    ...(flags["data-dir"] && { directory: flags["data-dir"] }),
    images: task.settings.images,
  });
  const part = (from, to) => ({
    ...all,
    fingerprint: `${all.fingerprint}[${from} to ${to}]`,
    count: to - from,
    read: (index) => all.read(from + index),
  });
  return { train: part(0, trained), test: part(trained, trained + validated) };
}

/** The largest eigenvalue of the Hessian on 128 training samples. */
function largestEigenvalue(run) {
  const lowland = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
  const { curvature } = JSON.parse(
    execFileSync(
      process.execPath,
      [
        ...[
          lowland,
          "flatness",
          run,
          "--measure",
          "spectrum",
          "--train",
          "--subset",
          "128",
          "--batch-size",
          "64",
        ],
        ...["--top", "1", "--bottom", "0", "--tolerance", "0.01", "--threads", "1", "--json"],
        ...(flags["data-dir"] ? ["--data-dir", flags["data-dir"]] : []),
      ],
      { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
    ),
  );
  return curvature.hessian.spectrum.largest[0].value;
}

if (!flags.table) {
  await trainMissing(choiceRuns());
  await trainMissing(allRuns());
  if (!flags.work) rmSync(startFolder, { recursive: true, force: true });
}

const byKey = results.byKey();
const studied = allRuns().flatMap((run) => {
  const line = byKey.get(results.key(run));
  return line ? [{ ...line, method: run.row, testAccuracy: line.metrics[leading] }] : [];
});
const rows = [...new Set(studied.map(({ method }) => method))];
/** The mean of some value of each method's runs, with its 95 % interval. */
const cell = (method, of, digits) =>
  interval(studied.filter((line) => line.method === method).map(of), digits);

function resultTable() {
  const shown = Object.entries(task.metrics);
  return markdown([
    ["method", "ρ", ...shown.map(([, [label]]) => label), "to the control", "MaxS", "λ₁", "seeds"],
    ...rows.map((method) => {
      const own = studied.filter((line) => line.method === method);
      return [
        ...[method, own[0].rho ?? "–"],
        ...shown.map(([metric, [, scaled]]) => cell(method, ({ metrics }) => scaled(metrics[metric]), 1)),
        [control, start].includes(method)
          ? "–"
          : interval(differences(studied, method, control), 1, { signed: true }),
        cell(method, ({ sharpness }) => sharpness.maxSharpness, 4),
        cell(method, ({ largestEigenvalue: value }) => value, 1),
        own.length,
      ];
    }),
  ]);
}

/** What radii and SGD's learning rate were chosen by, the chosen ones bold. */
function choiceTable() {
  return markdown([
    ["method", "ρ, or learning rate", task.metrics[leading][0]],
    ...choiceRuns().flatMap((run) => {
      const line = byKey.get(results.key(run));
      if (!line) return [];
      const value = line.diverged ? "diverged" : (100 * line.metrics[leading]).toFixed(1);
      const best = chosen(run.method);
      const isChosen = best && results.key(best) === results.key(run);
      return [[run.method, run.rho ?? run.learningRate, isChosen ? `**${value}**` : value]];
    }),
  ]);
}

for (const [marker, table] of Object.entries({ results: resultTable(), choices: choiceTable() }))
  writeTable(`${name}.md`, `${marker}: written by studies/tasks.mjs`, table);
console.error(`${studied.length} of ${allRuns().length} results`);
