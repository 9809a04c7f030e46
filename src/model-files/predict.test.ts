import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import sharp from "sharp";
import { UserError } from "../common/errors.ts";
import { loadDataset } from "../data/catalogue.ts";
import { train } from "../runs/train.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { assertClose } from "../testing/numeric.ts";
import { predictPictures } from "./predict.ts";

const folder = temporaryFolder();
const digits = (await loadDataset("digits")).test;
const count = 40;
const files = Array.from({ length: count }, (_, index) => join(folder, `${index}.png`));
let model: Uint8Array;
/** [count, 10]: what a bare session of the file gives for the pictures' pixels on the digits' own scale. */
let probabilities: number[][];

before(async () => {
  ({ model } = await train({ data: "digits", model: "mlp", optimizer: { method: "sgd" }, epochs: 5 }));
  const pixels = new Float32Array(count * 64);
  for (const [index, file] of files.entries()) {
    const gray = Uint8Array.from(digits.read(index).image.data, (value) => Math.round((value * 255) / 16));
    await sharp(gray, { raw: { width: 8, height: 8, channels: 1 } }).toFile(file);
    pixels.set(
      Float32Array.from(gray, (value) => (value * 16) / 255),
      index * 64,
    );
  }
  const engine = new OnnxRuntimeEngine({ threads: 1 });
  await engine.load("model", model);
  const input = { type: "float32", shape: [count, 1, 8, 8], data: pixels } as const;
  const { outputs } = await engine.run("model", { input });
  await engine.close();
  const logits = Array.from(outputs.logits.data as Float32Array, Number);
  probabilities = files.map((_, index) => {
    const row = logits.slice(index * 10, (index + 1) * 10).map(Math.exp);
    const sum = row.reduce((total, value) => total + value, 0);
    return row.map((value) => value / sum);
  });
});

describe("what a model sees in pictures", () => {
  test("is what a bare session of the file gives, the most probable class first", async () => {
    const predictions = await predictPictures(model, files, { threads: 1 });
    let right = 0;
    for (const [index, prediction] of predictions.entries()) {
      assert.ok("classes" in prediction);
      assert.equal(prediction.file, files[index]);
      const order = probabilities[index].map((p, place) => [p, place]).toSorted(([a], [b]) => b - a);
      assert.deepEqual(
        prediction.classes.map((each) => each.index),
        order.slice(0, 5).map(([, place]) => place),
      );
      assertClose(
        prediction.classes.map((each) => each.probability),
        order.slice(0, 5).map(([p]) => p),
        1e-5,
      );
      assert.ok(prediction.classes.every((each) => each.class === String(each.index)));
      if (prediction.classes[0].index === digits.labels[index]) right++;
    }
    assert.ok(right > 0.7 * count, `${right} of ${count}`);
  });

  test("names are the file's own, or those given", async () => {
    const classNames = [..."abcdefghij"];
    const [prediction] = await predictPictures(model, files.slice(0, 1), { classNames, top: 2 });
    assert.ok("classes" in prediction && prediction.classes.length === 2);
    for (const { class: name, index } of prediction.classes) assert.equal(name, classNames[index]);
  });

  test("a file that is no picture has its reason in its place", async () => {
    const broken = join(folder, "broken.png");
    writeFileSync(broken, "no picture");
    const gone = join(folder, "gone.png");
    rmSync(gone, { force: true });
    const [first, second, third] = await predictPictures(model, [broken, files[0], gone]);
    assert.ok("error" in first && first.error.length > 0);
    assert.ok("classes" in second);
    assert.deepEqual(third, { file: gone, error: "there is no such file" });
  });

  test("what is refused", async () => {
    await assert.rejects(
      predictPictures(model, files, { top: 0 }),
      new UserError("top is 0; choose a whole number of at least 1"),
    );
    await assert.rejects(
      predictPictures(model, files, { normalization: "dataset" }),
      /pictures are of no data set/,
    );
    await assert.rejects(predictPictures(new Uint8Array(3), files), UserError);
  });
});
