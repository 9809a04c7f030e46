import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { elementCount } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul } from "../ops/arithmetic.ts";
import { reduceSum } from "../ops/reduction.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { runModel } from "../testing/onnx-models.ts";
import { inputType } from "./dimensions.ts";
import { fromOnnx } from "./from-onnx.ts";
import { withWeights } from "./weights.ts";

// Models from the field in older forms, and with nodes of constants: as ONNX Runtime computes them.

const read = (path: string) => {
  const url = new URL(`../../fixtures/field/${path}`, import.meta.url);
  return readModel(new Uint8Array(readFileSync(url)), path);
};

/** Random inputs of the file's own shapes, a batch of 2 where one is open. */
function inputsOf(model: ReturnType<typeof read>, path: string) {
  const random = randomStream(1, path);
  const stored = new Set(model.graph!.initializer.map(({ name }) => name));
  const infos = model.graph!.input.filter(({ name }) => !stored.has(name));
  return Object.fromEntries(
    infos.map((info) => {
      const { shape } = inputType(info, { batchSize: 2 });
      const values = Array.from({ length: elementCount(shape) }, () => random.normal());
      return [info.name, tensorData(values, shape, "float32")];
    }),
  );
}

for (const path of [
  "folded-mod/fold_fmod.onnx",
  "split-folded/split_fold11.onnx",
  "split-folded/split_fold13.onnx",
  "split-folded/split_shape11.onnx",
  "split-folded/split_shape13.onnx",
  "older-hardmax/hardmax11.onnx",
  "older-roialign/roi10.onnx",
  "older-groupnorm/groupnorm18.onnx",
  "older-batchnorm-dropout/bnspatial0.onnx",
  "older-batchnorm-dropout/dropout7_mask.onnx",
]) {
  test(`fixtures/field/${path} gives what ONNX Runtime gives`, async () => {
    const model = read(path);
    const feeds = inputsOf(model, path);
    const { graph, initializers } = fromOnnx(model, { batchSize: 2 });
    const original = await runModel(writeModel(model), feeds);
    const imported = await runModel(compile(graph), { ...feeds, ...Object.fromEntries(initializers) });
    assert.deepEqual(Object.keys(imported).toSorted(), Object.keys(original).toSorted());
    for (const [name, tensor] of Object.entries(original)) {
      assert.deepEqual(imported[name].shape, tensor.shape, name);
      assertClose(numbers(imported[name]), numbers(tensor), 1e-5, name);
    }
  });
}

for (const path of [
  "older-roialign/roi10.onnx",
  "older-groupnorm/groupnorm18.onnx",
  "older-batchnorm-dropout/bnspatial0.onnx",
]) {
  test(`the parameters of fixtures/field/${path} have the gradient of what ONNX Runtime computes`, async () => {
    const file = read(path);
    const feeds = inputsOf(file, path);
    const { graph, initializers } = fromOnnx(file, { batchSize: 2 });
    const random = randomStream(2, path);
    const [[output, y]] = graph.outputs;
    const weights = Array.from({ length: elementCount(y.shape) }, () => random.normal());
    const loss = reduceSum(mul(y, graph.constant(tensorData(weights, y.shape, "float32"))));
    const names = [...initializers.keys()];
    const slopes = gradients(
      loss,
      names.map((name) => graph.inputs.get(name)!),
    );
    for (const [index, name] of names.entries()) graph.output(`d ${name}`, slopes[index]);
    const results = await runModel(compile(graph), { ...feeds, ...Object.fromEntries(initializers) });
    const directions = names.map((name) => numbers(initializers.get(name)!).map(() => random.normal()));
    const lossAt = async (step: number) => {
      const moved = names.map((name, index): [string, TensorData] => {
        const tensor = initializers.get(name)!;
        const values = numbers(tensor).map((value, at) => value + step * directions[index][at]);
        return [name, tensorData(values, tensor.shape, "float32")];
      });
      const outputs = await runModel(writeModel(withWeights(file, new Map(moved))), feeds);
      return numbers(outputs[output]).reduce((sum, value, at) => sum + value * weights[at], 0);
    };
    const slope = names
      .flatMap((name, index) => numbers(results[`d ${name}`]).map((one, at) => one * directions[index][at]))
      .reduce((sum, value) => sum + value, 0);
    const step = 1 / 1024;
    assertClose([slope], [((await lossAt(step)) - (await lossAt(-step))) / (2 * step)], 5e-3, path);
  });
}
