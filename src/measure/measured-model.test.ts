import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadDataset } from "../data/catalogue.ts";
import { writeModel } from "../onnx/model.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { assertOneLoss, firstImages } from "../testing/one-loss.ts";
import { onnxModel } from "../testing/onnx-models.ts";

const folder = temporaryFolder();

for (const batch of ["N", 1, 3]) {
  test(`a model that normalizes features is measured, for a batch of ${batch}: one example alone has no variance`, async () => {
    const filled = (value: number, ...shape: number[]) =>
      tensorData(
        Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, at) => value + Math.sin(at) / 10),
        shape,
        "float32",
      );
    const path = join(folder, "features.onnx");
    const model = onnxModel({
      inputs: { x: [batch, 64] },
      weights: {
        own: tensorData([batch === "N" ? 0 : Number(batch), 64], [2], "int64"),
        w: filled(0, 64, 12),
        scale: filled(1, 12),
        bias: filled(0, 12),
        mean: filled(0.1, 12),
        variance: filled(1, 12),
        v: filled(0, 12, 10),
      },
      nodes: [
        ...(batch === "N" ? [] : [["Reshape", ["x", "own"], ["r"]] as const]),
        ["MatMul", [batch === "N" ? "x" : "r", "w"], ["h"]],
        ["BatchNormalization", ["h", "scale", "bias", "mean", "variance"], ["n"]],
        ["MatMul", ["n", "v"], ["y"]],
      ],
      outputs: ["y"],
    });
    writeFileSync(path, writeModel(model));
    assert.equal(await assertOneLoss(path, firstImages(await loadDataset("digits"), 12)), "same");
  });
}
