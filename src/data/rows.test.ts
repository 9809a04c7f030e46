import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UserError } from "../common/errors.ts";
import type { Random } from "../common/random.ts";
import { type Batch, balanced, evaluationBatches, type RowOf, trainingBatches } from "./rows.ts";
import { type ClassSample, imageClasses } from "./source.ts";

/** Image i is 1×2 pixels of value i + 1; its label is i mod 3. */
function numbered(count: number) {
  return imageClasses(
    {
      name: "numbered",
      channels: 1,
      height: 1,
      width: 2,
      classNames: ["a", "b", "c"],
      labels: Int32Array.from({ length: count }, (_, index) => index % 3),
      maximum: 255,
      mean: [0],
      deviation: [1],
      fingerprint: "",
    },
    (index) => Uint8Array.of(index + 1, index + 1),
  );
}

const row: RowOf<ClassSample> = ({ image, class: target }) => ({ image, target });
/** What a random stream gives shows in the row. */
const drawn = ({ image, class: target }: ClassSample, random?: () => Random) => ({
  image,
  target,
  draw: { type: "float32", shape: [], data: Float32Array.of(random?.().uniform() ?? -1) } as const,
});

async function all(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const list: Batch[] = [];
  for await (const batch of batches) list.push(batch);
  return list;
}

function assertConsistent({ inputs: { image, target }, indices, count }: Batch, size: number) {
  assert.deepEqual([image.shape, target.shape, indices.length, count], [[size, 1, 1, 2], [size], size, size]);
  assert.deepEqual([image.type, target.type], ["uint8", "int32"]);
  for (const [at, index] of indices.entries()) {
    assert.equal(target.data[at], index % 3);
    assert.deepEqual([...image.data.slice(2 * at, 2 * at + 2)], [index + 1, index + 1]);
  }
}

test("training: full batches, no sample twice, all of them when the size divides the count", () =>
  fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer(),
      async (count, batchSize, seed) => {
        fc.pre(batchSize <= count);
        const batches = await all(trainingBatches(numbered(count), { row, batchSize, seed, epoch: 1 }));
        assert.equal(batches.length, Math.floor(count / batchSize));
        for (const batch of batches) assertConsistent(batch, batchSize);
        const indices = batches.flatMap((batch) => [...batch.indices]);
        assert.equal(new Set(indices).size, indices.length);
        assert.ok(indices.every((index) => index >= 0 && index < count));
      },
    ),
  ));

test("training: seed and epoch decide the order; iterating again repeats it", async () => {
  const epoch = (seed: number, number: number) =>
    trainingBatches(numbered(100), { row: drawn, batchSize: 10, seed, epoch: number });
  const batches = epoch(1, 1);
  assert.deepEqual(await all(batches), await all(batches));
  assert.deepEqual(await all(epoch(1, 1)), await all(batches));
  const order = async (of: AsyncIterable<Batch>) => (await all(of)).flatMap((batch) => [...batch.indices]);
  assert.notDeepEqual(await order(epoch(1, 2)), await order(batches));
  assert.notDeepEqual(await order(epoch(2, 1)), await order(batches));
});

test("training: what is drawn for a sample depends on seed, epoch and its index alone", async () => {
  const draws = async (batchSize: number, seed: number, epoch: number) => {
    const found = new Map<number, number>();
    for (const { inputs, indices } of await all(
      trainingBatches(numbered(12), { row: drawn, batchSize, seed, epoch }),
    ))
      for (const [at, index] of indices.entries()) found.set(index, Number(inputs.draw.data[at]));
    return [...found].toSorted(([a], [b]) => a - b);
  };
  assert.deepEqual(await draws(3, 1, 1), await draws(4, 1, 1));
  const values = new Set((await draws(3, 1, 1)).map(([, value]) => value));
  assert.equal(values.size, 12);
  assert.notDeepEqual(await draws(3, 1, 2), await draws(3, 1, 1));
  assert.notDeepEqual(await draws(3, 2, 1), await draws(3, 1, 1));
});

test("training: over many epochs a sample is in every place about equally often", async () => {
  const places = new Array(10).fill(0);
  for (let epoch = 1; epoch <= 5000; epoch++) {
    const [batch] = await all(trainingBatches(numbered(10), { row, batchSize: 10, seed: 7, epoch }));
    places[batch.indices.indexOf(3)]++;
  }
  const chiSquare = places.reduce((sum, count) => sum + (count - 500) ** 2 / 500, 0);
  assert.ok(
    chiSquare < 45,
    `χ² with 9 degrees of freedom exceeds 45 with probability 1e-6; got ${chiSquare}`,
  );
});

test("training: the arrays of one batch can be transferred away without harm to the next", async () => {
  const seen: number[] = [];
  for await (const batch of trainingBatches(numbered(6), { row, batchSize: 2, seed: 1, epoch: 1 })) {
    assertConsistent(batch, 2);
    seen.push(...batch.indices);
    const { image, target } = batch.inputs;
    structuredClone(batch, {
      transfer: [image, target].map(({ data }) => (data as Uint8Array).buffer as ArrayBuffer),
    });
  }
  assert.deepEqual(seen.toSorted(), [0, 1, 2, 3, 4, 5]);
});

test("training: a batch size that cannot be is refused before the first batch is asked for", () => {
  const start = (batchSize: number) => () =>
    trainingBatches(numbered(40), { row, batchSize, seed: 1, epoch: 1 });
  assert.throws(start(50), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /^batch size 50 is larger than the 40 training samples; /);
    return true;
  });
  for (const batchSize of [0, -1, 2.5, Number.NaN]) assert.throws(start(batchSize), UserError);
});

test("training: balanced, every class comes up equally often, and every sample of a class", async () => {
  // 100 samples of class 0, 3 of class 1 and 4 of class 2; class 3 has none.
  const labels = Int32Array.from({ length: 107 }, (_, index) => (index < 100 ? 0 : index < 103 ? 1 : 2));
  const order = balanced(labels);
  const oneMore = new Set<number>();
  for (let epoch = 1; epoch <= 20; epoch++) {
    const places = [...order(3, epoch)];
    const times = Array.from(labels, (_, place) => places.filter((drawn) => drawn === place).length);
    const ofClass = [0, 1, 2].map((label) => times.filter((_, place) => labels[place] === label));
    // 107 = 3 · 35 + 2: two classes come up 36 times, one 35 times.
    const counts = ofClass.map((each) => each.reduce((sum, count) => sum + count));
    assert.deepEqual(counts.toSorted(), [35, 36, 36]);
    oneMore.add(counts.indexOf(35));
    for (const each of ofClass) assert.ok(Math.max(...each) - Math.min(...each) <= 1, String(each));
  }
  assert.equal(oneMore.size, 3, "not always the same class");
  // Classes are mixed: in order of classes the first third would all be of one.
  assert.ok(new Set([...order(3, 1)].slice(0, 12).map((place) => labels[place])).size > 1);
  assert.deepEqual(order(3, 1), order(3, 1));
  assert.notDeepEqual(order(3, 2), order(3, 1));
});

test("evaluation: in order, the last batch as large as what is left", async () => {
  const batches = await all(evaluationBatches(numbered(5), { row: drawn, batchSize: 2 }));
  assert.deepEqual(
    batches.map((batch) => [...batch.indices]),
    [[0, 1], [2, 3], [4]],
  );
  for (const batch of batches) assertConsistent(batch, batch.count);
  assert.ok(batches.every(({ inputs }) => inputs.draw.data.every((value) => value === -1)));
});

test("evaluation: a limit, and a batch larger than the data set", async () => {
  const counts = async (count: number, batchSize: number, limit?: number) =>
    (await all(evaluationBatches(numbered(count), { row, batchSize, limit }))).map((batch) => batch.count);
  assert.deepEqual(await counts(10, 4, 6), [4, 2]);
  assert.deepEqual(await counts(10, 4, 99), [4, 4, 2]);
  assert.deepEqual(await counts(3, 8), [3]);
  for (const [batchSize, limit] of [
    [0, 1],
    [1.5, 1],
    [1, 0],
  ] as const) {
    assert.throws(() => evaluationBatches(numbered(3), { row, batchSize, limit }), UserError);
  }
});

test("sources that are read later, and samples that are not alike", async () => {
  const source = numbered(4);
  const later = { ...source, read: async (index: number) => source.read(index) };
  const options = { row, batchSize: 2, seed: 1, epoch: 1 };
  assert.deepEqual(await all(trainingBatches(later, options)), await all(trainingBatches(source, options)));
  const uneven: RowOf<ClassSample> = ({ image, class: { data } }) => ({
    image: { ...image, shape: [Number(data[0]), 1] },
  });
  await assert.rejects(
    all(evaluationBatches(source, { row: uneven, batchSize: 2 })),
    /sample 1 of a batch has image as uint8 \[1, 1\], the first uint8 \[0, 1\]; all have to be alike/,
  );
});
