import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { compareWithPyTorch, exportedModels, exportOf, trainable } from "../testing/exported-models.ts";
import { cases } from "../testing/extent.ts";

// Published architectures exported by PyTorch: the loss and every gradient beside PyTorch's. The larger ones are run by
// studies/exported-models.mjs.

const large = /^(resnet18|efficientnet|densenet|convnext|swin|hrnet|simple_baseline|distilbert|vit_tiny)/;
const slow = cases(/^(lraspp|mobilenet|shufflenet)/, /^$/);

for (const file of exportedModels.filter((name) => !large.test(name) && !slow.test(name))) {
  const { modes } = exportOf(file);
  describe(file, () => {
    for (const mode of modes) {
      test(`gives PyTorch's loss and gradients in ${mode}`, async () => {
        const result = await compareWithPyTorch(file, trainable(file), mode);
        assert.ok(result.loss <= 1e-4, `the loss differs by ${result.loss}`);
        assert.ok(result.compared > 0);
        assert.ok(
          result.difference <= 1e-3,
          `the gradient of ${result.worst} differs by ${result.difference}`,
        );
        assert.ok(result.largestZero <= 1e-6, `a gradient that is zero is ${result.largestZero} of all`);
      });
    }
  });
}
