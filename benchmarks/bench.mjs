// The training step of five networks by SGD and by bilateral SAM, beside PyTorch where it is installed:
//
//   npm run bench -- --peer                                     # 10 to 15 minutes on two cores
//   npm run bench -- --models cnn,mlp --rounds 5 --json bench.json
//   npm run bench -- --peer --models resnet18 --no-recompute    # without computing forward values again
//
// Every measurement is a process of its own, and the contenders take turns: Lowland; PyTorch tuned (channels_last, and
// glibc told to keep its memory); PyTorch as it is installed. PyTorch is the one that `--python` imports.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { argumentsOf, inProcess, measureStep, medianOf } from "./measured.mjs";
import { milliseconds, spreadOf, tableOf, takeTurns, timeOf } from "./turns.mjs";

const { values: options } = parseArgs({
  options: {
    peer: { type: "boolean", default: false }, // PyTorch as well
    python: { type: "string", default: "python3" },
    models: { type: "string", default: "resnet18,cnn,resnet20,lenet5,mlp" },
    methods: { type: "string", default: "sgd,bilateral-sam" },
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "1.5" }, // of timed steps in each process, two steps or more
    batch: { type: "string", default: "128" },
    threads: { type: "string", default: String(availableParallelism()) },
    recompute: { type: "boolean" }, // or --no-recompute, of Lowland; default: where a gradient reads much
    dist: { type: "string", default: resolve(import.meta.dirname, "../dist") },
    json: { type: "string" }, // file for everything that was measured
  },
  allowNegative: true,
});
const { batch, threads, seconds, dist, recompute } = options;
const rounds = Number(options.rounds);

/** glibc keeps the memory that is freed, so that a step does not wait for fresh pages. */
const kept = {
  MALLOC_MMAP_THRESHOLD_: "4294967296",
  MALLOC_TRIM_THRESHOLD_: "17179869184",
  MALLOC_TOP_PAD_: "268435456",
};
const torch = ({ model, method }, more, env) => {
  const script = resolve(import.meta.dirname, "step_torch.py");
  const given = argumentsOf({ model, method, batch, threads, seconds });
  return inProcess(options.python, [script, ...given, ...more], env);
};
const contenders = {
  Lowland: ({ model, method }) => measureStep({ dist, model, method, batch, threads, seconds, recompute }),
  ...(options.peer && {
    "PyTorch tuned": (each) => torch(each, ["--channels-last"], kept),
    "PyTorch as installed": (each) => torch(each, [], {}),
  }),
};
const [own, tuned, installed] = ["Lowland", "PyTorch tuned", "PyTorch as installed"];

/** Multiplications and additions of a step of SGD with a batch of 128, for a first guess at how long all will take. */
const gigaOperations = { resnet18: 425, resnet20: 31, cnn: 4.2, lenet5: 0.29, mlp: 0.15 };
const models = options.models.split(",");
const cases = models.flatMap((model) => options.methods.split(",").map((method) => ({ model, method })));
const peerVersion = options.peer ? await versionOfPeer() : undefined;
const peakOf = () =>
  inProcess(process.execPath, [
    resolve(import.meta.dirname, "measure-peak.mjs"),
    ...argumentsOf({ dist, threads }),
  ]);
const handoverOf = () => inProcess(process.execPath, [resolve(import.meta.dirname, "measure-handover.mjs")]);
const peaks = [await peakOf()];
const handovers = Number(threads) > 1 ? [await handoverOf()] : [];
const guess = ({ model, method }) => {
  const gradients = method === "sgd" ? 1 : method === "sam" ? 2 : 3;
  const operations = (1e9 * (gigaOperations[model] ?? 100) * Number(batch)) / 128;
  const step = (gradients * operations) / (0.8 * peaks[0].operationsPerSecond);
  return 2 + step + Math.max(1.1 * Number(seconds), 2 * step);
};
const { version: node } = process;
const require = createRequire(import.meta.url);
const machine = {
  date: new Date().toISOString().slice(0, 10),
  processor: `${cpus()[0].model}, ${availableParallelism()} cores`,
  threads: Number(threads),
  batch: Number(batch),
  node,
  onnxruntime: require("onnxruntime-node/package.json").version,
  torch: peerVersion,
};
console.error(machine.processor);
const found = await takeTurns({
  cases,
  contenders,
  rounds,
  guess,
  between: async () => {
    peaks.push(await peakOf());
    if (Number(threads) > 1) handovers.push(await handoverOf());
  },
  betweenSeconds: 3,
  say: (result) => `${milliseconds(medianOf(result.milliseconds))} ms`,
});

const peak = Math.max(...peaks.map(({ operationsPerSecond }) => operationsPerSecond));
const rows = cases.map(({ model, method }, index) => rowOf(model, method, found[index]));
for (const row of rows) {
  const sgd = rows.find(({ model, method }) => model === row.model && method === "sgd");
  row.toSgd = sgd && row.milliseconds.median / sgd.milliseconds.median;
}
print();
if (options.json)
  writeFileSync(options.json, `${JSON.stringify({ machine, peak, handovers, rows, found }, undefined, 1)}\n`);

/** One row of the table: medians over the rounds of each round's median. */
function rowOf(model, method, results) {
  const spread = (name) => results[name] && spreadOf(results[name]);
  const bytes = (name) => results[name] && medianOf(results[name].map(({ peakBytes }) => peakBytes));
  const [ms, msTuned, msInstalled] = [own, tuned, installed].map(spread);
  const { operations, firstStepSeconds } = results[own][0];
  return {
    model,
    method,
    milliseconds: ms,
    tuned: msTuned,
    installed: msInstalled,
    toTuned: msTuned && ms.median / msTuned.median,
    toInstalled: msInstalled && ms.median / msInstalled.median,
    peakBytes: bytes(own),
    peakBytesTuned: bytes(tuned),
    shareOfPeak: operations / (ms.median / 1000) / peak,
    firstStepSeconds,
  };
}

function print() {
  const ratio = (value) => value?.toFixed(2) ?? "";
  const time = (spread) => (spread ? timeOf(spread) : "");
  const megabytes = (bytes) => (bytes ? String(Math.round(bytes / 1e6)) : "");
  const columns = {
    "model, method": ({ model, method }) => `${model}, ${method}`,
    "ms a step": (row) => time(row.milliseconds),
    ...(options.peer && {
      "PyTorch tuned": (row) => time(row.tuned),
      "as installed": (row) => time(row.installed),
      "÷ tuned": (row) => ratio(row.toTuned),
      "÷ installed": (row) => ratio(row.toInstalled),
    }),
    "÷ SGD": (row) => ratio(row.toSgd),
    "peak MB": (row) => megabytes(row.peakBytes),
    ...(options.peer && { "PyTorch MB": (row) => megabytes(row.peakBytesTuned) }),
    "of peak rate": (row) => `${Math.round(100 * row.shareOfPeak)} %`,
    "first step": (row) => `${row.firstStepSeconds.toFixed(1)} s`,
  };
  const versions = [
    `Node ${node}`,
    `onnxruntime-node ${machine.onnxruntime}`,
    peerVersion && `PyTorch ${peerVersion}`,
  ];
  console.log(`${machine.date}, ${machine.processor}, ${threads} threads, batch ${batch}`);
  console.log(
    `${versions.filter(Boolean).join(", ")}; peak rate ${Math.round(peak / 1e9)} GFLOP/s (products of matrices)`,
  );
  const rates = handovers.map(({ bytesPerSecond }) => Math.round(bytesPerSecond / 1e9));
  if (rates.length > 0)
    console.log(`Before each round a core read what the other had just written at ${rates.join(", ")} GB/s`);
  console.log(`Medians of ${rounds} rounds (the least and the most of a round).\n`);
  console.log(tableOf(columns, rows));
}

async function versionOfPeer() {
  try {
    const script = "import json, torch; print(json.dumps(torch.__version__))";
    return await inProcess(options.python, ["-c", script]);
  } catch {
    console.error(
      `${options.python} cannot import torch; install it there, name another Python by --python, or leave out --peer`,
    );
    process.exit(1);
  }
}
