import assert from "node:assert/strict";
import { test } from "node:test";
import { checkModel } from "./checks.ts";
import { checkClassifier } from "./losses.ts";

// A few of the models of studies/fuzz-models.mjs. Those of another seed than the study's, so that they are others.

const seed = 2;

test("generated models are what ONNX Runtime makes of their files, with its slopes for gradients", async () => {
  for (let number = 0; number < 18; number++) {
    const { outcome, failures, refusal } = await checkModel(seed, number);
    assert.deepEqual(
      { number, outcome, failures, refusal },
      { number, outcome: "checked", failures: [], refusal: undefined },
    );
  }
});

test("generated classifiers have one loss", async () => {
  for (let number = 0; number < 3; number++) {
    const { outcome, failures, refusal } = await checkClassifier(seed, number);
    assert.deepEqual(
      { number, outcome, failures, refusal },
      { number, outcome: "same", failures: [], refusal: undefined },
    );
  }
});
