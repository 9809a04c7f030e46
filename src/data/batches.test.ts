import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UserError } from "../common/errors.ts";
import { type Batch, evaluationBatches, trainingBatches } from "./batches.ts";
import type { ImageDataset } from "./dataset.ts";

/** Image i is 1×2 pixels of value i + 1, left as they are by normalisation; its label is i mod 3. */
function numbered(count: number): ImageDataset {
  return {
    name: "numbered",
    images: Uint8Array.from({ length: 2 * count }, (_, i) => (i >> 1) + 1),
    labels: Uint8Array.from({ length: count }, (_, i) => i % 3),
    count,
    channels: 1,
    height: 1,
    width: 2,
    classNames: ["a", "b", "c"],
    maximum: 1,
    mean: [0],
    deviation: [1],
  };
}

function assertConsistent(batch: Batch, size: number) {
  assert.deepEqual([batch.input.length, batch.target.length, batch.indices.length], [2 * size, size, size]);
  for (let i = 0; i < batch.count; i++) {
    const index = batch.indices[i]!;
    assert.equal(batch.target[i], index % 3);
    assert.deepEqual([...batch.input.subarray(2 * i, 2 * i + 2)], [index + 1, index + 1]);
  }
}

test("training: full batches, no image twice, all of them when the size divides the count", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer(),
      (count, size, seed) => {
        fc.pre(size <= count);
        const batches = [...trainingBatches(numbered(count), { batchSize: size, seed, epoch: 1 })];
        assert.equal(batches.length, Math.floor(count / size));
        for (const batch of batches) {
          assert.equal(batch.count, size);
          assertConsistent(batch, size);
        }
        const indices = batches.flatMap((batch) => [...batch.indices]);
        assert.equal(new Set(indices).size, indices.length);
        assert.ok(indices.every((index) => index >= 0 && index < count));
      },
    ),
  );
});

test("training: seed and epoch decide the order and the augmentation; iterating again repeats them", () => {
  const dataset = { ...numbered(100), images: Uint8Array.from({ length: 200 }, (_, i) => i + 1) };
  const epoch = (seed: number, epoch: number) =>
    trainingBatches(dataset, { batchSize: 10, seed, epoch, augmentation: { flip: true, crop: 1 } });
  const batches = epoch(1, 1);
  assert.deepEqual([...batches], [...batches]);
  assert.deepEqual([...epoch(1, 1)], [...batches]);
  const order = (all: Iterable<Batch>) => [...all].flatMap((batch) => [...batch.indices]);
  assert.notDeepEqual(order(epoch(1, 2)), order(batches));
  assert.notDeepEqual(order(epoch(2, 1)), order(batches));
});

test("training: over many epochs an image is in every place about equally often", () => {
  const places = new Array(10).fill(0);
  for (let epoch = 1; epoch <= 5000; epoch++) {
    const [batch] = trainingBatches(numbered(10), { batchSize: 10, seed: 7, epoch });
    places[batch!.indices.indexOf(3)]++;
  }
  const chiSquare = places.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
  assert.ok(
    chiSquare < 45,
    `χ² with 9 degrees of freedom exceeds 45 with probability 1e-6; got ${chiSquare}`,
  );
});

test("training: the arrays of one batch can be transferred away without harm to the next", () => {
  const seen: number[] = [];
  for (const batch of trainingBatches(numbered(6), { batchSize: 2, seed: 1, epoch: 1 })) {
    assertConsistent(batch, 2);
    seen.push(...batch.indices);
    structuredClone(batch, { transfer: [batch.input.buffer, batch.target.buffer, batch.indices.buffer] });
  }
  assert.deepEqual(seen.toSorted(), [0, 1, 2, 3, 4, 5]);
});

test("training: a batch size that cannot be is refused before the first batch is asked for", () => {
  const start = (batchSize: number) => () => trainingBatches(numbered(40), { batchSize, seed: 1, epoch: 1 });
  assert.throws(start(50), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /^batch size 50 is larger than the 40 training images; /);
    return true;
  });
  for (const batchSize of [0, -1, 2.5, Number.NaN]) assert.throws(start(batchSize), UserError);
});

test("evaluation: in order, the last batch padded with zeros", () => {
  const batches = [...evaluationBatches(numbered(5), { batchSize: 2 })];
  assert.deepEqual(
    batches.map((batch) => [...batch.indices]),
    [
      [0, 1],
      [2, 3],
      [4, 0],
    ],
  );
  assert.deepEqual(
    batches.map((batch) => batch.count),
    [2, 2, 1],
  );
  for (const batch of batches) assertConsistent(batch, 2);
  assert.deepEqual([...batches[2]!.input], [5, 5, 0, 0]);
  assert.deepEqual([...batches[2]!.target], [1, 0]);
});

test("evaluation: a limit, and a batch larger than the data set", () => {
  const counts = (count: number, batchSize: number, limit?: number) =>
    [...evaluationBatches(numbered(count), { batchSize, limit })].map((batch) => batch.count);
  assert.deepEqual(counts(10, 4, 6), [4, 2]);
  assert.deepEqual(counts(10, 4, 99), [4, 4, 2]);
  assert.deepEqual(counts(3, 8), [3]);
  for (const [batchSize, limit] of [
    [0, 1],
    [1.5, 1],
    [1, 0],
  ] as const) {
    assert.throws(() => evaluationBatches(numbered(3), { batchSize, limit }), UserError);
  }
});
