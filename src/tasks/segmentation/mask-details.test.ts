import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { imageMasks, type MaskSample } from "../../data/masks.ts";
import { classColors, colorText } from "./class-colors.ts";
import { maskEvaluation } from "./mask-evaluation.ts";
import { withClasses } from "./overlay.ts";
import { ShownMasks } from "./shown-masks.ts";

describe("colors of classes", () => {
  test("differ, and a background has none", () => {
    const names = Array.from({ length: 200 }, (_, index) => `class ${index}`);
    const colors = classColors(names).map((color) => (color ? colorText(color) : "none"));
    assert.equal(new Set(colors).size, 200);
    assert.ok(colors.every((color) => /^#[0-9a-f]{6}$/.test(color)));
    for (const background of ["background", "_background_", "Background", "0"])
      assert.deepEqual(classColors([background, "cat"]).map(Boolean), [false, true]);
    assert.deepEqual(classColors(["road", "sky"]).map(Boolean), [true, true]);
  });
});

describe("a picture under its classes", () => {
  test("is tinted where there is a color, covered at borders, and gray elsewhere", () => {
    const picture = { channels: 1, height: 3, width: 4, data: new Uint8Array(12).fill(100) } as const;
    const classes = [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1];
    const { channels, data } = withClasses(picture, classes, [undefined, [200, 0, 40]]);
    assert.equal(channels, 3);
    const at = (row: number, column: number) =>
      [0, 1, 2].map((channel) => data[12 * channel + 4 * row + column]);
    assert.deepEqual(at(0, 0), [100, 100, 100]);
    assert.deepEqual(at(0, 1), [100, 100, 100]);
    assert.deepEqual(at(1, 3), [155, 45, 67]);
    assert.deepEqual(at(1, 2), [200, 0, 40], "at the border");
    const red = { channels: 3, height: 1, width: 1, data: Uint8Array.of(255, 0, 0) } as const;
    assert.deepEqual([...withClasses(red, [0], [undefined]).data], [76, 76, 76]);
    const { data: meeting } = withClasses(picture, classes, [
      [0, 9, 0],
      [200, 0, 40],
    ]);
    assert.deepEqual(
      [meeting[1], meeting[13], meeting[25]],
      [0, 9, 0],
      "the last pixel before another class",
    );
    const large = withClasses(picture, classes, [undefined, [200, 0, 40]], 3);
    assert.deepEqual([large.height, large.width], [9, 12]);
    assert.equal(large.data[11], 155);
  });

  test("of no class is striped", () => {
    const picture = { channels: 1, height: 1, width: 16, data: new Uint8Array(16).fill(100) } as const;
    const { data } = withClasses(picture, new Array(16).fill(255), []);
    assert.equal(new Set(data).size, 2);
    assert.ok(!data.includes(100));
  });
});

test("the best, the worst and some pictures in the middle are kept, and no others", () => {
  const shown = new ShownMasks(1000);
  const scores = Array.from({ length: 1000 }, (_, index) => ((index * 7919) % 1000) / 1000);
  let predicted = 0;
  for (const [index, score] of scores.entries())
    shown.add(index, index === 5 ? null : score, () => {
      predicted++;
      return Uint8Array.of(index % 251);
    });
  scores.splice(5, 1);
  const sorted = scores.toSorted((a, b) => b - a);
  const { best, median, worst } = shown.chosen();
  assert.deepEqual(
    best.map(({ score }) => score),
    sorted.slice(0, 8),
  );
  assert.deepEqual(
    worst.map(({ score }) => score),
    sorted.slice(-8).reverse(),
  );
  assert.equal(median.length, 8);
  for (const { score } of median) assert.ok(Math.abs(score - 0.5) < 0.1, `${score}`);
  for (const { index, predicted: own } of [...best, ...median, ...worst]) assert.equal(own[0], index % 251);
  assert.ok(predicted < 250, `${predicted} of 1000 predictions were copied`);
});

test("details show pictures beside their mask and the prediction, with the colors of the classes in them", async () => {
  const masks = Uint8Array.of(
    0,
    0,
    1,
    1,
    2,
    2,
    255,
    0,
    /**/ 0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    /**/ ...new Array(8).fill(255),
  );
  const source = imageMasks({
    ...{ name: "own", count: 3, channels: 1, height: 2, width: 4, maximum: 100 },
    classNames: ["background", "disc", "square", "star"],
    images: Uint8Array.from({ length: 24 }, (_, at) => at % 100),
    masks,
  });
  const metric = maskEvaluation(source).metric();
  const predicted = Int32Array.from([
    0,
    0,
    1,
    1,
    2,
    0,
    1,
    0,
    /**/ 0,
    0,
    0,
    0,
    0,
    0,
    0,
    3,
    /**/ ...new Array(8).fill(1),
  ]);
  const samples = [0, 1, 2].map((index) => source.read(index) as MaskSample);
  metric.add({ class: { type: "int32", shape: [3, 2, 4], data: predicted } }, samples);
  const details = await metric.details!();
  assert.deepEqual(
    details.samples.map(({ id }) => id),
    ["worst", "median", "best"],
  );
  const [worst, , best] = details.samples;
  // (5/8, and 0 for the star)/2; (3/4 + 1 + 1/2)/3. The third has no class anywhere, and no score.
  assert.deepEqual(
    worst.items.map(({ index }) => index),
    [1, 0],
  );
  assert.deepEqual(
    best.items.map(({ index }) => index),
    [0, 1],
  );
  assert.deepEqual(best.items[0].values, [(0.75 + 1 + 0.5) / 3]);
  assert.deepEqual(
    best.legend?.map(({ label }) => label),
    ["background", "disc", "square", "star"],
  );
  assert.match(best.note ?? "", /Striped pixels are of no class/);
  const { height, width, data } = best.items[0].picture;
  assert.equal(height, 120);
  assert.equal(width, 3 * 240 + 8);
  // The first panel is the picture, brought to 255; its corners are as they are.
  assert.equal(data[0], 0);
  assert.equal(data[239], Math.round(255 * 0.03));
  const [, matrix] = [details.tables, details.matrices[0]];
  assert.deepEqual(matrix.counts[0], [10, 0, 0, 1]);
});
