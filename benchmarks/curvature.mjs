// Times a Hessian-vector product beside a gradient, and the largest eigenvalues by Lanczos, of a trained classifier.
//
//   npm run build
//   node dist/cli/main.js train --data fashion-mnist --model cnn --optimizer sgd --epochs 4 --out runs/curvature
//   node benchmarks/curvature.mjs runs/curvature/model.onnx
//   node benchmarks/curvature.mjs runs/curvature/model.onnx --top 0 --batches 64,128,256,512 --engines 1,2
//
// The variants (every batch size with every number of engines, one thread each) take turns within one process, a gradient
// and a product each time, so that whatever else the machine does meets all of them alike. Prints one JSON line per
// variant, then, unless --top is 0, one for the eigenvalues with the first variant.
import { parseArgs } from "node:util";
import { classificationSurface, flatness, loadDataset, onnx, openEngine } from "../dist/index.js";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    data: { type: "string", default: "fashion-mnist" },
    "data-dir": { type: "string" },
    images: { type: "string", default: "2000" }, // the first of the test set
    batches: { type: "string", default: "128" }, // sizes
    engines: { type: "string", default: "2" }, // numbers of engines
    memory: { type: "string", default: "2" }, // GB for what products have in common; 0: compute it every time
    rounds: { type: "string", default: "7" }, // after one that is not timed
    top: { type: "string", default: "50" }, // eigenvalues
  },
});
const [path] = positionals;
if (path === undefined) throw new Error("name an ONNX classifier of these images");
const images = Number(options.images);
const list = (text) => text.split(",").map(Number);
const { test } = await loadDataset(options.data, { dataDirectory: options["data-dir"] });
const model = await onnx.loadModel(path, { dropout: false });
const classifier = { layer: onnx.modelLayer(model), inputShape: [test.channels, test.height, test.width] };

const variants = [];
for (const batchSize of list(options.batches)) {
  for (const count of list(options.engines)) {
    const engines = Array.from({ length: count }, () => openEngine({ threads: 1 }));
    const loss = classificationSurface(classifier, model.tensors, test, { images, batchSize });
    const surface = await flatness.openSurface(engines, loss, { memory: 1e9 * Number(options.memory) });
    variants.push({ batchSize, engines, surface, gradient: [], product: [] });
  }
}
for (let round = -1; round < Number(options.rounds); round++) {
  for (const { surface, gradient, product } of variants) {
    const start = performance.now();
    const { gradient: vector } = await surface.gradient();
    const middle = performance.now();
    await surface.hessianProduct(vector);
    if (round < 0) continue;
    gradient.push(middle - start);
    product.push(performance.now() - middle);
  }
}
for (const { batchSize, engines, gradient, product } of variants) {
  console.log(
    JSON.stringify({
      images,
      batchSize,
      engines: engines.length,
      gradientMs: round(median(gradient)),
      productMs: round(median(product)),
      // Of neighbors in time, so that the load of the machine cancels out.
      ratio: round(median(product.map((time, index) => time / gradient[index]))),
    }),
  );
}
const [{ surface }] = variants;
if (Number(options.top) > 0) {
  const start = performance.now();
  const { largest, products, converged } = await flatness.spectrum(surface, { largest: Number(options.top) });
  console.log(
    JSON.stringify({
      top: largest.length,
      converged,
      products,
      seconds: round((performance.now() - start) / 1000),
      largest: largest[0].value,
      smallestOfThem: largest.at(-1).value,
      peakMemoryGB: round(process.resourceUsage().maxRSS / 1e6),
    }),
  );
}
for (const { engines } of variants) for (const engine of engines) await engine.close();

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

function round(value) {
  return Number(value.toFixed(2));
}
