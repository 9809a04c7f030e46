// Trains a small network on real handwritten digits with bilateral SAM, measures it, and writes an ONNX file.
// Run it after `npm run build`: node examples/digits.mjs
import { writeFile } from "node:fs/promises";
import { bilateralSam, sgd, train } from "lowland";

const { summary, model } = await train({
  data: "digits",
  model: "mlp",
  optimizer: bilateralSam(sgd({ momentum: 0.9, weightDecay: 1e-3 }), { rhoMax: 0.05 }),
  learningRate: 0.05,
  epochs: 20,
  onEpoch: ({ epoch, metrics }) => console.log(epoch, metrics.accuracy.toFixed(3)),
});
console.log(`test accuracy ${summary.metrics.accuracy}, MaxS ${summary.sharpness.maxSharpness}`);
await writeFile("digits.onnx", model); // input [batch, 1, 8, 8]: pixels 0 … 16, output logits [batch, 10]
