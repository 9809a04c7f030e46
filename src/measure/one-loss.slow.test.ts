import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadDataset } from "../data/catalogue.ts";
import type { DatasetPair } from "../data/source.ts";
import { writeModel } from "../onnx/model.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { exportedModel, exportedModels } from "../testing/exported-models.ts";
import { assertOneLoss, firstImages } from "../testing/one-loss.ts";

// One file, one loss: in training, as ONNX Runtime runs the file, and on the surface that flatness is measured of. Over
// every classifier of images among the fixtures.

const fixtures = fileURLToPath(new URL("../../fixtures/", import.meta.url));
const folder = temporaryFolder();
let digits: DatasetPair;
before(async () => {
  digits = await loadDataset("digits");
});

/** Files whose loss depends on more than the image, or that ONNX Runtime does not run. */
const unlike: Record<string, string> = {
  "field/batchnorm-in-training-mode/bn_training.onnx": "the file normalizes by the batch in inference",
  "field/batchnorm-in-training-mode/bn_training9.onnx": "the file normalizes by the batch in inference",
  "field/open-sizes/dim_zero.onnx": "ONNX Runtime refuses a batch of 0",
};

const files = ["field", "import"].flatMap((place) =>
  readdirSync(join(fixtures, place), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".onnx"))
    .map((name) => join(place, name)),
);

for (const name of files.sort()) {
  test(name, { skip: unlike[name] }, async () => {
    // Numbers of 16 bits are rounded where ONNX Runtime computes with them.
    await assertOneLoss(join(fixtures, name), digits, name.includes("half") ? 1e-3 : 1e-4);
  });
}

test("most of the fixtures have a loss", async () => {
  const field = files.filter((name) => name.startsWith("field") && !unlike[name]);
  assert.ok(field.length > 30, `${field.length} fixtures`);
  const readable = field.filter((name) =>
    /evaluate-|fixed-batch|four-axes|softmax-then|shared-ones/.test(name),
  );
  for (const name of readable)
    assert.equal(await assertOneLoss(join(fixtures, name), digits, 1e-3), "same", name);
});

const published = exportedModels.filter((name) =>
  /^(squeezenet|resnet18|mobilenet_v2|shufflenet)/.test(name),
);

for (const name of published) {
  test(`${name}, as PyTorch exports it`, async () => {
    const file = join(folder, name.replace(/\.gz$/, ""));
    if (!existsSync(file)) await writeFile(file, writeModel(exportedModel(name)));
    assert.equal(await assertOneLoss(file, firstImages(digits, 6)), "same");
  });
}
