import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { loadDataset } from "../data/catalogue.ts";
import { createModel } from "../nn/models.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { assertClose } from "../testing/numeric.ts";
import { usingSurface } from "../testing/surfaces.ts";
import { classEvaluation } from "./classification/class-evaluation.ts";
import { classificationTask } from "./classification/class-task.ts";
import { classificationSurface } from "./classification-surface.ts";
import { TaskEvaluation } from "./task-evaluation.ts";
import { preparedNetwork } from "./task-network.ts";

const { test: digits } = await loadDataset("digits");
const inputShape = [1, 8, 8];
const layer = createModel("cnn", { channels: 1, height: 8, width: 8, classes: 10 });
const tensors = initialTensors(buildModel(layer, { inputShape, batchSize: 1, training: false }), 1);

test("the surface of a classifier has the loss and accuracy it is evaluated with", async () => {
  const engine = new OnnxRuntimeEngine({ threads: 1 });
  const task = classificationTask(digits);
  const evaluation = await TaskEvaluation.prepare(engine, preparedNetwork(layer, task), {
    task,
    evaluation: classEvaluation(digits),
    program: "evaluate",
  });
  await engine.write(tensors);
  const expected = await evaluation.measure();
  await engine.close();
  // 360 images: three full batches and one of 60.
  const surface = classificationSurface({ layer }, tensors, digits, { batchSize: 100 });
  assert.deepEqual(
    surface.batches.map(({ size }) => size),
    [100, 100, 100, 60],
  );
  await usingSurface(surface, async (opened) => {
    const { loss, metrics } = await opened.evaluate();
    assertClose([loss, metrics.accuracy], [expected.loss, expected.metrics.accuracy], 1e-6);
    assert.deepEqual(opened.description, {
      data: digits.name,
      batchSize: 100,
      batchNorm: "evaluation",
      examples: 360,
    });
  });
});

for (const images of [0, -1, 1.5, 361]) {
  test(`a subset of ${images} images is refused in one sentence`, () => {
    assert.throws(
      () => classificationSurface({ layer }, tensors, digits, { images }),
      new UserError(
        `a subset of ${images} examples was requested, but ${digits.name} has 360; choose from 1 to 360`,
      ),
    );
  });
}
