// The transfer study: `resnet20`, pre-trained on five classes of Fashion-MNIST, learns the other five from 100 pictures
// of each. Transfer (the head alone, everything) against training from scratch on the same 500 pictures, by SGD, SAM at
// ρ_max and at the total radius, and bilateral SAM, over five seeds.
//
//   npm run build && node studies/transfer.mjs [--data-dir FOLDER]     trains what is missing
//   node studies/transfer.mjs --table                                  writes what is there only
//
// Each finished run is one line of docs/results/transfer.jsonl, so the study can be stopped and resumed at any
// time. Pre-trained networks are kept in runs/transfer. The tables of docs/results/transfer.md are made from these
// lines, its sentences are written by hand.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadDataset, train } from "lowland";
import { markdown, meanAndDeviation, resultLines, writeTable } from "./result-lines.mjs";

const { values: flags } = parseArgs({
  options: {
    "data-dir": { type: "string" },
    table: { type: "boolean", default: false },
  },
});

const seeds = [1, 2, 3, 4, 5];
/** Of the grid that learning rates are chosen by, and of the pre-trained network, which all seeds start from. */
const ratesSeed = 100;
const epochs = 10;
const [oldClasses, newClasses] = [
  [0, 1, 2, 3, 4],
  [5, 6, 7, 8, 9],
];
/** Pictures of each class: for pre-training, for fine-tuning, and for choosing learning rates. */
const [pretrainingPictures, pictures, validationPictures] = [1800, 100, 200];

const optimizers = {
  SGD: { method: "sgd" },
  "SAM, ρ 0.05": { method: "sam", rho: 0.05 },
  "SAM, ρ 0.1": { method: "sam", rho: 0.1 },
  "bilateral SAM": { method: "bilateral-sam" },
};
/** The same total radius as bilateral SAM: what differences are to. */
const control = "SAM, ρ 0.1";

/**
 * What is trained, from which weights, and the learning rates to choose from, each optimizer's own. Where SAM is not among
 * those that try them, it has bilateral SAM's.
 */
const ways = {
  "from scratch": {
    ...{ grid: [0.01, 0.03, 0.1], tried: Object.keys(optimizers) },
    network: () => ({ model: "resnet20" }),
  },
  everything: {
    ...{ grid: [0.01, 0.03, 0.1], tried: ["SGD", "bilateral SAM"] },
    network: (file) => ({ model: { file, classes: newClasses.length } }),
  },
  "head only": {
    ...{ grid: [0.03, 0.1, 0.3, 1], tried: ["SGD", "bilateral SAM"] },
    network: (file) => ({
      model: {
        ...{ file, classes: newClasses.length, trainable: "linear.*", batchNormalization: "frozen" },
      },
    }),
  },
};

const shared = { labelSmoothing: 0.1, augmentation: { flip: true }, threads: 1 };
const pretraining = {
  ...shared,
  ...{ model: "resnet20", optimizer: { method: "sgd" }, learningRate: 0.1, batchSize: 50, epochs: 5 },
  sharpness: { images: 250 },
};
const finetuning = { ...shared, batchSize: 25, sharpness: { images: 250 } };

const results = resultLines("transfer.jsonl", ({ way, optimizer, seed, epochs: count, learningRate }) => [
  ...[way, optimizer, seed, count, learningRate],
]);
const kept = fileURLToPath(new URL("../runs/transfer", import.meta.url));

/** The rate that did best in the grid. */
function chosenRate(way, optimizer) {
  const tried = ways[way].tried.includes(optimizer) ? optimizer : "bilateral SAM";
  const lines = results
    .read()
    .filter((line) => line.seed === ratesSeed && line.way === way && line.optimizer === tried);
  return lines.toSorted((a, b) => b.testAccuracy - a.testAccuracy)[0]?.learningRate;
}

/** All runs, seed by seed, so that what is there at any time is balanced. */
function allRuns() {
  return seeds.flatMap((seed) =>
    Object.keys(ways).flatMap((way) =>
      Object.entries(optimizers).map(([optimizer, configuration]) => ({
        ...{ way, optimizer, seed, epochs, configuration },
        learningRate: chosenRate(way, optimizer),
      })),
    ),
  );
}

/** The grid, on a seed that the study does not use otherwise. */
function rateRuns() {
  return Object.entries(ways).flatMap(([way, { grid, tried }]) =>
    grid.flatMap((learningRate) =>
      tried.map((optimizer) => ({
        ...{ way, optimizer, seed: ratesSeed, epochs, learningRate, configuration: optimizers[optimizer] },
      })),
    ),
  );
}

/** The pictures of some classes as a source of their own: of each class `count` in the file's order, from `start`. */
function part(source, classes, start = 0, count = source.count) {
  const indices = classes.flatMap((label) => {
    const own = [];
    for (let at = 0; at < source.count; at++) if (source.labels[at] === label) own.push(at);
    return own.slice(start, start + count);
  });
  return {
    ...source,
    count: indices.length,
    fingerprint: `${source.fingerprint} ${classes} from ${start}, ${count} of each`,
    classNames: classes.map((label) => source.classNames[label]),
    labels: Int32Array.from(indices, (at) => classes.indexOf(source.labels[at])),
    read: (index) => source.read(indices[index]),
  };
}

async function trainMissing(runs) {
  const missing = results.missing(runs);
  console.error(`${missing.length} runs to go`);
  const fashion = await loadDataset("fashion-mnist", { dataDirectory: flags["data-dir"] });
  for (const run of missing) {
    const { way, optimizer, seed, epochs: count, learningRate, configuration } = run;
    const file = await pretrained(fashion);
    const isRate = seed === ratesSeed;
    const data = {
      train: part(fashion.train, newClasses, isRate ? 0 : seed * pictures, pictures),
      test: isRate
        ? part(fashion.train, newClasses, 4000, validationPictures)
        : part(fashion.test, newClasses),
    };
    const { summary } = await train({
      ...{ ...finetuning, ...ways[way].network(file), data, seed, learningRate },
      ...{ epochs: count, evaluateEvery: count, optimizer: configuration },
    });
    if (summary?.status !== "finished") throw new Error(`${results.key(run)} ended as ${summary?.status}`);
    const line = {
      ...{ way, optimizer, seed, epochs: count, learningRate },
      testAccuracy: summary.metrics.accuracy,
      testLoss: summary.testLoss,
      trainLoss: summary.trainLoss,
      sharpness: summary.sharpness,
      gradientEvaluations: summary.gradientEvaluations,
      seconds: summary.seconds,
    };
    results.append(line);
    console.error(
      `${results.key(run)}: ${(100 * line.testAccuracy).toFixed(2)} %, ${line.seconds.toFixed(0)} s`,
    );
  }
}

/** The network that is pre-trained on the first five classes: its ONNX file. */
async function pretrained(fashion) {
  const seed = ratesSeed;
  const out = join(kept, `pretrained-${seed}`);
  if (!existsSync(join(out, "summary.json"))) {
    const data = {
      train: part(fashion.train, oldClasses, 0, pretrainingPictures),
      test: part(fashion.test, oldClasses),
    };
    const { epochs: evaluateEvery } = pretraining;
    const { summary } = await train({ ...pretraining, data, seed, evaluateEvery, out, existing: "resume" });
    console.error(`pre-trained, seed ${seed}: ${(100 * summary.metrics.accuracy).toFixed(2)} %`);
    results.append({
      ...{ way: "pre-training", optimizer: "SGD", seed, epochs: pretraining.epochs },
      learningRate: pretraining.learningRate,
      testAccuracy: summary.metrics.accuracy,
      testLoss: summary.testLoss,
      ...{ gradientEvaluations: summary.gradientEvaluations, seconds: summary.seconds },
    });
  }
  return join(out, "model.onnx");
}

if (!flags.table) {
  await trainMissing(rateRuns());
  await trainMissing(allRuns());
}

const studied = allRuns().map((run) => ({ ...run, key: results.key(run) }));
const byKey = results.byKey();
/** The finished lines of a way and an optimizer, in the order of the seeds. */
const rowsOf = (way, optimizer) =>
  studied.flatMap((run) =>
    run.way === way && run.optimizer === optimizer && byKey.has(run.key) ? [byKey.get(run.key)] : [],
  );
/** A table of optimizers down and ways across. */
function tableOf(value, digits) {
  const cell = (optimizer, way) => meanAndDeviation(rowsOf(way, optimizer).map(value), digits);
  return [
    ["optimizer", ...Object.keys(ways)],
    ...Object.keys(optimizers).map((optimizer) => [
      optimizer,
      ...Object.keys(ways).map((way) => cell(optimizer, way)),
    ]),
  ];
}
/** Accuracy, with the difference to the control below it, paired by seed. */
function accuracyTable() {
  const [head, ...rows] = tableOf(({ testAccuracy }) => 100 * testAccuracy, 2);
  const gradients = (optimizer) => rowsOf("everything", optimizer)[0]?.gradientEvaluations ?? "–";
  return [
    [...head, "gradients"],
    ...rows.map(([optimizer, ...cells]) => [
      optimizer,
      ...cells.map((cell, at) => {
        const way = Object.keys(ways)[at];
        const differences = rowsOf(way, optimizer).flatMap(({ seed, testAccuracy }) => {
          const other = rowsOf(way, control).find((line) => line.seed === seed);
          return other ? [100 * (testAccuracy - other.testAccuracy)] : [];
        });
        return optimizer === control ? cell : `${cell}<br>${signed(meanAndDeviation(differences, 2))}`;
      }),
      gradients(optimizer),
    ]),
  ];
}
const signed = (text) => (text.startsWith("-") ? `−${text.slice(1)}` : /^\d/.test(text) ? `+${text}` : text);
/** What the learning rates were chosen by: accuracy on validation pictures, the chosen ones bold. */
function ratesTable() {
  const cell = (way, learningRate, optimizer) => {
    const run = { way, optimizer, seed: ratesSeed, epochs, learningRate };
    const line = byKey.get(results.key(run));
    const text = line ? (100 * line.testAccuracy).toFixed(1) : "–";
    return line && learningRate === chosenRate(way, optimizer) ? `**${text}**` : text;
  };
  return [
    ["what trains", "learning rate", ...Object.keys(optimizers)],
    ...Object.entries(ways).flatMap(([way, { grid }]) =>
      grid.map((learningRate) => [
        ...[way, learningRate, ...Object.keys(optimizers).map((name) => cell(way, learningRate, name))],
      ]),
    ),
  ];
}
for (const [marker, rows] of Object.entries({
  accuracy: accuracyTable(),
  "test loss": tableOf(({ testLoss }) => testLoss, 3),
  "training loss": tableOf(({ trainLoss }) => trainLoss, 3),
  sharpness: tableOf(({ sharpness }) => sharpness.maxSharpness, 3),
  "learning rates": ratesTable(),
})) {
  writeTable("transfer.md", `${marker}: written by studies/transfer.mjs`, markdown(rows));
}
console.error(`${studied.filter(({ key }) => byKey.has(key)).length} of ${studied.length} results`);
