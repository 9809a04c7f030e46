// Generated models: random graphs of the covered operators, in the form of a random opset, with weights in random places,
// imported and differentiated. Outputs have to be those of ONNX Runtime on the same file, gradients those of finite
// differences through ONNX Runtime, parameters those that were meant as such, and the file that is written the same again.
// With every twentieth model comes a random classifier, which has to have one loss in training, in evaluation and on the
// surface of flatness.
//
//   nice node studies/fuzz-models.mjs [--models 20000] [--seed 1] [--workers 2] [--again] [--note TEXT] [--only NUMBER]
//
// A model is a function of the seed and its number; --only shows one, and the smallest part of it that fails alike. Results
// are kept as they come, in runs/fuzz-models: the same command goes on where it was stopped, and with --again it computes
// those that failed, were refused or did not run again. At the end it writes docs/results/fuzz-models.md, with the
// note, if there is one, on how the results came about.
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { build, install, root } from "../scripts/project.mjs";

const patience = 60_000;
/** A worker makes way for a new one after so many models: what ONNX Runtime keeps of a session adds up. */
const modelsOfWorker = 2000;
/** One model in N comes with a classifier too. */
const modelsOfClassifier = 20;

async function work({ seed }) {
  const { checkModel, minimalFailure } = await import("../dist/testing/generated/checks.js");
  const { checkClassifier } = await import("../dist/testing/generated/losses.js");
  parentPort.on("message", async (number) => {
    const checked = await checkModel(seed, number);
    const failed = checked.failures.some(({ check }) => check !== "roles") || checked.outcome === "refused";
    const minimal = failed ? await minimalFailure(checked) : undefined;
    const last = minimal?.model.nodes.at(-1)?.operator;
    const classifier = number % modelsOfClassifier === 0 ? await checkClassifier(seed, number) : undefined;
    const failures = [...checked.failures, ...(classifier?.failures ?? [])];
    parentPort.postMessage({ ...checked, failures, last, classifier });
  });
  parentPort.postMessage("ready");
}

async function main() {
  const { values: flags } = parseArgs({
    options: {
      models: { type: "string", default: "20000" },
      seed: { type: "string", default: "1" },
      workers: { type: "string", default: "2" },
      again: { type: "boolean", default: false },
      note: { type: "string", default: "" },
      only: { type: "string" },
    },
  });
  install();
  build();
  const seed = Number(flags.seed);
  if (flags.only !== undefined) return await show(seed, Number(flags.only));
  setPriority(constants.priority.PRIORITY_LOW);
  const folder = join(root, "runs", "fuzz-models");
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `seed-${seed}.jsonl`);
  const known = existsSync(path) ? readResults(path) : [];
  const results = known.filter((result) => !flags.again || passed(result));
  const done = new Set(results.map(({ number }) => number));
  const pending = Array.from({ length: Number(flags.models) }, (_, number) => number).filter(
    (number) => !done.has(number),
  );
  const started = performance.now();
  let [count, told] = [0, started];
  const take = (result) => {
    appendFileSync(path, `${JSON.stringify(result)}\n`);
    results.push(result);
    count++;
    if (result.failures.length > 0) console.log(lineOf(result));
    if (performance.now() - told < 30_000) return;
    told = performance.now();
    const speed = (count / (told - started)) * 1000;
    console.error(`${results.length} of ${flags.models} models, ${speed.toFixed(1)} a second`);
  };
  await Promise.all(Array.from({ length: Number(flags.workers) }, () => employ(seed, pending, take)));
  const { page } = await import("./fuzz-models-page.mjs");
  writeFileSync(join(root, "docs", "results", "fuzz-models.md"), page(results, seed, flags.note));
  const failed = results.filter(({ failures }) => failures.length > 0);
  console.log(`${results.length} models, ${failed.length} with failures`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}

function passed({ failures, outcome, classifier }) {
  return failures.length === 0 && outcome === "checked" && (classifier?.outcome ?? "same") === "same";
}

/** The last result of each number; a line that was cut off is left out. */
function readResults(path) {
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return [
    ...new Map(lines.map((line) => JSON.parse(line)).map((result) => [result.number, result])).values(),
  ];
}

/** One worker after the other, until no number is left. */
async function employ(seed, pending, take) {
  while (pending.length > 0) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { seed } });
    await answerOf(worker);
    for (let models = 0; models < modelsOfWorker && pending.length > 0; models++) {
      const number = pending.shift();
      worker.postMessage(number);
      const answer = await answerOf(worker).catch((error) => ({
        seed,
        number,
        outcome: "checked",
        operators: [],
        packing: [],
        failures: [{ check: "error", message: `no answer: ${error.message}` }],
        gradients: {},
      }));
      take(answer);
      if (answer.opset === undefined) break;
    }
    await worker.terminate();
  }
}

function answerOf(worker) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => settle(reject)(new Error(`none in ${patience} ms`)), patience);
    const settle = (end) => (value) => {
      clearTimeout(timer);
      worker.off("message", onMessage);
      worker.off("error", onError);
      end(value);
    };
    const [onMessage, onError] = [settle(resolve), settle(reject)];
    worker.on("message", onMessage);
    worker.on("error", onError);
  });
}

function lineOf({ number, opset, float, packing, failures, last }) {
  return `${number}: opset ${opset}, ${float}${packing.length > 0 ? `, ${packing.join(", ")}` : ""}; ${last}: ${failures.map(({ check, message }) => `${check}: ${message}`).join("; ")}`;
}

/** Checks one model and shows it, and the smallest part of it that fails. */
async function show(seed, number) {
  const { checkModel, minimalFailure } = await import("../dist/testing/generated/checks.js");
  const { generateModel } = await import("../dist/testing/generated/generate.js");
  const { packedFile } = await import("../dist/testing/generated/file.js");
  const { writeModel } = await import("../dist/onnx/model.js");
  const { checkClassifier } = await import("../dist/testing/generated/losses.js");
  const checked = await checkModel(seed, number);
  const model = generateModel(seed, number, checked.float);
  const minimal = await minimalFailure(checked);
  describeModel(model);
  console.log({ ...checked, operators: checked.operators.join(" ") });
  const file = packedFile(minimal?.model ?? model, seed, number);
  const folder = join(root, "runs", "fuzz-models", `${seed}-${number}`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "model.onnx"), writeModel(file.proto));
  if (file.external) writeFileSync(join(folder, file.external.name), file.external.bytes);
  if (minimal) {
    console.log("The smallest part that ends alike:");
    describeModel(minimal.model);
    console.log(minimal.checked.failures, minimal.checked.refusal ?? "");
  }
  if (number % modelsOfClassifier === 0) console.log("Its classifier:", await checkClassifier(seed, number));
  console.log(`Written to ${folder}`);
}

function describeModel({ opset, float, inputs, stored, nodes, outputs }) {
  const asText = (_, value) => (typeof value === "bigint" ? String(value) : value);
  const values = (list) => (list.length < 9 ? ` = ${list.join(", ")}` : "");
  console.log(`opset ${opset}, ${float}`);
  for (const one of inputs)
    console.log(`  input ${one.name} ${one.type} [${one.shape}]${values(one.values)}`);
  for (const one of stored)
    console.log(`  ${one.meaning} ${one.name} ${one.type} [${one.shape}]${values(one.values)}`);
  for (const node of nodes)
    console.log(
      `  ${node.outputs.join(", ")} = ${node.operator}(${node.inputs.join(", ")}) ${JSON.stringify(node.attributes, asText)}`,
    );
  console.log(`  outputs ${outputs.map(({ name, shape }) => `${name} [${shape}]`).join(", ")}`);
}

if (isMainThread) await main();
else await work(workerData);
