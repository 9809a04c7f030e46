import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { type Augmentation, checkAugmentation, drawMove, moved } from "./augmentation.ts";

const height = 3;
const width = 4;

/** Two channels; all 24 pixels differ and none is 0 or a color of cutout's square. */
const form = { channels: 2, height, width, fill: [251, 252] };
const pixels = Uint8Array.from({ length: 2 * height * width }, (_, i) => 5 * (i + 25));

/** The image as rows per channel, moved, mirrored and cut by the definition: padded, then a window, then flipped. */
function reference(padding: number, down: number, right: number, mirrored: boolean): number[] {
  const channels = [0, 1].map((channel) => {
    const padded = Array.from({ length: height + 2 * padding }, () => new Array(width + 2 * padding).fill(0));
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        padded[y + padding][x + padding] = pixels[(channel * height + y) * width + x];
      }
    }
    const window = padded.slice(down, down + height).map((row) => row.slice(right, right + width));
    const flipped = mirrored ? window.map((row) => row.toReversed()) : window;
    return flipped.flat();
  });
  return channels.flat();
}

const key = (values: Iterable<number>) => [...values].join();

/** How often each outcome comes in this many augmented versions of the image. */
function outcomes(augmentation: Augmentation, draws: number): Map<string, number> {
  const random = randomStream(1, "augment");
  const counts = new Map<string, number>();
  for (let i = 0; i < draws; i++) {
    const seen = key(moved(pixels, form, drawMove(augmentation, form, random)));
    counts.set(seen, (counts.get(seen) ?? 0) + 1);
  }
  return counts;
}

/** All expected outcomes come, nothing else does, and their frequencies fit (χ² about 5 deviations above its mean). */
function assertFrequencies(counts: Map<string, number>, expected: Map<string, number>, draws: number) {
  assert.deepEqual([...counts.keys()].toSorted(), [...expected.keys()].toSorted());
  let chiSquare = 0;
  for (const [outcome, share] of expected)
    chiSquare += ((counts.get(outcome) ?? 0) - share * draws) ** 2 / (share * draws);
  const degrees = expected.size - 1;
  assert.ok(chiSquare < degrees + 5 * Math.sqrt(2 * degrees) + 15, `χ² = ${chiSquare}`);
}

test("without augmentation the image is a copy", () => {
  const copy = moved(pixels, form, drawMove({}, form, randomStream(1, "none")));
  assert.deepEqual(copy, pixels);
  assert.notEqual(copy.buffer, pixels.buffer);
});

test("the number of draws depends on the settings alone", () => {
  const augmentation = { crop: 2, flip: true, cutout: { size: 2, probability: 0.5 } };
  for (let seed = 0; seed < 50; seed++) {
    const random = randomStream(seed, "draws");
    drawMove(augmentation, form, random);
    const expected = randomStream(seed, "draws");
    for (const size of [5, 5]) expected.integer(size);
    expected.uniform();
    expected.uniform();
    for (const size of [height, width]) expected.integer(size);
    assert.equal(random.uniform(), expected.uniform());
  }
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
  assert.ok(padding.every((value) => value === 0));
  assert.ok(outcomes({ crop: 9, flip: true }, 500).has(key(padding)));
});

test("cutout: a square around every pixel alike, clipped at the borders, filled with the mean color", () => {
  for (const [size, reachBefore, reachAfter] of [
    [1, 0, 0],
    [2, 1, 0],
    [3, 1, 1],
  ] as const) {
    const expected = new Map<string, number>([[key(reference(0, 0, 0, false)), 0.25]]);
    for (let centerY = 0; centerY < height; centerY++) {
      for (let centerX = 0; centerX < width; centerX++) {
        const cut = reference(0, 0, 0, false).map((value, i) => {
          const y = Math.floor(i / width) % height;
          const x = i % width;
          const inside =
            y >= centerY - reachBefore &&
            y <= centerY + reachAfter &&
            x >= centerX - reachBefore &&
            x <= centerX + reachAfter;
          return inside ? form.fill[i < height * width ? 0 : 1] : value;
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
      () => checkAugmentation(augmentation),
      (error) => error instanceof UserError && name.test(error.message),
    );
  }
});
