import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gradients, hessianVectorProduct } from "../autodiff/gradients.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { lowland, readJsonFile, readMetrics, temporaryFolder } from "../testing/cli.ts";
import { evaluate } from "../testing/numeric.ts";
import { loadModel } from "./load.ts";

// relu(conv x) normalized over its channels, which are all 0 at half of the places, from PyTorch's two exporters.

const files = ["t_l2chan_ts.onnx", "t_l2chan_dy.onnx"].map((name) =>
  fileURLToPath(new URL(`../../fixtures/field/l2-norm-of-zero/${name}`, import.meta.url)),
);

// PyTorch 2.13 in float64, for the images below: the loss, and the norms of its gradient and of the Hessian's product with
// the weights, for c1.weight, fc.weight and fc.bias.
const pytorch = {
  loss: 3.2369442486349214,
  gradient: [7.016034135570274, 31.752697551395972, 0.5387503217323503],
  product: [2.4864352796754363, 17.121134285358366, 0.27474789847430603],
};

for (const file of files) {
  const name = file.slice(-7, -5);
  test(`${name}: loss, gradient and curvature are PyTorch's`, async () => {
    const model = await loadModel(file, { batchSize: 4 });
    const { graph, logits, parameters } = model.build({ training: true });
    const target = graph.constant(tensorData([1, 2, 3, 4], [4], "int32"));
    const loss = softmaxCrossEntropy(logits.get("y")!, target);
    const weights = [...parameters.values()];
    const along = [...parameters.keys()].map((parameter) => graph.constant(model.tensors[parameter]));
    const values: Record<string, (typeof weights)[number]> = { loss };
    for (const [index, value] of gradients(loss, weights).entries()) values[`gradient ${index}`] = value;
    for (const [index, value] of hessianVectorProduct(loss, weights, along).entries()) {
      values[`product ${index}`] = value;
    }
    const images = Array.from({ length: 256 }, (_, index) =>
      index >= 64 && index % 64 >= 24 ? ((index * 7) % 17) / 16 : 0,
    );
    const feeds = { ...model.tensors, x: tensorData(images, [4, 1, 8, 8], "float32") };
    const found = await evaluate(values, feeds);
    const norm = (of: string) => Math.hypot(...found[of]);
    const close = (value: number, wanted: number, what: string) =>
      assert.ok(Math.abs(value - wanted) <= 1e-4 * wanted, `${what} is ${value}, ${wanted} is right`);
    close(found.loss[0], pytorch.loss, "loss");
    for (const [index, wanted] of pytorch.gradient.entries())
      close(norm(`gradient ${index}`), wanted, "gradient");
    for (const [index, wanted] of pytorch.product.entries())
      close(norm(`product ${index}`), wanted, "product");
  });
}

test("it trains without a step that is not finite, and its flatness can be measured", async () => {
  for (const file of files) {
    const folder = join(temporaryFolder(), "run");
    const data = ["--data", "digits", "--normalization", "unit"];
    const trained = await lowland(["finetune", file, ...data, "--epochs", "1", "--out", folder]);
    assert.equal(trained.code, 0, trained.stderr);
    const { steps, epochs } = readMetrics(folder);
    assert.ok(steps.length > 0);
    assert.ok(steps.every(({ loss, skipped }) => Number.isFinite(loss) && !skipped));
    assert.ok(epochs.every(({ metrics }) => (metrics?.accuracy ?? 0) > 0.5));
    const measured = await lowland(["flatness", folder, "--measure", "sharpness", "--subset", "100"]);
    assert.equal(measured.code, 0, measured.stderr);
    assert.ok(Number.isFinite(readJsonFile(folder, "flatness.json").loss));
  }
});
