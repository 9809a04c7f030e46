import assert from "node:assert/strict";
import { test } from "node:test";
import { randomStream } from "../common/random.ts";
import { assertClose, compileForTest, tensor } from "../testing/numeric.ts";
import { dropout, flatten, linear, sequential } from "./layers.ts";
import { buildModel, drawRandomInputs } from "./module.ts";

const build = (training: boolean, p: number) =>
  buildModel(sequential({ drop: dropout(p), flat: flatten() }), {
    inputShape: [1000],
    batchSize: 8,
    training,
    type: "float64",
  });

test("dropout drops where its random number is below p, and divides the rest by 1 − p", async () => {
  const model = build(true, 0.3);
  model.graph.output("y", model.logits);
  const program = await compileForTest(model.graph);
  const drawn = drawRandomInputs(model, randomStream(3, "dropout"));
  const uniform = Array.from(drawn["drop.uniform"].data as Float64Array);
  const x = Array.from({ length: 8000 }, (_, index) => index - 4000.5);
  const { y } = await program.run({ input: tensor(x, [8, 1000]), ...drawn });
  await program.close();
  assertClose(
    y,
    x.map((value, index) => (uniform[index] < 0.3 ? 0 : value / 0.7)),
    1e-12,
  );
  // 8,000 draws: five standard deviations are 0.026.
  const dropped = y.filter((value) => value === 0).length / y.length;
  assert.ok(Math.abs(dropped - 0.3) < 0.026, `${dropped} were dropped`);
});

test("dropout does nothing in inference, and nothing at p = 0", () => {
  for (const model of [build(false, 0.3), build(true, 0)]) {
    assert.equal(model.randomInputs.length, 0);
    assert.equal(model.logits, model.input);
  }
  assert.throws(() => dropout(1), /^UserError: dropout: p is 1; it has to be at least 0 and below 1$/);
});

test("two dropout layers draw numbers of their own, as many as all micro-batches need", () => {
  const layer = sequential({ fc: linear(4, 4), drop1: dropout(), drop2: dropout() });
  const model = buildModel(layer, { inputShape: [4], batchSize: 2, training: true });
  const drawn = drawRandomInputs(model, randomStream(3, "dropout"), 3);
  assert.deepEqual(Object.keys(drawn), ["drop1.uniform", "drop2.uniform"]);
  assert.deepEqual(drawn["drop1.uniform"].shape, [6, 4]);
  assert.notDeepEqual(drawn["drop1.uniform"].data, drawn["drop2.uniform"].data);
});
