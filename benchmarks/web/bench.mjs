// npm run bench:web: a training step in headless Chromium against the same step in Node; what it prints with --help
// says the rest.
import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { measureStep, medianOf } from "../measured.mjs";
import { milliseconds, spreadOf, tableOf, takeTurns, timeOf } from "../turns.mjs";

const help = `npm run bench:web [-- flags]

Times a training step in headless Chromium, on ONNX Runtime's WebAssembly with one thread and, in a page that is
cross-origin isolated, with several, against onnxruntime-node with one thread. The contenders take turns. The first
three losses of each are compared with Node's.

  --peer            TensorFlow.js and jax-js as well, on the same network, weights and batch; installs them into
                    benchmarks/web on first use (68 MB)
  --models LIST     mlp, cnn (default: both)
  --methods LIST    sgd, bilateral-sam (default: both)
  --images LIST     digits (8×8), fashion-mnist (28×28) (default: both)
  --batch N         images in a batch (default: 128)
  --rounds N        turns of each contender (default: 3)
  --seconds S       of timed steps in each turn, two steps or more (default: 1.5)
  --threads N       of the isolated page (default: the cores, at most 4)
  --longest S       a measurement in a page that takes longer is given up (default: 60)
  --json FILE       writes everything that was measured

  npm run bench:web                                          # 3 minutes on two cores
  npm run bench:web -- --peer --rounds 5 --json web.json
  npm run bench:web -- --peer --models cnn --images digits --batch 4

Exit codes: 0 measured; 1 it failed, a loss differs from Node's by more than 1e-4 of it, or a step with one thread takes
more than 3.5 times as long as Node's; 2 a mistake in the flags.
`;

/** A step in WebAssembly takes at most so many times as long as Node's. */
const mostOfNode = 3.5;
/** Largest difference of a loss from Node's, relative to it. */
const lossTolerance = 1e-4;

const options = readFlags();
const { batch, rounds, seconds, threads, longest } = options;
const { browser, installPeers, openContenders, peerVersions } = await import("./contenders.mjs");
if (browser === undefined) fail(1, "no Chromium is on the PATH; install it (apt-get install chromium)");
if (options.peer) installPeers();

const pages = await openContenders(["lowland", ...(options.peer ? ["tfjs", "jax"] : [])], { longest });
const inPage =
  (module, more = {}, page = {}) =>
  (each) =>
    pages.measure(module, { ...each, batch, seconds, warmUp: 1, threads: 1, ...more }, page);
const [node, wasm, several] = ["Node", "wasm", `wasm, ${threads} threads`];
const contenders = {
  [node]: (each) => measureStep({ ...each, batch, threads: 1, seconds }),
  [wasm]: inPage("lowland"),
  ...(threads > 1 && { [several]: inPage("lowland", { threads }, { isolated: true }) }),
  ...(options.peer && {
    "TF.js wasm": inPage("tfjs", { backend: "wasm" }),
    "TF.js cpu": inPage("tfjs", { backend: "cpu" }),
    "jax-js wasm": inPage("jax"),
  }),
};
const peers = Object.keys(contenders).slice(threads > 1 ? 3 : 2);
const failureOf = (results) => results.find(({ failed }) => failed)?.failed;

const cases = options.models.flatMap((model) =>
  options.images.flatMap((images) => options.methods.map((method) => ({ model, images, method }))),
);
const machine = {
  date: new Date().toISOString().slice(0, 10),
  processor: `${cpus()[0].model}, ${availableParallelism()} cores`,
  batch,
  node: process.version,
  onnxruntime: createRequire(import.meta.url)("onnxruntime-node/package.json").version,
  chromium: pages.version,
  ...(options.peer && { peers: peerVersions() }),
};
console.error(machine.processor);
const found = await takeTurns({
  cases,
  contenders,
  rounds,
  guess: () => 2 + 2 * seconds,
  // TensorFlow.js is measured in JavaScript where its WebAssembly has no kernel for the step.
  skips: (name, results) =>
    failureOf(results[name]) !== undefined || (name === "TF.js cpu" && !failureOf(results["TF.js wasm"])),
  say: (result) => result.failed ?? `${milliseconds(medianOf(result.milliseconds))} ms`,
}).finally(() => pages.close());

const rows = cases.map((each, index) => rowOf(each, found[index]));
print();
if (options.json) writeFileSync(options.json, `${JSON.stringify({ machine, rows, found }, undefined, 1)}\n`);
const faults = rows.flatMap(faultsOf);
for (const fault of faults) console.error(fault);
process.exitCode = faults.length > 0 ? 1 : 0;

/** Medians over the rounds of each round's median, and how the losses differ from Node's. */
function rowOf(each, results) {
  const own = results[node][0].losses;
  const entries = Object.entries(results).filter(([, rounds]) => rounds.length > 0 && !failureOf(rounds));
  const differences = entries.map(([name, [{ losses }]]) => [
    name,
    Math.max(...losses.map((loss, step) => Math.abs(loss - own[step]) / Math.abs(own[step]))),
  ]);
  const times = Object.fromEntries(entries.map(([name, rounds]) => [name, spreadOf(rounds)]));
  return {
    name: Object.values(each).join(", "),
    times,
    failures: Object.fromEntries(
      Object.entries(results).flatMap(([name, rounds]) => {
        const reason = failureOf(rounds);
        return reason === undefined ? [] : [[name, reason]];
      }),
    ),
    toNode: times[wasm] && times[wasm].median / times[node].median,
    losses: own,
    differences: Object.fromEntries(differences),
  };
}

function faultsOf({ name, toNode, failures, differences }) {
  const ours = [wasm, several].filter((each) => failures[each] !== undefined);
  return [
    ...ours.map((each) => `${name}: ${each} failed: ${failures[each]}`),
    ...(toNode > mostOfNode
      ? [`${name}: wasm takes ${toNode.toFixed(2)} times as long as Node, more than ${mostOfNode}`]
      : []),
    ...Object.entries(differences)
      .filter(([, difference]) => !(difference <= lossTolerance))
      .map(([each, difference]) => `${name}: the losses of ${each} differ from Node's by ${difference}`),
  ];
}

function print() {
  const shown = Object.keys(contenders).filter((name) => rows.some(({ times }) => times[name]));
  const columns = {
    "network, images, method": ({ name }) => name,
    ...Object.fromEntries(
      shown.map((name) => [`${name} ms`, ({ times }) => (times[name] ? timeOf(times[name]) : "–")]),
    ),
    "wasm ÷ Node": ({ toNode }) => toNode?.toFixed(2) ?? "–",
    ...Object.fromEntries(
      peers
        .filter((name) => shown.includes(name))
        .map((name) => [`${name} ÷ wasm`, ({ times }) => toWasm(times, name)]),
    ),
  };
  const lossColumns = {
    "network, images, method": ({ name }) => name,
    "Node's losses": ({ losses }) => losses.map((loss) => loss.toFixed(6)).join(" "),
    ...Object.fromEntries(
      shown
        .filter((name) => name !== node)
        .map((name) => [name, ({ differences }) => differences[name]?.toExponential(0) ?? "–"]),
    ),
  };
  console.log(`${machine.date}, ${machine.processor}, batch ${batch}`);
  const versions = [`Node ${machine.node}`, `onnxruntime-node and -web ${machine.onnxruntime}`];
  console.log([...versions, `Chromium ${machine.chromium}`, machine.peers].filter(Boolean).join(", "));
  console.log(
    `Medians of ${rounds} rounds (the least and the most of a round); one thread where none are named.\n`,
  );
  console.log(tableOf(columns, rows));
  console.log("\nThe first three losses, and the largest relative difference from them:\n");
  console.log(tableOf(lossColumns, rows));
  const failures = rows.flatMap(({ name, failures }) =>
    Object.entries(failures).map(([peer, reason]) => `${name}: ${peer}: ${reason}`),
  );
  if (failures.length > 0) console.log(`\nNot measured:\n\n${failures.join("\n")}`);
}

function toWasm(times, name) {
  return times[name] && times[wasm] ? (times[name].median / times[wasm].median).toFixed(1) : "–";
}

function readFlags() {
  const text = (name) => ({ [name]: { type: "string" } });
  const names = ["models", "methods", "images", "batch", "rounds", "seconds", "threads", "longest", "json"];
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        peer: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
        ...Object.assign({}, ...names.map(text)),
      },
    }));
  } catch (error) {
    fail(2, `${error.message.split(". ")[0]}; --help lists the flags`);
  }
  if (values.help) {
    console.log(help);
    process.exit(0);
  }
  const list = (name, known) => {
    const given = values[name]?.split(",") ?? known;
    const unknown = given.find((each) => !known.includes(each));
    if (unknown !== undefined)
      fail(2, `--${name}: there is no "${unknown}"; choose from ${known.join(", ")}`);
    return given;
  };
  const number = (name, otherwise, whole = true) => {
    const value = Number(values[name] ?? otherwise);
    const valid = value > 0 && (whole ? Number.isInteger(value) : Number.isFinite(value));
    if (!valid)
      fail(2, `--${name} is ${values[name]}; it has to be a ${whole ? "whole " : ""}number above 0`);
    return value;
  };
  return {
    peer: values.peer,
    json: values.json,
    models: list("models", ["mlp", "cnn"]),
    methods: list("methods", ["sgd", "bilateral-sam"]),
    images: list("images", ["digits", "fashion-mnist"]),
    batch: number("batch", 128),
    rounds: number("rounds", 3),
    seconds: number("seconds", 1.5, false),
    threads: number("threads", Math.min(4, availableParallelism())),
    longest: number("longest", 60, false),
  };
}

function fail(code, message) {
  console.error(message);
  process.exit(code);
}
