import assert from "node:assert/strict";
import { test } from "node:test";
import { randomStream } from "../../common/random.ts";
import { ignoredClass, imageMasks, type MaskSample } from "../../data/masks.ts";
import { segmentationTask } from "./mask-task.ts";

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
