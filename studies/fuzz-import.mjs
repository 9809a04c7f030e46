// Hostile models: mutated ONNX files are loaded, built for training and differentiated. Each has to be taken or to be
// refused by a UserError in one sentence: anything else that is thrown, half a minute without an answer, or memory that
// grows without bound is a failure, told with the number that makes the file again.
//
//   npm run build && node studies/fuzz-import.mjs [--files 20000] [--seed 1] [--only NUMBER] [FILE.onnx …]
//
// Without files, those of fixtures/import are mutated: bytes flipped, cut out, repeated and cut off, and, in the parsed
// model, names exchanged, sizes made absurd, nodes dropped, repeated and rewired, operators and attributes exchanged.
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { onnx, ops, optim, sgd, UserError } from "lowland";

const patience = 30_000;
const heapMegabytes = 512;

/** Numbers that depend on the seed and the file's number alone (mulberry32). */
function randomOf(seed, number) {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(number + 1, 0x85ebca6b)) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (count) => Math.floor(next() * count);
  return { below, pick: (list) => list[below(list.length)] };
}

const byteMutations = {
  flip: (bytes, { below }) => {
    const copy = bytes.slice();
    for (let times = 1 + below(8); times > 0; times--) copy[below(copy.length)] ^= 1 << below(8);
    return copy;
  },
  overwrite: (bytes, { below }) => {
    const copy = bytes.slice();
    const start = below(copy.length);
    copy.fill(below(256), start, start + 1 + below(16));
    return copy;
  },
  truncate: (bytes, { below }) => bytes.slice(0, below(bytes.length)),
  cut: (bytes, { below }) => {
    const start = below(bytes.length);
    return Buffer.concat([bytes.slice(0, start), bytes.slice(start + 1 + below(64))]);
  },
  repeat: (bytes, { below }) => {
    const start = below(bytes.length);
    const end = start + 1 + below(256);
    return Buffer.concat([bytes.slice(0, end), bytes.slice(start)]);
  },
  random: (_, { below }) => Uint8Array.from({ length: 1 + below(4096) }, () => below(256)),
};

const sizes = [0n, -1n, 1n, 2n, 3n, 65536n, 2n ** 31n, 2n ** 40n, 2n ** 63n - 1n];
const operators =
  "Add MatMul Conv Gemm Relu Reshape Transpose Concat Slice Gather Expand Tile Pad Softmax Split If Loop LSTM TopK Resize Einsum ConstantOfShape Range Frobnicate".split(
    " ",
  );

const modelMutations = {
  "absurd size of a tensor": ({ graph }, { below, pick }) => {
    const { dims } = pick(graph.initializer);
    if (dims.length > 0) dims[below(dims.length)] = pick(sizes);
    else dims.push(pick(sizes));
  },
  "absurd size of an input": ({ graph }, { pick }) => {
    const dims = pick(graph.input).type?.value.value?.shape?.dim ?? [];
    if (dims.length > 0) pick(dims).value = { case: "dimValue", value: pick(sizes) };
  },
  "another input": ({ graph }, { below, pick }) => {
    const { input } = pick(graph.node);
    if (input.length > 0) input[below(input.length)] = pick([...allNames(graph), "", "gone"]);
  },
  "another output": ({ graph }, { below, pick }) => {
    const { output } = pick(graph.node);
    output[below(Math.max(1, output.length))] = pick([...allNames(graph), ""]);
  },
  "dropped node": ({ graph }, { below }) => graph.node.splice(below(graph.node.length), 1),
  "repeated node": ({ graph }, { pick }) => graph.node.push(pick(graph.node)),
  "dropped tensor": ({ graph }, { below }) => graph.initializer.splice(below(graph.initializer.length), 1),
  "tensor of another name": ({ graph }, { pick }) => {
    pick(graph.initializer).name = pick(allNames(graph));
  },
  "another operator": ({ graph }, { pick }) => {
    pick(graph.node).opType = pick(operators);
  },
  "other numbers of an attribute": ({ graph }, { below, pick }) => {
    const attribute = pick(pick(graph.node).attribute);
    if (!attribute) return;
    attribute.i = pick(sizes);
    if (attribute.ints.length > 0) attribute.ints[below(attribute.ints.length)] = pick(sizes);
  },
  "attributes of another node": ({ graph }, { pick }) => {
    pick(graph.node).attribute = pick(graph.node).attribute;
  },
  "another type of numbers": ({ graph }, { below, pick }) => {
    pick(graph.initializer).dataType = below(24);
  },
  "another operator set": ({ opsetImport }, { below }) => {
    opsetImport[0].version = BigInt(below(30));
  },
  "weights in another file": ({ graph }, { pick }) => {
    const tensor = pick(graph.initializer);
    tensor.dataLocation = 1;
    tensor.rawData = new Uint8Array();
  },
};

function allNames(graph) {
  return [
    ...graph.input.map(({ name }) => name),
    ...graph.initializer.map(({ name }) => name),
    ...graph.node.flatMap(({ output }) => output),
  ];
}

/** The file of a number: the kinds of mutation take turns. */
function mutated(files, seed, number) {
  const random = randomOf(seed, number);
  const bytes = random.pick(files);
  const kinds = [...Object.keys(byteMutations), ...Object.keys(modelMutations)];
  const kind = kinds[number % kinds.length];
  if (byteMutations[kind]) return { kind, bytes: byteMutations[kind](bytes, random) };
  const model = onnx.readModel(bytes);
  if (model.graph.initializer.length > 0 && model.graph.node.length > 0) modelMutations[kind](model, random);
  return { kind, bytes: onnx.writeModel(model) };
}

/** Everything that happens to a model up to the engine. Of one without weights the inputs are trained. */
async function train(bytes) {
  const model = await onnx.loadModel(bytes, { batchSize: 2 });
  const network = model.build({ training: true });
  const [logits] = network.logits.values();
  const objective = onnx.objectiveOf(network, ops.reduceMean(ops.mul(logits, logits)));
  const inputs = [...network.inputs].filter(
    ([name, { type }]) => type === "float32" && !network.bufferUpdates.has(name),
  );
  const parameters = objective.parameters.size > 0 ? objective.parameters : new Map(inputs);
  optim.trainingStep({ ...objective, parameters }, sgd({ momentum: 0.9 }));
}

async function work({ files, seed }) {
  // Not as Buffers, whose slices would be views.
  const loaded = files.map((file) => new Uint8Array(readFileSync(file)));
  parentPort.postMessage("ready");
  parentPort.on("message", async (number) => {
    const { kind, bytes } = mutated(loaded, seed, number);
    const started = performance.now();
    let [outcome, message] = ["taken", ""];
    try {
      await train(bytes);
    } catch (error) {
      message = error instanceof Error ? error.message : String(error);
      const isSentence = error instanceof UserError && !message.includes("\n");
      outcome = isSentence ? "refused" : "failed";
      if (!isSentence) message = error instanceof Error ? error.stack : message;
    }
    const megabytes = process.memoryUsage().rss / 2 ** 20;
    parentPort.postMessage({ number, kind, outcome, message, ms: performance.now() - started, megabytes });
  });
}

async function main() {
  const { values: flags, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      files: { type: "string", default: "20000" },
      seed: { type: "string", default: "1" },
      only: { type: "string" },
    },
  });
  const fixtures = fileURLToPath(new URL("../fixtures/import/", import.meta.url));
  const own = readdirSync(fixtures)
    .filter((name) => name.endsWith(".onnx"))
    .map((name) => join(fixtures, name));
  const files = positionals.length > 0 ? positionals : own;
  const [first, end] = flags.only ? [Number(flags.only), Number(flags.only) + 1] : [0, Number(flags.files)];
  const totals = { taken: 0, refused: 0, failed: 0 };
  const byKind = new Map();
  const failures = [];
  let [longest, most, told] = [0, 0, performance.now()];
  const started = performance.now();
  let worker;
  for (let number = first; number < end; number++) {
    const isNew = worker === undefined;
    worker ??= new Worker(new URL(import.meta.url), {
      workerData: { files, seed: Number(flags.seed) },
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytes },
    });
    if (isNew) await once(worker, "message");
    const result = await answerOf(worker, number);
    if (result.ended) {
      await worker.terminate();
      worker = undefined;
    }
    totals[result.outcome]++;
    const kind = byKind.get(result.kind) ?? { taken: 0, refused: 0, failed: 0 };
    kind[result.outcome]++;
    byKind.set(result.kind, kind);
    if (result.outcome === "failed") failures.push(result);
    longest = Math.max(longest, result.ms);
    most = Math.max(most, result.megabytes);
    if (performance.now() - told > 5000) {
      told = performance.now();
      const left = ((told - started) / (number + 1 - first)) * (end - number - 1);
      console.error(
        `${number + 1 - first} of ${end - first}, ${failures.length} failures, ${Math.round(left / 1000)} s left`,
      );
    }
  }
  await worker?.terminate();
  for (const { number, kind, message } of failures.slice(0, 20)) {
    console.log(`failure at --only ${number} (${kind}): ${message}`);
  }
  const width = Math.max(...[...byKind.keys()].map((kind) => kind.length));
  console.log(`${"".padEnd(width)}  taken  refused  failed`);
  for (const [kind, { taken, refused, failed }] of byKind) {
    console.log(
      `${kind.padEnd(width)}  ${String(taken).padStart(5)}  ${String(refused).padStart(7)}  ${String(failed).padStart(6)}`,
    );
  }
  console.log(
    `${end - first} mutated files of ${files.length} models, seed ${flags.seed}: ${totals.taken} taken, ${totals.refused} refused in one sentence, ${totals.failed} failures; longest ${Math.round(longest)} ms, ${Math.round(most)} MB resident at most`,
  );
  process.exitCode = failures.length > 0 ? 1 : 0;
}

/** What a worker says of a file; one that says nothing in time, or ends, is given up. */
function answerOf(worker, number) {
  return new Promise((resolve) => {
    const finish = (result) => {
      clearTimeout(timer);
      worker.off("message", finish);
      worker.off("error", fail);
      resolve(result);
    };
    const fail = ({ message }) =>
      finish({
        number,
        kind: "no answer",
        outcome: "failed",
        message,
        ms: patience,
        megabytes: 0,
        ended: true,
      });
    const timer = setTimeout(() => fail({ message: `no answer in ${patience} ms` }), patience);
    worker.on("message", finish);
    worker.on("error", fail);
    worker.postMessage(number);
  });
}

if (isMainThread) await main();
else await work(workerData);
