import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { loadModel } from "./load.ts";

// Networks exported by PyTorch (fixtures/import/make.py): the parameters by its names, and its loss, gradients and
// running statistics.

interface Reference {
  input: { shape: number[]; data: number[] };
  target: number[];
  inference: number[];
  loss: number;
  gradients: Record<string, number[]>;
  buffers: Record<string, number[]>;
}

const folder = new URL("../../fixtures/import/", import.meta.url);
const references: Record<string, Reference> = JSON.parse(
  readFileSync(new URL("reference.json", folder), "utf8"),
);

for (const [name, reference] of Object.entries(references)) {
  describe(`${name}, exported by PyTorch`, () => {
    const load = () => loadModel(readFileSync(new URL(`${name}.onnx`, folder)), { batchSize: 4 });
    const input = tensorData(reference.input.data, reference.input.shape, "float32");
    const target = tensorData(reference.target, [4], "int32");

    test("gives its numbers in inference", async () => {
      const model = await load();
      const y = model.build({ training: false }).outputs.get("logits")!;
      y.graph.outputs.clear();
      assertClose((await evaluate({ y }, { ...model.tensors, input })).y, reference.inference, 1e-5);
    });

    test("gives its loss, gradients and running statistics in training", async () => {
      const model = await load();
      const network = model.build({ training: true });
      network.graph.outputs.clear();
      const loss = softmaxCrossEntropy(
        network.logits.get("logits")!,
        network.graph.input("target", "int32", [4]),
      );
      const names = [...network.parameters.keys()];
      const list = gradients(loss, [...network.parameters.values()]);
      const got = await evaluate(
        {
          loss,
          ...Object.fromEntries(list.map((value, index) => [`gradient of ${names[index]}`, value])),
          ...Object.fromEntries([...network.bufferUpdates].map(([key, value]) => [`${key} after`, value])),
        },
        { ...model.tensors, input, target },
      );
      assertClose(got.loss, [reference.loss], 1e-5);
      assert.deepEqual([...names].sort(), Object.keys(reference.gradients).sort());
      for (const one of names) assertClose(got[`gradient of ${one}`], reference.gradients[one], 1e-4);
      for (const [key, after] of Object.entries(reference.buffers))
        assertClose(got[`${key} after`], after, 1e-5);
    });
  });
}
