import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import type { ImageDataset } from "./dataset.ts";
import { type Augmentation, imageWriter } from "./transforms.ts";

const height = 3;
const width = 4;

/** Two images of two channels; all 48 pixels differ and none is 0. Mean and deviation differ by channel. */
const dataset: ImageDataset = {
  name: "small",
  images: Uint8Array.from({ length: 2 * 2 * height * width }, (_, i) => 5 * (i + 1)),
  labels: Uint8Array.of(0, 1),
  count: 2,
  channels: 2,
  height,
  width,
  classNames: ["a", "b"],
  maximum: 250,
  mean: [0.5, 0.25],
  deviation: [0.5, 0.125],
};

/** Image 1 as rows per channel, moved, mirrored and cut by the definition: padded, then a window, then flipped. */
function reference(padding: number, down: number, right: number, mirrored: boolean): number[] {
  const channels = [0, 1].map((channel) => {
    const padded = Array.from({ length: height + 2 * padding }, () => new Array(width + 2 * padding).fill(0));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        padded[y + padding]![x + padding] = dataset.images[((2 + channel) * height + y) * width + x]!;
      }
    }
    const window = padded.slice(down, down + height).map((row) => row.slice(right, right + width));
    const flipped = mirrored ? window.map((row) => row.toReversed()) : window;
    return flipped
      .flat()
      .map((pixel) => (pixel / 250 - dataset.mean[channel]!) / dataset.deviation[channel]!);
  });
  return channels.flat();
}

const key = (values: Iterable<number>) => Array.from(values, (value) => value.toFixed(4)).join();

/** How often each outcome comes in so many augmented versions of image 1. */
function outcomes(augmentation: Augmentation, draws: number): Map<string, number> {
  const write = imageWriter(dataset, augmentation);
  const random = randomStream(1, "augment");
  const output = new Float32Array(24);
  const counts = new Map<string, number>();
  for (let i = 0; i < draws; i++) {
    write(1, output, 0, random);
    counts.set(key(output), (counts.get(key(output)) ?? 0) + 1);
  }
  return counts;
}

/** All expected outcomes come, nothing else does, and their frequencies fit (χ² about 5 deviations above its mean). */
function assertFrequencies(counts: Map<string, number>, expected: Map<string, number>, draws: number) {
  assert.deepEqual([...counts.keys()].toSorted(), [...expected.keys()].toSorted());
  let chiSquare = 0;
  for (const [outcome, share] of expected)
    chiSquare += (counts.get(outcome)! - share * draws) ** 2 / (share * draws);
  const degrees = expected.size - 1;
  assert.ok(chiSquare < degrees + 5 * Math.sqrt(2 * degrees) + 15, `χ² = ${chiSquare}`);
}

test("without augmentation an image is normalised by channel and written at the offset", () => {
  const output = new Float32Array(30).fill(99);
  imageWriter(dataset)(1, output, 4);
  assert.equal(key(output.subarray(4, 28)), key(reference(0, 0, 0, false)));
  assert.deepEqual([...output.subarray(0, 4), ...output.subarray(28)], [99, 99, 99, 99, 99, 99]);
  // By hand: the first pixel of image 1 is 125, that of its second channel 185.
  assert.equal(output[4], 0);
  assert.ok(Math.abs(output[16]! - (185 / 250 - 0.25) / 0.125) < 1e-6);
});

test("without a random stream an augmentation does nothing", () => {
  const output = new Float32Array(24);
  imageWriter(dataset, { crop: 2, flip: true, cutout: { size: 9, probability: 1 } })(1, output, 0);
  assert.equal(key(output), key(reference(0, 0, 0, false)));
});

test("flip: as it is or mirrored, half of the time each", () => {
  const expected = new Map([false, true].map((mirrored) => [key(reference(0, 0, 0, mirrored)), 0.5]));
  assertFrequencies(outcomes({ flip: true }, 4000), expected, 4000);
});

test("crop and flip: every window of the padded image and its mirror image, equally often", () => {
  for (const crop of [1, 2]) {
    const places = Array.from({ length: 2 * crop + 1 }, (_, place) => place);
    const expected = new Map<string, number>();
    for (const down of places) {
      for (const right of places) {
        for (const mirrored of [false, true]) {
          expected.set(key(reference(crop, down, right, mirrored)), 0.5 / places.length ** 2);
        }
      }
    }
    assertFrequencies(outcomes({ crop, flip: true }, 20_000), expected, 20_000);
  }
});

test("a crop wider than the image may leave only padding", () => {
  const padding = reference(9, 0, 0, false);
  assert.ok(padding.every((value) => value === -1 || value === -2));
  assert.ok(outcomes({ crop: 9, flip: true }, 500).has(key(padding)));
});

test("cutout: a square around every pixel alike, clipped at the borders, filled with 0 after normalisation", () => {
  for (const [size, reachBefore, reachAfter] of [
    [1, 0, 0],
    [2, 1, 0],
    [3, 1, 1],
  ] as const) {
    const expected = new Map<string, number>([[key(reference(0, 0, 0, false)), 0.25]]);
    for (let centreY = 0; centreY < height; centreY++) {
      for (let centreX = 0; centreX < width; centreX++) {
        const cut = reference(0, 0, 0, false).map((value, i) => {
          const y = Math.floor(i / width) % height;
          const x = i % width;
          const inside =
            y >= centreY - reachBefore &&
            y <= centreY + reachAfter &&
            x >= centreX - reachBefore &&
            x <= centreX + reachAfter;
          return inside ? 0 : value;
        });
        expected.set(key(cut), (expected.get(key(cut)) ?? 0) + 0.75 / (height * width));
      }
    }
    assertFrequencies(outcomes({ cutout: { size, probability: 0.75 } }, 12_000), expected, 12_000);
  }
});

test("settings out of range are refused by name", () => {
  for (const [augmentation, name] of [
    [{ crop: -1 }, /crop is -1/],
    [{ crop: 1.5 }, /crop is 1\.5/],
    [{ cutout: { size: 0, probability: 0.5 } }, /cutout\.size is 0/],
    [{ cutout: { size: 2, probability: 1.5 } }, /cutout\.probability is 1\.5/],
  ] as const) {
    assert.throws(
      () => imageWriter(dataset, augmentation),
      (error) => error instanceof UserError && name.test(error.message),
    );
  }
});
