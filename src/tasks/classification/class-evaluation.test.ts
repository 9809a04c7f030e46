import assert from "node:assert/strict";
import { test } from "node:test";
import { imageClasses } from "../../data/source.ts";
import { tensorData } from "../../onnx/tensor-data.ts";
import { assertClose } from "../../testing/numeric.ts";
import type { Details } from "../details.ts";
import { classEvaluation } from "./class-evaluation.ts";

/** Images of 1×2 pixels whose first pixel is their place, of a set whose white is 100. */
function imagesOf(classNames: readonly string[], given: readonly number[]) {
  return imageClasses(
    {
      ...{ name: "made", channels: 1, height: 1, width: 2, maximum: 100, mean: [0], deviation: [1] },
      ...{ classNames, labels: Int32Array.from(given), fingerprint: "" },
    },
    (index) => Uint8Array.of(index, 100),
  );
}

interface Answer {
  given: number;
  predicted: number;
  loss?: number;
  probability?: number;
}

/** What is made of answers that come in batches of up to three. */
async function evaluated(classNames: readonly string[], answers: readonly Answer[]) {
  const source = imagesOf(
    classNames,
    answers.map(({ given }) => given),
  );
  const metric = classEvaluation(source).metric();
  for (let start = 0; start < answers.length; start += 3) {
    const batch = answers.slice(start, start + 3);
    const row = (values: number[], type: "int64" | "float32") => tensorData(values, [batch.length], type);
    metric.add(
      {
        class: row(
          batch.map(({ predicted }) => predicted),
          "int64",
        ),
        loss: row(
          batch.map(({ loss = 0 }) => loss),
          "float32",
        ),
        probability: row(
          batch.map(({ probability = 1 }) => probability),
          "float32",
        ),
      },
      batch.map((_, index) => source.read(start + index)),
    );
  }
  return { metrics: metric.result(), details: await metric.details!() };
}

const answersOf = (pairs: readonly (readonly [given: number, predicted: number])[]): Answer[] =>
  pairs.map(([given, predicted]) => ({ given, predicted }));

const tableOf = ({ tables }: Details, id: string) => tables.find((table) => table.id === id)!;

// cat: 5 images, of which 3 right, 1 dog, 1 emu. dog: 2, of which 1 right, 1 cat. emu: 1, right. fox: none.
const pairs = [
  ...([
    [0, 0],
    [0, 0],
    [0, 1],
    [1, 1],
    [0, 2],
    [1, 0],
    [2, 2],
    [0, 0],
  ] as const),
];

test("precision, recall and F1 of each class, counted by hand", async () => {
  const { metrics, details } = await evaluated(["cat", "dog", "emu", "fox"], answersOf(pairs));
  const { rows, columns, compared } = tableOf(details, "classes");
  assert.deepEqual(
    columns.map(({ name }) => name),
    ["images", "precision", "recall", "f1", "mistaken"],
  );
  assert.equal(compared, "recall");
  // Predicted as cat: 4, of which 3 are; as dog: 2, of which 1 is; as emu: 2, of which 1 is; as fox: none.
  assert.deepEqual(
    rows.map(({ name, values: [images, , , , mistaken] }) => [name, images, mistaken]),
    [
      ["cat", 5, "dog (1)"],
      ["dog", 2, "cat (1)"],
      ["emu", 1, null],
      ["fox", 0, null],
    ],
  );
  const shares = rows.slice(0, 3).map(({ values }) => values.slice(1, 4) as number[]);
  assertClose(shares.flat(), [3 / 4, 3 / 5, 6 / 9, 1 / 2, 1 / 2, 1 / 2, 1 / 2, 1, 2 / 3], 1e-12);
  assert.deepEqual(rows[3].values.slice(1, 4), [null, null, null]);
  assertClose([metrics.accuracy], [5 / 8], 1e-12);
  // Mean recall of the classes that have images: (3/5 + 1/2 + 1) / 3.
  assertClose([metrics.balancedAccuracy], [0.7], 1e-12);
});

test("balanced accuracy is of uneven classes only", async () => {
  const { metrics } = await evaluated(
    ["a", "b"],
    answersOf([
      [0, 0],
      [0, 0],
      [1, 0],
    ]),
  );
  assert.deepEqual(metrics, { accuracy: 2 / 3 });
});

test("the confusion matrix has the given classes as rows", async () => {
  const { details } = await evaluated(["cat", "dog", "emu", "fox"], answersOf(pairs));
  const [{ rows, columns, rowsAre, columnsAre, counts }] = details.matrices;
  assert.deepEqual([rowsAre, columnsAre], ["given class", "predicted class"]);
  assert.deepEqual(
    [rows, columns],
    [
      ["cat", "dog", "emu", "fox"],
      ["cat", "dog", "emu", "fox"],
    ],
  );
  assert.deepEqual(counts, [
    [3, 1, 1, 0],
    [1, 1, 0, 0],
    [0, 0, 1, 0],
    [0, 0, 0, 0],
  ]);
  assert.equal(details.tables.length, 1);
});

test("a class that the data do not name has a column, and a number for a name", async () => {
  const { details } = await evaluated(
    ["cat", "dog"],
    answersOf([
      [0, 0],
      [1, 7],
      [1, 5],
      [1, 7],
    ]),
  );
  const [{ columns, counts }] = details.matrices;
  assert.deepEqual(columns, ["cat", "dog", "class 5", "class 7"]);
  assert.deepEqual(counts, [
    [1, 0, 0, 0],
    [0, 0, 1, 2],
  ]);
  assert.equal(tableOf(details, "classes").rows[1].values[4], "class 7 (2)");
});

test("of more than 30 classes the most confused pairs are listed, the most frequent first", async () => {
  const names = Array.from({ length: 31 }, (_, index) => `c${index}`);
  const { details } = await evaluated(
    names,
    answersOf([
      [4, 4],
      [4, 9],
      [4, 9],
      [4, 2],
      [7, 7],
      [8, 30],
    ]),
  );
  assert.deepEqual(details.matrices, []);
  const { rows } = tableOf(details, "confused");
  assert.deepEqual(
    rows.map(({ name, values }) => [name, ...values]),
    [
      ["c4", "c9", 2, 0.5],
      ["c4", "c2", 1, 0.25],
      ["c8", "c30", 1, 1],
    ],
  );
  const { details: right } = await evaluated(names, answersOf([[4, 4]]));
  assert.deepEqual(
    right.tables.map(({ id }) => id),
    ["classes"],
  );
});

test("the worst images come first, with what was said of them and their pixels from 0 to 255", async () => {
  const losses = Array.from({ length: 25 }, (_, index) => (index === 6 ? Number.NaN : index % 10));
  const { details } = await evaluated(
    ["cat", "dog"],
    losses.map((loss) => ({ given: 0, predicted: 1, loss, probability: 0.75 })),
  );
  const [{ columns, items }] = details.samples;
  assert.deepEqual(
    columns.map(({ name }) => name),
    ["given", "predicted", "probability", "loss"],
  );
  // The loss that is not a number, then 9, 9, 8, 8, 7, 7, 6 (sample 16: 6 is the first), …
  assert.deepEqual(
    items.slice(0, 8).map(({ index }) => index),
    [6, 9, 19, 8, 18, 7, 17, 16],
  );
  assert.equal(items.length, 20);
  assert.deepEqual(items[0].values, ["cat", "dog", 0.75, null]);
  assert.deepEqual(items[1].values, ["cat", "dog", 0.75, 9]);
  const { channels, height, width, data } = items[1].picture;
  assert.deepEqual([channels, height, width, ...data], [1, 1, 2, Math.round(9 * 2.55), 255]);
});
