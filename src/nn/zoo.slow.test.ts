import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { compareWithPyTorch, type ZooFixture } from "../testing/zoo.ts";

// The numbers of every network of the zoo that is small enough, against PyTorch's in float32 (fixtures/pytorch/zoo.py).

const read = (name: string): ZooFixture =>
  JSON.parse(readFileSync(new URL(`../../fixtures/pytorch/${name}`, import.meta.url), "utf8"));
const small = read("zoo.json").models;

describe("PyTorch's numbers in float32", () => {
  for (const [name, expected] of Object.entries(small)) {
    test(name, async () => {
      const { logits, loss, inferenceLogits, gradients, worst, buffers } = await compareWithPyTorch(
        name,
        expected,
      );
      assert.ok(logits < 1e-4, `logits: ${logits}`);
      assert.ok(loss < 1e-4, `loss: ${loss}`);
      assert.ok(buffers < 1e-4, `buffers: ${buffers}`);
      assert.ok(inferenceLogits < 1e-4, `logits in inference mode: ${inferenceLogits}`);
      assert.ok(gradients < 1e-3, `gradient of ${worst}: ${gradients}`);
    });
  }
});
