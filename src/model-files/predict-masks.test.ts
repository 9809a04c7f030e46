import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import sharp from "sharp";
import { compile } from "../lower/compile.ts";
import { conv2d, maxPool, sequential } from "../nn/layers.ts";
import { buildModel, initialTensors, type Layer } from "../nn/module.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { predictMasks } from "./predict-masks.ts";

// A network whose three maps are the red, green and blue of a picture, so that the right class of each pixel is known.

const root = temporaryFolder();

function colorModel(metadata: Record<string, unknown> = {}, layer: Layer = conv2d(3, 3, 1, { bias: false })) {
  const model = buildModel(layer, { inputShape: [3, 20, 20], batchSize: 1, training: false });
  model.graph.output("logits", model.logits);
  // Each map is one channel.
  const weights = new Map<string, TensorData>();
  for (const [name, { shape }] of Object.entries(initialTensors(model, 1)))
    weights.set(name, { type: "float32", shape, data: Float32Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1) });
  return compile(model.graph, {
    weights,
    symbolicBatch: "batch",
    metadata: Object.fromEntries(
      Object.entries(metadata).map(([name, value]) => [`lowland.${name}`, JSON.stringify(value)]),
    ),
  });
}

const stated = {
  task: "segmentation",
  classes: ["background", "grass", "sky"],
  input: { layout: "NCHW", channels: "RGB", range: [0, 255] },
};

/** Stripes of red, green and blue, so many columns each. */
async function striped(name: string, widths: readonly number[], height: number): Promise<string> {
  const width = widths.reduce((sum, each) => sum + each, 0);
  const row = widths.flatMap((count, color) =>
    Array.from({ length: count }, () => [0, 1, 2].map((channel) => (channel === color ? 220 : 40))),
  );
  const pixels = Uint8Array.from(Array.from({ length: height }, () => row).flat(2));
  const file = join(root, name);
  await sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(file);
  return file;
}

/** Columns of the first row, as runs of a class. */
function runs({ data, width }: { data: Uint8Array; width: number }): [value: number, columns: number][] {
  const found: [number, number][] = [];
  for (const value of data.subarray(0, width)) {
    const last = found.at(-1);
    if (last?.[0] === value) last[1]++;
    else found.push([value, 1]);
  }
  return found;
}

describe("masks of pictures", () => {
  test("have the size of each picture, the names and the shares of the classes", async () => {
    const files = [
      await striped("square.png", [10, 6, 4], 20),
      await striped("large.png", [50, 30, 20], 100),
    ];
    const [square, large] = await predictMasks(colorModel(stated), files, { threads: 1 });
    assert.ok(!("error" in square) && !("error" in large));
    assert.deepEqual([square.mask.height, square.mask.width], [20, 20]);
    assert.deepEqual(runs(square.mask), [
      [0, 10],
      [1, 6],
      [2, 4],
    ]);
    assert.deepEqual(square.classes, [
      { class: "background", index: 0, share: 0.5, color: null },
      { class: "grass", index: 1, share: 0.3, color: "#e6194b" },
      { class: "sky", index: 2, share: 0.2, color: "#3cb44b" },
    ]);
    assert.deepEqual([square.drawn.height, square.drawn.width], [20, 20]);
    // Five pixels for one of the network's: borders are where two maps are equal.
    assert.deepEqual(runs(large.mask), [
      [0, 50],
      [1, 30],
      [2, 20],
    ]);
  });

  test("show what each way of scaling lets the network see", async () => {
    // 40×20: cropped to the 20 columns in the middle.
    const wide = await striped("wide.png", [16, 14, 10], 20);
    const seen = async (fit: "crop" | "stretch" | "pad") => {
      const [found] = await predictMasks(colorModel(stated), [wide], { threads: 1, fit });
      assert.ok(!("error" in found));
      return found;
    };
    const cropped = await seen("crop");
    assert.deepEqual(runs(cropped.mask), [
      [255, 10],
      [0, 6],
      [1, 14],
      [255, 10],
    ]);
    assert.deepEqual(
      cropped.classes.map(({ class: name, share }) => [name, share]),
      [
        ["grass", 0.7],
        ["background", 0.3],
      ],
    );
    for (const fit of ["stretch", "pad"] as const) {
      const { mask } = await seen(fit);
      const found = runs(mask);
      assert.deepEqual(
        found.map(([value]) => value),
        [0, 1, 2],
        fit,
      );
      // Two pixels of the picture for one of the network's.
      for (const [at, columns] of [16, 14, 10].entries())
        assert.ok(Math.abs(found[at][1] - columns) <= 2, fit);
      assert.ok(!mask.data.includes(255));
    }
  });

  test("come from smaller maps too, and from files that state nothing", async () => {
    const file = await striped("maps.png", [8, 8, 4], 20);
    const pooled = sequential({ conv: conv2d(3, 3, 1, { bias: false }), pool: maxPool(2) });
    const [found] = await predictMasks(colorModel({}, pooled), [file], { threads: 1, normalization: "unit" });
    assert.ok(!("error" in found));
    assert.deepEqual(
      found.classes.map(({ class: name }) => name),
      ["0", "1", "2"],
    );
    assert.deepEqual(runs(found.mask), [
      [0, 8],
      [1, 8],
      [2, 4],
    ]);
  });

  test("are not made of what is no picture, nor by other models", async () => {
    const none = join(root, "none.png");
    writeFileSync(none, "no picture");
    const good = await striped("good.png", [20], 20);
    const found = await predictMasks(colorModel(stated), [none, good, join(root, "missing.png")], {
      threads: 1,
    });
    assert.deepEqual(
      found.map((each) => ("error" in each ? each.error : each.classes[0].class)),
      ["it is no picture in a format that is read", "background", "there is no such file"],
    );
    await assert.rejects(predictMasks(colorModel({ ...stated, task: "pose" }), [good], { name: "m.onnx" }), {
      message: "m.onnx is a model for pose; predictMasks takes models for segmentation",
    });
  });
});
