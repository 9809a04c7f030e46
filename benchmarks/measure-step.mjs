// Times one training step in a process of its own, for step.mjs and bench.mjs: one graph, run by ONNX Runtime, weights
// and optimizer state kept inside. Prints one JSON line.
//
//   npm run build && node benchmarks/measure-step.mjs --model cnn --method bilateral-sam
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    dist: { type: "string", default: resolve(import.meta.dirname, "../dist") },
    model: { type: "string", default: "cnn" }, // a name of src/nn/models.ts
    method: { type: "string", default: "sgd" }, // sgd, sam, bilateral-sam
    batch: { type: "string", default: "128" },
    threads: { type: "string", default: "2" },
    recompute: { type: "boolean", default: false }, // less memory
    steps: { type: "string", default: "2" }, // at least so many timed steps
    seconds: { type: "string", default: "1.5" }, // and for at least so long
  },
});
const batch = Number(options.batch);
const [channels, height, width] = options.model.startsWith("resnet") ? [3, 32, 32] : [1, 28, 28];
const from = (path) => import(pathToFileURL(resolve(options.dist, path)).href);
const { bilateralSam, compile, nn, openEngine, ops, optim, sam, sgd } = await from("index.js");
const { nodesOf } = await from("graph/walk.js");

const directions = { sgd: (base) => base, sam, "bilateral-sam": bilateralSam };
const optimizer = directions[options.method](sgd({ momentum: 0.9, weightDecay: 1e-3 }));
const model = nn.buildModel(nn.createModel(options.model, { channels, height, width, classes: 10 }), {
  inputShape: [channels, height, width],
  batchSize: batch,
  training: true,
});
const target = model.graph.input("target", "int32", [batch]);
const loss = ops.softmaxCrossEntropy(model.logits, target, { labelSmoothing: 0.1 });
const parameters = new Map(model.parameters.map(({ name }) => [name, model.graph.inputs.get(name)]));
const objective = { loss, parameters, buffers: model.bufferUpdates };
const step = optim.trainingStep(objective, optimizer, { recompute: options.recompute });

const engine = openEngine({ threads: Number(options.threads) });
await engine.load("step", compile(step, { target: await engine.target?.() }));
const start = nn.initialTensors(model, 1);
await engine.write({ ...start, ...optim.initialState(objective, optimizer, start) });
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
// A step that takes longer needs no other to warm up.
const warm = performance.now() + 100 * Number(options.seconds);
await run();
// Since the process started.
const firstStepSeconds = performance.now() / 1000;
while (performance.now() < warm) await run();
const milliseconds = [];
const end = performance.now() + 1000 * Number(options.seconds);
while (milliseconds.length < Number(options.steps) || performance.now() < end) {
  const before = performance.now();
  await run();
  milliseconds.push(performance.now() - before);
}
await engine.close();
const peakBytes = process.resourceUsage().maxRSS * 1024;
console.log(JSON.stringify({ milliseconds, peakBytes, firstStepSeconds, operations: operationsOf(step) }));

/** Multiplications and additions in the products and convolutions of a graph. */
function operationsOf(graph) {
  const count = (shape) => shape.reduce((product, size) => product * size, 1);
  return nodesOf(graph.outputs.values()).reduce((sum, { operator, inputs, outputs: [y], attributes }) => {
    const [a, b] = inputs.map((input) => input && count(input.shape));
    switch (operator) {
      case "Conv": // y [N, O, …], weight [O, …]
        return sum + (2 * count(y.shape) * b) / inputs[1].shape[0];
      case "ConvInputGradient": // dy [N, O, …], weight [O, …]
        return sum + (2 * a * b) / inputs[1].shape[0];
      case "ConvWeightGradient": // dy [N, O, …], dw [O, …]
        return sum + (2 * b * count(y.shape)) / y.shape[0];
      case "MatMul":
        return sum + 2 * count(y.shape) * inputs[0].shape.at(-1);
      case "Gemm":
        return sum + 2 * count(y.shape) * inputs[0].shape[attributes.transA?.int ? 0 : 1];
      default:
        return sum;
    }
  }, 0);
}
