import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { type ImageMasks, imageMasks } from "../data/masks.ts";
import { selected } from "../data/source.ts";
import { compile } from "../lower/compile.ts";
import { evaluateFile } from "../model-files/evaluate.ts";
import { createModel } from "../nn/models.ts";
import { buildModel, initialTensors, type Layer } from "../nn/module.ts";
import { softmax } from "../ops/softmax.ts";
import { parseRun } from "../runs/configuration.ts";
import { openTask } from "../runs/open-task.ts";
import { train } from "../runs/train.ts";
import { lowland, readJsonFile, temporaryFolder } from "../testing/cli.ts";
import { squareAndDisc } from "../testing/scenes.ts";

// Segmentation from pictures to numbers: a folder of images and masks on the command line, arrays and files in the library.

const root = temporaryFolder();
const environment = { cwd: root, env: { LOWLAND_HOME: join(root, "home") } };
const size = 16;

const scene = (index: number) => squareAndDisc(index, { channels: 1, size });

function scenes(start: number, count: number): ImageMasks {
  const all = Array.from({ length: count }, (_, index) => scene(start + index));
  const joined = (kind: "image" | "mask") => Uint8Array.from(all.flatMap((one) => Array.from(one[kind])));
  return imageMasks({
    ...{ name: "scenes", count, channels: 1, height: size, width: size, maximum: 255 },
    ...{ classNames: ["ground", "square", "disc"], images: joined("image"), masks: joined("mask") },
  });
}

const settings = {
  task: "segmentation",
  epochs: 5,
  batchSize: 8,
  learningRate: 0.05,
  optimizer: { method: "sgd" },
  sharpness: { images: 16 },
  threads: 1,
} as const;

describe("a folder of images and masks", () => {
  before(async () => {
    for (const kind of ["images", "masks"]) mkdirSync(join(root, "scenes", kind), { recursive: true });
    for (let index = 0; index < 60; index++) {
      const { image, mask } = scene(index);
      const raw = { raw: { width: size, height: size, channels: 1 } } as const;
      await sharp(image, raw)
        .png()
        .toFile(join(root, "scenes", "images", `${index}.png`));
      await sharp(mask, raw)
        .toColorspace("b-w")
        .png()
        .toFile(join(root, "scenes", "masks", `${index}.png`));
    }
    writeFileSync(join(root, "scenes", "classes.txt"), "ground\nsquare\ndisc\n");
    const document = {
      ...settings,
      data: "scenes",
      images: { size, channels: 1 },
      augmentation: { flip: true },
    };
    writeFileSync(join(root, "run.json"), JSON.stringify(document));
  });
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await lowland(args, environment);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  test("trains the U-Net by its task's default, and is evaluated as at its end", async () => {
    const table = await run("train", "--config", "run.json", "--out", "run");
    assert.match(table, /mean IoU/);
    const { metrics, testLoss } = readJsonFile(root, "run", "summary.json");
    const { configuration } = readJsonFile(root, "run", "run.json");
    assert.equal(configuration.model, "unet");
    // The ground alone would be a mean IoU of about 25 %.
    assert.ok(metrics.meanIou > 0.7 && metrics.pixelAccuracy > 0.85, JSON.stringify(metrics));
    const result = JSON.parse(await run("evaluate", "run", "--json", "--threads", "1"));
    assert.deepEqual([result.task, result.examples], ["segmentation", 12]);
    assert.ok(Math.abs(result.loss - testLoss) < 1e-4 * testLoss, `${result.loss}, ${testLoss}`);
    assert.ok(Math.abs(result.metrics.meanIou - metrics.meanIou) < 1e-3);
  });

  test("a file alone states its task", async () => {
    const { metrics } = readJsonFile(root, "run", "summary.json");
    const args = ["run/model.onnx", "--data", "scenes", "--json", "--threads", "1"];
    const evaluated = JSON.parse(await run("evaluate", ...args));
    assert.equal(evaluated.task, "segmentation");
    assert.ok(Math.abs(evaluated.metrics.meanIou - metrics.meanIou) < 1e-3);
  });

  test("flatness is that of its loss", async () => {
    const few = ["--threads", "1", "--measure", "sharpness", "--steps", "0", "--directions", "2"];
    await run("flatness", "run", ...few);
    const { loss, metrics } = readJsonFile(root, "run", "flatness.json");
    const ended = readJsonFile(root, "run", "summary.json");
    // Of a batch the weighted sum over its size: by the share of pixels with a class that the training masks have.
    assert.ok(Math.abs(loss - ended.testLoss) < 0.1 * loss, `${loss}, ${ended.testLoss}`);
    assert.ok(Math.abs(metrics.pixelAccuracy - ended.metrics.pixelAccuracy) < 0.01);
  });

  test("the demonstration trains by its own settings and ends in a page", async () => {
    const told = await lowland(
      [
        ...[
          "demo",
          "segmentation",
          "--data",
          "scenes",
          "--image-size",
          "16",
          "--channels",
          "1",
          "--epochs",
          "1",
        ],
        ...["--model", "unet:width=4,depth=1,stem=2", "--batch-size", "8", "--sharpness-images", "8"],
        ...["--out", "demo", "--threads", "1"],
      ],
      { cwd: root },
    );
    assert.equal(told.code, 0, told.stderr);
    assert.match(told.stderr, /^1 run of 1 epoch: unet:width=4,depth=1,stem=2 on 48 images of scenes$/m);
    assert.match(readFileSync(join(root, "demo", "report.html"), "utf8"), /mean IoU/);
    const { configuration } = readJsonFile(root, "demo", "adam", "run.json");
    assert.deepEqual(
      [configuration.task, configuration.optimizer.method, configuration.pixelLoss],
      ["segmentation", "adam", "crossEntropy"],
    );
  });

  test("settings and data of another task are refused in a sentence", async () => {
    const refusals: [string[], RegExp][] = [
      [
        ["--config", "run.json", "--label-noise", "0.1"],
        /^lowland: labelNoise is a setting of classification, and the task is segmentation; leave it out\n$/,
      ],
      [
        ["--config", "run.json", "--data", "digits"],
        /^lowland: digits has no masks; for segmentation name wardrobe, or a folder of pictures and masks\n$/,
      ],
      [
        ["--config", "run.json", "--model", "mlp"],
        /lowland: mlp gives a number for each class, the task takes a map for each joint or class; choose one of .*unet/,
      ],
    ];
    for (const [args, message] of refusals) {
      const { code, stderr } = await lowland(["train", ...args, "--out", "refused"], environment);
      assert.equal(code, 2);
      assert.match(stderr, message);
    }
  });
});

test("arrays train in the library; the written model gives logits for each pixel", async () => {
  const [given, held] = [scenes(0, 48), scenes(100, 12)];
  const { summary, model } = await train({ ...settings, data: { train: given, test: held } });
  assert.ok(summary && summary.metrics.meanIou > 0.7, JSON.stringify(summary?.metrics));
  // Of several batches the loss is that of all pixels with a class, whichever image they are of.
  const { evaluations, task } = await openTask(parseRun({ task: "segmentation" }), {
    train: given,
    test: held,
  });
  const whole = await evaluateFile(model, { task, evaluations }, { threads: 1 });
  assert.ok(
    Math.abs(whole.loss - summary.testLoss) < 1e-5 * whole.loss,
    `${whole.loss}, ${summary.testLoss}`,
  );
  let [sum, pixels] = [0, 0];
  for (let index = 0; index < held.count; index++) {
    const source = selected(held, [index]);
    const [{ metric }] = evaluations;
    const { loss } = await evaluateFile(model, { task, evaluations: [{ source, metric }] }, { threads: 1 });
    const kept = scene(100 + index).mask.filter((value) => value !== 255).length;
    sum += kept * loss;
    pixels += kept;
  }
  assert.ok(Math.abs(sum / pixels - whole.loss) < 1e-5 * whole.loss, `${sum / pixels}, ${whole.loss}`);

  const session = await InferenceSession.create(model);
  const { image, mask } = scene(100);
  const input = new Tensor("float32", Float32Array.from(image), [1, 1, size, size]);
  const { logits } = await session.run({ input });
  assert.deepEqual(logits.dims, [1, 3, size, size]);
  const values = logits.data as Float32Array;
  let right = 0;
  for (let at = 0; at < size * size; at++) {
    const scores = [0, 1, 2].map((each) => values[each * size * size + at]);
    if (scores.indexOf(Math.max(...scores)) === mask[at]) right++;
  }
  assert.ok(right > 0.6 * size * size, `${right} pixels`);
});

test("a file that ends in a Softmax over the classes of each pixel trains by what is before it; resizing is in the file", async () => {
  const [given, held] = [scenes(0, 16), scenes(100, 8)];
  const form = { channels: 1, height: size, width: size, classes: 3 };
  const layer = createModel("unet:width=4,depth=1,stem=2", form);
  const fileOf = (name: string, made: Layer) => {
    const model = buildModel(made, { inputShape: [1, size, size], batchSize: 1, training: false });
    model.graph.output("y", model.logits);
    const file = join(root, name);
    const weights = new Map(Object.entries(initialTensors(model, 3)));
    writeFileSync(file, compile(model.graph, { weights, symbolicBatch: "batch" }));
    return { file };
  };
  const losses: number[] = [];
  const files = [
    fileOf("logits.onnx", layer),
    fileOf("likely.onnx", (x, scope) => softmax(layer(x, scope), 1)),
  ];
  for (const model of files) {
    const { summary } = await train({ ...settings, epochs: 1, model, data: { train: given, test: held } });
    losses.push(summary!.testLoss);
  }
  assert.ok(Math.abs(losses[0] - losses[1]) < 1e-5 * losses[0], losses.join());
});
