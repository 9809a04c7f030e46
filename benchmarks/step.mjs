// Times one training step: one graph, run by ONNX Runtime, weights and optimizer state kept inside.
//
//   npm run build && node benchmarks/step.mjs --model cnn --methods sgd,sam,bilateral-sam
//   node benchmarks/step.mjs --model resnet20 --dist ../other-checkout/dist,dist
//
// The variants (every build with every method) take turns within one process, so that whatever else the machine does
// meets all of them alike. Prints one JSON line per variant: the median and the fastest step in milliseconds, and both
// divided by the first variant's.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "cnn" }, // a name of src/nn/models.ts
    methods: { type: "string", default: "sgd" }, // sgd, sam, bilateral-sam
    batch: { type: "string", default: "128" },
    threads: { type: "string", default: "2" },
    steps: { type: "string", default: "20" }, // timed steps of each variant, after 3 that are not
    dist: { type: "string", default: resolve(import.meta.dirname, "../dist") }, // builds to compare
  },
});
const batch = Number(options.batch);
const [channels, height, width] = options.model.startsWith("resnet") ? [3, 32, 32] : [1, 28, 28];

const variants = [];
for (const dist of options.dist.split(",")) {
  for (const method of options.methods.split(",")) variants.push(await prepare(dist, method));
}
for (let step = -3; step < Number(options.steps); step++) {
  for (const { run, times } of variants) {
    const start = performance.now();
    await run();
    if (step >= 0) times.push(performance.now() - start);
  }
}
for (const { method, dist, times } of variants) {
  const [median, fastest] = [medianOf(times), Math.min(...times)];
  const [first] = variants;
  console.log(
    JSON.stringify({
      model: options.model,
      method,
      batch,
      threads: Number(options.threads),
      dist,
      median: round(median),
      fastest: round(fastest),
      medianRatio: round(median / medianOf(first.times)),
      fastestRatio: round(fastest / Math.min(...first.times)),
    }),
  );
}
for (const { engine } of variants) await engine.close();

/** An engine that has a step's program, weights and state; `run` trains it by one step on one batch. */
async function prepare(dist, method) {
  const {
    bilateralSam,
    buildModel,
    compile,
    createModel,
    initialState,
    initialTensors,
    openEngine,
    ops,
    sam,
    sgd,
    trainingStep,
  } = await import(pathToFileURL(resolve(dist, "index.js")).href);

  const directions = { sgd: (base) => base, sam, "bilateral-sam": bilateralSam };
  const optimizer = directions[method](sgd({ momentum: 0.9, weightDecay: 1e-3 }));
  const model = buildModel(createModel(options.model, { channels, height, width, classes: 10 }), {
    inputShape: [channels, height, width],
    batchSize: batch,
    training: true,
  });
  const target = model.graph.input("target", "int32", [batch]);
  const loss = ops.softmaxCrossEntropy(model.logits, target, { labelSmoothing: 0.1 });
  const parameters = new Map(model.parameters.map(({ name }) => [name, model.graph.inputs.get(name)]));
  const objective = { loss, parameters, buffers: model.bufferUpdates };

  const engine = openEngine({ threads: Number(options.threads) });
  const compiledFor = { target: await engine.target?.() };
  await engine.load("step", compile(trainingStep(objective, optimizer), compiledFor));
  const start = initialTensors(model, 1);
  await engine.write({ ...start, ...initialState(objective, optimizer, start) });
  const pixels = Float32Array.from({ length: batch * channels * height * width }, (_, i) => Math.sin(i * i));
  const scalar = (value) => ({ type: "float32", shape: [], data: Float32Array.of(value) });
  const feeds = () => ({
    input: { type: "float32", shape: [batch, channels, height, width], data: pixels.slice() },
    target: { type: "int32", shape: [batch], data: Int32Array.from({ length: batch }, (_, i) => i % 10) },
    learning_rate: scalar(0.01),
    rho: scalar(0.05),
    rho_max: scalar(0.05),
    rho_min: scalar(0.05),
  });
  const run = () => engine.run("step", feeds(), { advance: true });
  return { dist, method, engine, run, times: [] };
}

function medianOf(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}

function round(value) {
  return Number(value.toPrecision(4));
}
