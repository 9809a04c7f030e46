import assert from "node:assert/strict";
import { test } from "node:test";
import { checkModel } from "./checks.ts";
import { checkClassifier } from "./losses.ts";

// Some hundred models of studies/fuzz-models.mjs, of another seed than the study's. What Lowland or ONNX Runtime refuses
// is counted there; here nothing may fail and most has to be checked.

const seed = 3;
const counts = { models: 300, classifiers: 30 };

test("generated models are what ONNX Runtime makes of their files, with its slopes for gradients", async () => {
  const outcomes: string[] = [];
  for (let number = 0; number < counts.models; number++) {
    const { outcome, failures } = await checkModel(seed, number);
    outcomes.push(outcome);
    assert.deepEqual({ number, failures }, { number, failures: [] });
  }
  assert.ok(outcomes.filter((outcome) => outcome === "checked").length > 0.95 * counts.models);
});

test("generated classifiers have one loss", async () => {
  const outcomes: string[] = [];
  for (let number = 0; number < counts.classifiers; number++) {
    const { outcome, failures } = await checkClassifier(seed, number);
    outcomes.push(outcome);
    assert.deepEqual({ number, failures }, { number, failures: [] });
  }
  assert.ok(outcomes.filter((outcome) => outcome === "same").length > 0.8 * counts.classifiers);
});
