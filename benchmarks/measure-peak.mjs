// What this machine computes at most, as far as ONNX Runtime gets there: matrix products of 1024 by 1024, the fastest of
// several runs. Prints one JSON line.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    dist: { type: "string", default: resolve(import.meta.dirname, "../dist") },
    threads: { type: "string", default: "2" },
    runs: { type: "string", default: "12" },
  },
});
const from = (path) => import(pathToFileURL(resolve(options.dist, path)).href);
const { Graph, compile, openEngine, ops } = await from("index.js");
const [size, products] = [1024, 8];
const graph = new Graph();
const [x, factor] = ["x", "factor"].map((name) => graph.input(name, "float32", [size, size]));
let product = x;
for (let index = 0; index < products; index++) product = ops.matMul(product, factor);
graph.output("sum", ops.reduceSum(product));
const engine = openEngine({ threads: Number(options.threads) });
await engine.load("products", compile(graph));
const data = Float32Array.from({ length: size * size }, (_, index) => Math.sin(index * index) / size);
const tensor = { type: "float32", shape: [size, size], data };
await engine.write({ x: tensor, factor: tensor });
let fastest = Number.POSITIVE_INFINITY;
for (let run = 0; run < Number(options.runs); run++) {
  const start = performance.now();
  await engine.run("products");
  fastest = Math.min(fastest, performance.now() - start);
}
await engine.close();
console.log(JSON.stringify({ operationsPerSecond: (2 * products * size ** 3) / (fastest / 1000) }));
