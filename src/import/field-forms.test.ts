import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { randomStream } from "../common/random.ts";
import { tensorData } from "../graph/constants.ts";
import { elementCount } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { runModel } from "../testing/onnx-models.ts";
import { inputType } from "./dimensions.ts";
import { fromOnnx } from "./from-onnx.ts";

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
