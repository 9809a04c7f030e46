import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { elementCount, type Value } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { createModel } from "../nn/models.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import { readModel } from "../onnx/model.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { softmax } from "../ops/softmax.ts";
import { sgd } from "../optim/sgd.ts";
import { initialState } from "../optim/state.ts";
import { trainingStep } from "../optim/training-step.ts";
import { assertClose, compileForTest, evaluate } from "../testing/numeric.ts";
import { runModel } from "../testing/onnx-models.ts";
import { loadModel, objectiveOf } from "./load.ts";

// A network of src/nn, written to a file and read again, is the same network.

const shape = { channels: 2, height: 8, width: 8, classes: 5 };
const inputShape = [2, 8, 8];
const batchSize = 4;
const random = randomStream(7, "import");
const input = tensorData(
  Array.from({ length: batchSize * 128 }, () => random.normal()),
  [batchSize, ...inputShape],
  "float32",
);
const target = tensorData([0, 3, 1, 4], [batchSize], "int32");

for (const name of ["mlp", "cnn", "resnet20"]) {
  describe(`${name}, exported and imported`, () => {
    const layer = createModel(name, shape);
    const build = (training: boolean, size = batchSize) =>
      buildModel(layer, { inputShape, batchSize: size, training });
    const tensors = initialTensors(build(false), 3);
    const exported = () => {
      const { graph, logits } = build(false, 1);
      graph.output("probabilities", softmax(logits));
      return compile(graph, { weights: new Map(Object.entries(tensors)), symbolicBatch: "batch" });
    };

    test("has the same parameters, of the same kinds", async () => {
      const model = await loadModel(exported());
      const sorted = (list: readonly { name: string; kind: string }[]) =>
        list.map((one) => `${one.name} ${one.kind}`).sort();
      assert.deepEqual(sorted(model.trainable), sorted(build(false).parameters));
      assert.deepEqual(Object.keys(model.tensors).sort(), Object.keys(tensors).sort());
    });

    test("gives the same logits in inference", async () => {
      const model = await loadModel(exported());
      const logits = model.build({ training: false, batchSize }).logits.get("probabilities")!;
      const got = await evaluate({ logits }, { ...tensors, input });
      const want = await evaluate({ logits: build(false).logits }, { ...tensors, input });
      assertClose(got.logits, want.logits, 1e-6);
    });

    test("gives the same loss, gradients and running statistics in training", async () => {
      const network = (await loadModel(exported())).build({ training: true, batchSize });
      const own = build(true);
      const parameters = own.parameters.map((parameter) => parameter.name);
      const results = (logits: Value, updates: ReadonlyMap<string, Value>) => {
        const loss = softmaxCrossEntropy(logits, logits.graph.input("target", "int32", [batchSize]));
        const wrt = parameters.map((parameter) => logits.graph.inputs.get(parameter)!);
        const list = gradients(loss, wrt).map((value, index) => [`gradient of ${parameters[index]}`, value]);
        const next = [...updates].map(([name, value]) => [`${name} after`, value]);
        return { loss, ...Object.fromEntries([...list, ...next]) } as Record<string, Value>;
      };
      network.graph.outputs.clear();
      const feeds = { ...tensors, input, target };
      const got = await evaluate(results(network.logits.get("probabilities")!, network.bufferUpdates), feeds);
      const want = await evaluate(results(own.logits, own.bufferUpdates), feeds);
      assert.deepEqual(Object.keys(got).sort(), Object.keys(want).sort());
      for (const key of Object.keys(want)) assertClose(got[key], want[key], 1e-5);
    });

    test("trains, and is written back with its names and new weights", async () => {
      const model = await loadModel(exported(), { batchSize });
      const network = model.build({ training: true });
      const logits = network.logits.get("probabilities")!;
      const objective = objectiveOf(
        network,
        softmaxCrossEntropy(logits, logits.graph.input("target", "int32", [batchSize])),
      );
      const optimizer = sgd({ momentum: 0.9 });
      const step = await compileForTest(trainingStep(objective, optimizer));
      await step.engine.write({ ...model.tensors, ...initialState(objective, optimizer, model.tensors) });
      const losses: number[] = [];
      for (let count = 0; count < 12; count++) {
        const feeds: Tensors = { input, target, learning_rate: tensorData([0.05], [], "float32") };
        const { outputs } = await step.engine.run("test", feeds, { advance: true });
        losses.push(Number(outputs.loss.data[0]));
      }
      const trained = await step.engine.read();
      await step.close();
      assert.ok(losses[11] < losses[0] / 2, `loss went ${losses[0]} → ${losses[11]}`);

      const written = model.write(trained);
      const [before, after] = [exported(), written].map((bytes) => readModel(bytes).graph!);
      assert.deepEqual(after.input, before.input);
      assert.deepEqual(after.output, before.output);
      assert.deepEqual(after.node, before.node);
      const { probabilities } = await runModel(written, { input });
      assert.deepEqual(probabilities.shape, [batchSize, 5]);
      const again = build(false);
      const want = await evaluate({ y: softmax(again.logits) }, { ...trained, input });
      assertClose(Array.from(probabilities.data as Float32Array), want.y, 1e-6);
      assert.equal(elementCount(probabilities.shape), probabilities.data.length);
    });
  });
}
