import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type ImageMasks, imageMasks, type MaskSample } from "../../data/masks.ts";
import { Confusion, overlapScores } from "./confusion.ts";
import { maskEvaluation } from "./mask-evaluation.ts";

// Metrics beside those of the definitions (fixtures/tasks/segmentation-metrics.json).

type Value = number | null;
interface Numbers {
  shape: number[];
  data: number[];
}
interface Case extends Record<string, unknown> {
  name: string;
  classes: number;
  truth: Numbers;
  predicted: Numbers;
  confusion: number[][];
  pixels: number;
  iou: Value[];
  dice: Value[];
  classAccuracy: Value[];
}
const file = fileURLToPath(new URL("../../../fixtures/tasks/segmentation-metrics.json", import.meta.url));
const { metrics }: { metrics: Case[] } = JSON.parse(readFileSync(file, "utf8"));

function assertNear(values: readonly Value[], expected: readonly Value[], name: string): void {
  assert.equal(values.length, expected.length, name);
  for (const [index, value] of values.entries()) {
    const wanted = expected[index];
    if (value === null || wanted === null) assert.equal(value, wanted, `${name} ${index}`);
    else assert.ok(Math.abs(value - wanted) <= 1e-12, `${name} ${index}: ${value}, ${wanted}`);
  }
}

/** Images of nothing with the masks of a case. */
function sourceOf({ classes, truth }: Case): ImageMasks {
  const [count, height, width] = truth.shape;
  return imageMasks({
    ...{ name: "case", count, channels: 1, height, width, maximum: 255 },
    classNames: Array.from({ length: classes }, (_, index) => `class ${index}`),
    images: Uint8Array.from({ length: truth.data.length }, (_, at) => at % 200),
    masks: Uint8Array.from(truth.data),
  });
}

describe("one matrix over all masks", () => {
  for (const each of metrics) {
    test(`gives every number of the definitions: ${each.name}`, () => {
      const confusion = new Confusion(each.classes);
      confusion.add(each.truth.data, each.predicted.data);
      const rows = each.confusion.map((row, truth) =>
        row.map((_, predicted) => confusion.of(truth, predicted)),
      );
      assert.deepEqual(rows, each.confusion);
      const classes = confusion.classOverlaps();
      assert.equal(
        classes.reduce((sum, { pixels }) => sum + pixels, 0),
        each.pixels,
      );
      assertNear(
        classes.map(({ iou }) => iou),
        each.iou,
        "iou",
      );
      assertNear(
        classes.map(({ dice }) => dice),
        each.dice,
        "dice",
      );
      assertNear(
        classes.map(({ recall }) => recall),
        each.classAccuracy,
        "class accuracy",
      );
      const scores = overlapScores(confusion);
      for (const [name, value] of Object.entries(scores)) assertNear([value], [each[name] as Value], name);
      const others = [
        "confusion",
        "pixels",
        "iou",
        "dice",
        "classAccuracy",
        "name",
        "classes",
        "truth",
        "predicted",
        "note",
      ];
      const unchecked = Object.keys(each).filter((name) => !(name in scores) && !others.includes(name));
      assert.deepEqual(unchecked, [], "every number is compared");
    });

    test(`is the metric of a run, batch by batch: ${each.name}`, async () => {
      const source = sourceOf(each);
      const [count, ...size] = each.truth.shape;
      const plane = size[0] * size[1];
      const metric = maskEvaluation(source).metric();
      for (let index = 0; index < count; index++) {
        const data = Int32Array.from(each.predicted.data.slice(index * plane, (index + 1) * plane));
        metric.add({ class: { type: "int32", shape: [1, ...size], data } }, [
          source.read(index) as MaskSample,
        ]);
      }
      const result = metric.result();
      for (const name of ["meanIou", "pixelAccuracy", "meanDice"])
        assertNear([result[name] ?? null], [each[name] as Value], name);
      const details = await metric.details?.();
      const [classes, conventions] = details?.tables ?? [];
      assertNear(
        classes.rows.map(({ values }) => values[1] as Value),
        each.iou,
        "iou",
      );
      const named = [
        "meanIou",
        "meanIouOfClassesInTruth",
        "meanIouWithoutClass0",
        "meanIouAbsentAsZero",
        "meanIouAbsentAsOne",
        "frequencyWeightedIou",
      ];
      assertNear(
        conventions.rows.map(({ values }) => values[0] as Value),
        named.map((name) => each[name] as Value),
        "conventions",
      );
    });
  }

  test("counts classes that only the network has as mistakes", () => {
    const confusion = new Confusion(2);
    confusion.add([0, 0, 1, 1, 255], [0, 7, 1, 2, 9]);
    assert.deepEqual(
      confusion.classOverlaps().map(({ iou, recall, precision }) => [iou, recall, precision]),
      [
        [0.5, 0.5, 1],
        [0.5, 0.5, 1],
      ],
    );
  });
});
