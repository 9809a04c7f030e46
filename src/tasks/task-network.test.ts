import assert from "node:assert/strict";
import { test } from "node:test";
import { createModel } from "../nn/models.ts";
import { evaluationBatchSize, requireOutput } from "./task-network.ts";

const classifier = (name: string) => ({
  layer: createModel(name, { channels: 3, height: 32, width: 32, classes: 10 }),
  inputShape: [3, 32, 32],
});

test("a small network is evaluated on 250 images at a time, or on all there are", () => {
  assert.equal(evaluationBatchSize(classifier("cnn"), 10_000), 250);
  assert.equal(evaluationBatchSize(classifier("cnn"), 64), 64);
});

test("a large one on an equal part of 250, whose results fit in a gigabyte", () => {
  // 31.9 MiB of results an image are 7.8 GiB of 250, so an eighth.
  assert.equal(evaluationBatchSize(classifier("wide-resnet-28-10"), 10_000), 31);
  assert.equal(evaluationBatchSize(classifier("wide-resnet-28-10"), 20), 20);
});

test("an output that a task cannot read is refused, one of more classes is not", () => {
  const output = { name: "logits", shape: [4], holds: "logits" } as const;
  const check = (shape: number[]) => () => requireOutput(shape, { output }, "mine");
  assert.throws(check([8, 3]), {
    name: "UserError",
    message:
      "the network gives [8, 3] for a batch of 8, but mine has 4 classes; for mine it has to give [batch, 4]",
  });
  assert.throws(check([8, 2, 4]), /^UserError: the network gives \[8, 2, 4\]/);
  check([8, 4])();
  check([8, 5])();
});
