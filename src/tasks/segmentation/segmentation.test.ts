import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { randomStream } from "../../common/random.ts";
import { ignoredClass, imageMasks, type MaskSample } from "../../data/masks.ts";
import { assertClose } from "../../testing/numeric.ts";
import { overlap } from "./overlap.ts";
import { segmentationTask } from "./segmentation.ts";

// Metrics beside those of the definitions (fixtures/tasks/segmentation-metrics.json).

interface Numbers {
  shape: number[];
  data: number[];
}
interface Vectors {
  metrics: {
    name: string;
    classes: number;
    truth: Numbers;
    predicted: Numbers;
    meanIou: number | null;
    pixelAccuracy: number | null;
  }[];
}
const file = fileURLToPath(new URL("../../../fixtures/tasks/segmentation-metrics.json", import.meta.url));
const vectors: Vectors = JSON.parse(readFileSync(file, "utf8"));

describe("mean IoU and pixel accuracy", () => {
  for (const { name, classes, truth, predicted, meanIou, pixelAccuracy } of vectors.metrics) {
    test(`are those of the definitions: ${name}`, () => {
      const [count, ...size] = truth.shape;
      const plane = size[0] * size[1];
      const samples = Array.from({ length: count }, (_, index) => ({
        mask: {
          type: "uint8",
          shape: size,
          data: Uint8Array.from(truth.data.slice(index * plane, (index + 1) * plane)),
        },
      })) as unknown as MaskSample[];
      const whole = overlap(classes);
      whole.add(
        { class: { type: "int32", shape: truth.shape, data: Int32Array.from(predicted.data) } },
        samples,
      );
      // Image by image is the same.
      const parts = overlap(classes);
      for (const [index, sample] of samples.entries()) {
        const data = Int32Array.from(predicted.data.slice(index * plane, (index + 1) * plane));
        parts.add({ class: { type: "int32", shape: [1, ...size], data } }, [sample]);
      }
      for (const metric of [whole, parts]) {
        const result = metric.result();
        if (meanIou === null || pixelAccuracy === null) assert.deepEqual(result, {});
        else assertClose([result.meanIou, result.pixelAccuracy], [meanIou, pixelAccuracy], 1e-12);
      }
    });
  }
});

test("image and mask are cropped and mirrored alike; what is beyond the image is of no class", () => {
  const random = randomStream(3, "masks");
  const masks = Uint8Array.from({ length: 6 * 8 }, () => 1 + random.integer(4));
  const data = imageMasks({
    ...{ name: "own", count: 1, channels: 1, height: 6, width: 8, maximum: 255 },
    classNames: ["0", "1", "2", "3", "4"],
    images: masks.map((value) => 50 * value),
    masks,
  });
  const task = segmentationTask(data, { crop: 2, flip: true });
  const seen = new Set<string>();
  for (let index = 0; index < 40; index++) {
    const { input, target } = task.row(data.read(0) as MaskSample, () =>
      randomStream(1, "augment", 1, index),
    );
    const values = Array.from(target.data as Int32Array);
    assert.deepEqual(
      Array.from(input.data as Float32Array),
      values.map((value) => (value === ignoredClass ? 0 : 50 * value)),
    );
    seen.add(values.join());
  }
  assert.ok(seen.size > 20, `${seen.size} different views`);
  assert.ok([...seen].some((view) => view.includes("255")));
  const { target } = task.row(data.read(0) as MaskSample);
  assert.deepEqual(Array.from(target.data as Int32Array), Array.from(masks));
});
