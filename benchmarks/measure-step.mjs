// Times one training step in a process of its own, for step.mjs and bench.mjs: one graph, run by ONNX Runtime, weights
// and optimizer state kept inside. Prints one JSON line.
//
//   npm run build && node benchmarks/measure-step.mjs --model cnn --method bilateral-sam
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { openStep, timeSteps } from "./training-step.mjs";

const { values: options } = parseArgs({
  options: {
    dist: { type: "string", default: resolve(import.meta.dirname, "../dist") },
    model: { type: "string", default: "cnn" }, // a name of src/nn/models.ts
    method: { type: "string", default: "sgd" }, // sgd, sam, bilateral-sam
    images: { type: "string" }, // digits, fashion-mnist or cifar10, whose size they have
    batch: { type: "string", default: "128" },
    threads: { type: "string", default: "2" },
    recompute: { type: "boolean" }, // or --no-recompute; default: where a gradient reads much
    steps: { type: "string", default: "2" }, // at least so many timed steps
    seconds: { type: "string", default: "1.5" }, // and for at least so long
  },
  allowNegative: true,
});
const { model, method, recompute } = options;
const { images = model.startsWith("resnet") ? "cifar10" : "fashion-mnist" } = options;
const [batch, threads, steps, seconds] = ["batch", "threads", "steps", "seconds"].map((name) =>
  Number(options[name]),
);
const from = (path) => import(pathToFileURL(resolve(options.dist, path)).href);
const { nodesOf } = await from("graph/walk.js");
const step = await openStep(await from("index.js"), { model, method, images, batch, threads, recompute });
const { losses, ...times } = await timeSteps(step.take, { steps, seconds });
await step.close();
const peakBytes = process.resourceUsage().maxRSS * 1024;
console.log(
  JSON.stringify({ ...times, losses: losses.slice(0, 3), peakBytes, operations: operationsOf(step.graph) }),
);

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
