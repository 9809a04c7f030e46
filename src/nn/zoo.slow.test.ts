import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compareWithPyTorch, isSmall, readZoo, requireSameStart } from "../testing/zoo.ts";

// The numbers of every network of the zoo that is not too large, against PyTorch's in float32 (fixtures/pytorch/zoo.py),
// and the initial weights of those that zoo.test.ts leaves out.

const small = readZoo("zoo.json");

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

describe("what a network starts from is distributed as PyTorch's", () => {
  for (const [name, expected] of Object.entries(small).filter((network) => !isSmall(network))) {
    test(name, () => requireSameStart(name, expected));
  }
});
