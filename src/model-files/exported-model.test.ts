import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { loadDataset } from "../data/catalogue.ts";
import type { ImageArrays } from "../data/image-arrays.ts";
import type { ImageClasses } from "../data/source.ts";
import { readModel } from "../onnx/model.ts";
import { type TrainOptions, train } from "../runs/train.ts";
import { readJsonFile, temporaryFolder } from "../testing/cli.ts";
import { arraysOf } from "../testing/images.ts";

// The file that a run leaves, opened by a bare ONNX Runtime session: nothing of this package is between the file and
// the numbers: it takes pixels as they are stored.

const root = temporaryFolder();

type Data = Record<"train" | "test", ImageArrays>;

/** The digits at twice their size, for networks that want larger images. */
async function largeDigits(): Promise<Data> {
  const { train: small, test: smallTest } = await loadDataset("digits");
  return { train: doubled(small), test: doubled(smallTest) };
}

function doubled(source: ImageClasses): ImageArrays {
  const dataset = arraysOf(source);
  const [height, width] = [2 * dataset.height, 2 * dataset.width];
  const images = new Uint8Array(4 * dataset.images.length);
  for (let index = 0; index < images.length; index++) {
    const [image, place] = [Math.floor(index / (height * width)), index % (height * width)];
    const [row, column] = [Math.floor(place / width) >> 1, (place % width) >> 1];
    images[index] = dataset.images[(image * dataset.height + row) * dataset.width + column];
  }
  return { ...dataset, images, height, width, name: "large-digits" };
}

/** Accuracy and mean cross entropy of the model in a file, from its logits alone. */
async function evaluate(path: string, dataset: ImageArrays, batchSize: number) {
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1 });
  assert.deepEqual([session.inputNames, session.outputNames], [["input"], ["logits"]]);
  const { channels, height, width, count, labels, images } = dataset;
  const size = channels * height * width;
  let [right, loss, smallest, mass] = [0, 0, 0, 0];
  for (let start = 0; start < count; start += batchSize) {
    const batch = Math.min(batchSize, count - start);
    const pixels = images.subarray(start * size, (start + batch) * size);
    const input = Float32Array.from(pixels);
    const { logits } = await session.run({ input: new Tensor(input, [batch, channels, height, width]) });
    assert.deepEqual(logits.dims, [batch, dataset.classNames.length]);
    for (let index = 0; index < batch; index++) {
      const row = Array.from((logits.data as Float32Array).subarray(index * 10, (index + 1) * 10));
      const label = labels[start + index];
      if (row.indexOf(Math.max(...row)) === label) right++;
      const sum = row.reduce((total, logit) => total + Math.exp(logit), 0);
      loss += Math.log(sum) - row[label];
      smallest = Math.min(smallest, ...row);
      mass = Math.max(mass, sum);
    }
  }
  await session.release();
  return { accuracy: right / count, loss: loss / count, smallest, mass };
}

const settings: TrainOptions = {
  batchSize: 32,
  limit: 320,
  learningRate: 0.1,
  optimizer: { method: "sgd" },
  sharpness: { images: 64 },
  threads: 1,
};
const runs: Record<string, TrainOptions> = {
  mlp: { model: "mlp", epochs: 3 },
  cnn: { model: "cnn", epochs: 2, optimizer: { method: "bilateral-sam" } },
  resnet20: { model: "resnet20", epochs: 2 },
  lenet5: { model: "lenet5", epochs: 3 },
};

for (const [name, own] of Object.entries(runs)) {
  describe(`the exported ${name}`, () => {
    const out = join(root, name);
    let data: Data;
    before(async () => {
      const { train: training, test: testing } = await loadDataset("digits");
      data = name === "lenet5" ? await largeDigits() : { train: arraysOf(training), test: arraysOf(testing) };
      await train({ ...settings, ...own, data, out });
    });

    for (const batchSize of [1, 7, 360]) {
      test(`has the run's test accuracy and loss in batches of ${batchSize}`, async () => {
        const summary = readJsonFile(out, "summary.json");
        const { accuracy, loss, smallest, mass } = await evaluate(
          join(out, "model.onnx"),
          data.test,
          batchSize,
        );
        assert.equal(accuracy, summary.metrics.accuracy);
        assert.ok(
          Math.abs(loss - summary.testLoss) < 1e-5 * loss,
          `loss ${loss}, summary ${summary.testLoss}`,
        );
        // A network that has learned something, but not all: else equal numbers would say little.
        assert.ok(accuracy > 0.15 && accuracy < 1, `accuracy ${accuracy}`);
        assert.ok(smallest < 0, "probabilities would not be negative");
        assert.ok(mass > 2, "the exponentials of log-probabilities would sum to 1");
      });
    }

    test("says in its metadata what it takes and gives", () => {
      const { metadataProps } = readModel(readFileSync(join(out, "model.onnx")), "model.onnx");
      assert.deepEqual(
        metadataProps.map(({ key, value }) => [key, JSON.parse(value)]),
        [
          ["lowland.task", "classification"],
          ["lowland.classes", data.test.classNames],
          ["lowland.input", { layout: "NCHW", channels: "gray", range: [0, 16] }],
        ],
      );
    });

    test("states a symbolic batch, holds its weights, and ends without a softmax", () => {
      const { graph } = readModel(readFileSync(join(out, "model.onnx")), "model.onnx");
      const shape = graph!.input[0].type!.value;
      assert.ok(shape.case === "tensorType");
      const { channels, height, width } = data.test;
      assert.deepEqual(
        shape.value.shape!.dim.map(({ value }) =>
          value.case === "dimParam" ? value.value : Number(value.value),
        ),
        ["batch", channels, height, width],
      );
      const operators = new Set(graph!.node.map((node) => node.opType));
      assert.ok(!operators.has("Softmax") && !operators.has("LogSoftmax"), [...operators].join());
      assert.deepEqual(
        graph!.input.map((input) => input.name),
        ["input"],
      );
      assert.ok(graph!.initializer.some((weight) => /weight$/.test(weight.name)));
    });
  });
}
