import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gradients } from "../../autodiff/gradients.ts";
import { randomStream } from "../../common/random.ts";
import { ignoredClass, imageMasks } from "../../data/masks.ts";
import { Graph } from "../../graph/graph.ts";
import { conv2d } from "../../nn/layers.ts";
import { buildModel, initialTensors } from "../../nn/module.ts";
import { mul } from "../../ops/arithmetic.ts";
import { parseRun } from "../../runs/configuration.ts";
import { openTask } from "../../runs/open-task.ts";
import { train } from "../../runs/train.ts";
import { assertClose, checkGradient, evaluate, tensor } from "../../testing/numeric.ts";
import { usingSurface } from "../../testing/surfaces.ts";
import type { StepRecord } from "../../train/records.ts";
import { preparedNetwork } from "../task-network.ts";
import { taskSurface } from "../task-surface.ts";
import { type PixelLossOptions, pixelLoss, pixelLosses } from "./pixel-loss.ts";

// Losses and gradients beside PyTorch's (fixtures/tasks/segmentation-metrics.json), and over batches cut in any way.

interface Numbers {
  shape: number[];
  data: number[];
}
interface Vectors {
  crossEntropy: {
    name: string;
    logits: Numbers;
    truth: Numbers;
    classWeights: number[] | null;
    labelSmoothing: number;
    mean: number | "nan";
    gradientOfMean: Numbers;
  }[];
  dice: {
    name: string;
    logits: Numbers;
    truth: Numbers;
    over: "batch" | "image";
    squaredDenominator: boolean;
    smooth: number;
    /** [images, classes], or [classes] of the batch. */
    perClass: Numbers;
    loss: number;
    gradient: Numbers;
    lossOfClassesInTruth: number;
    gradientOfClassesInTruth: Numbers;
  }[];
}
const file = fileURLToPath(new URL("../../../fixtures/tasks/segmentation-metrics.json", import.meta.url));
const vectors: Vectors = JSON.parse(readFileSync(file, "utf8"));

const int32 = ({ data, shape }: Numbers) => ({ type: "int32", shape, data: Int32Array.from(data) }) as const;

async function lossOf(logits: Numbers, truth: Numbers, options: PixelLossOptions) {
  const graph = new Graph();
  const x = graph.input("logits", "float64", logits.shape);
  const loss = pixelLoss(x, graph.input("target", "int32", truth.shape), options);
  const [gradient] = gradients(loss, [x]);
  return evaluate({ loss, gradient }, { logits: tensor(logits.data, logits.shape), target: int32(truth) });
}

describe("cross entropy is PyTorch's, and so is its gradient", () => {
  const plain = vectors.crossEntropy.filter(
    ({ labelSmoothing, mean }) => labelSmoothing === 0 && mean !== "nan",
  );
  for (const { name, logits, truth, classWeights, mean, gradientOfMean } of plain) {
    test(name, async () => {
      const { loss, gradient } = await lossOf(logits, truth, { classWeights: classWeights ?? undefined });
      assertClose(loss, [Number(mean)], 1e-12);
      assertClose(gradient, gradientOfMean.data, 1e-12);
      assert.ok(truth.data.includes(ignoredClass));
    });
  }
});

/** One image after another; of sums over the batch one image with all rows. */
function imagesOf({ shape, data }: Numbers, over: "batch" | "image"): Numbers[] {
  const [count, ...rest] = shape;
  const [height, width] = rest.slice(-2);
  const size = data.length / count;
  const parts = Array.from({ length: count }, (_, index) => data.slice(index * size, (index + 1) * size));
  if (over === "image") return parts.map((part) => ({ shape: [1, ...rest], data: part }));
  const planes = size / (height * width);
  const plane = (part: number[], at: number) => part.slice(at * height * width, (at + 1) * height * width);
  const joined = Array.from({ length: planes }, (_, at) => parts.flatMap((part) => plane(part, at))).flat();
  return [{ shape: [1, ...rest.slice(0, -2), count * height, width], data: joined }];
}

describe("Dice of an image is autograd's of the definition", () => {
  for (const { name, over, smooth, squaredDenominator: squared, ...vector } of vectors.dice) {
    test(name, async () => {
      const [images, truths] = [imagesOf(vector.logits, over), imagesOf(vector.truth, over)];
      const expected = {
        all: imagesOf(vector.gradient, over),
        present: imagesOf(vector.gradientOfClassesInTruth, over),
      };
      const classes = vector.logits.shape[1];
      const present = truths.map(({ data }) =>
        [...Array(classes).keys()].filter((each) => data.includes(each)),
      );
      // Of present classes the vectors have the mean over all pairs of image and class.
      const pairs = present.flat().length;
      for (const [index, logits] of images.entries()) {
        const own = vector.perClass.data.slice(index * classes, (index + 1) * classes);
        const mean = (of: readonly number[]) => of.reduce((sum, each) => sum + own[each], 0) / of.length;
        const everything = [...Array(classes).keys()];
        for (const [counted, of, share] of [
          ["all", everything, 1 / images.length],
          ["present", present[index], present[index].length / pairs],
        ] as const) {
          const dice = { smooth, squared, classes: counted };
          const { loss, gradient } = await lossOf(logits, truths[index], { loss: "dice", dice });
          assertClose(loss, [mean(of)], 1e-9);
          assertClose(
            gradient.map((value) => value * share),
            expected[counted][index].data,
            1e-9,
          );
        }
      }
      if (images.length > 1) return;
      const all = await lossOf(images[0], truths[0], {
        loss: "dice",
        dice: { smooth, squared, classes: "all" },
      });
      assertClose(all.loss, [vector.loss], 1e-9);
      const some = await lossOf(images[0], truths[0], { loss: "dice", dice: { smooth, squared } });
      assertClose(some.loss, [vector.lossOfClassesInTruth], 1e-9);
    });
  }
});

const random = randomStream(5, "pixel losses");
/** Three images of 2×3 with four classes; the last has no pixel of class 3, and none of any class but one. */
const truth: Numbers = {
  shape: [3, 2, 3],
  data: [0, 1, 2, 255, 1, 0, 3, 3, 2, 2, 255, 255, 255, 255, 1, 255, 255, 255],
};
const logits: Numbers = { shape: [3, 4, 2, 3], data: Array.from({ length: 72 }, () => random.normal()) };
const classWeights = [0.5, 2, 1, 0.25];

for (const loss of pixelLosses) {
  test(`${loss}: the gradient is that of finite differences`, async () => {
    for (const order of [1, 2] as const)
      await checkGradient({
        shapes: [logits.shape],
        build: ([x]) => {
          const { type, data, shape } = int32(truth);
          const target = x.graph.constant({ type, shape, data });
          return pixelLoss(x, target, { loss, classWeights, dice: { squared: true } });
        },
        random,
        order,
      });
  });

  test(`${loss}: without any class it is 0 and moves nothing`, async () => {
    const nothing = { ...truth, data: truth.data.map(() => ignoredClass) };
    const { loss: value, gradient } = await lossOf(logits, nothing, { loss, classWeights });
    assertClose(value, [0], 0);
    assertClose(
      gradient,
      logits.data.map(() => 0),
      0,
    );
  });
}

test("the sum is the sum; the mean of images' Dice is by the weights of their pixels", async () => {
  const values = await Promise.all(pixelLosses.map((loss) => lossOf(logits, truth, { loss, classWeights })));
  const [entropy, dice, both] = values.map(({ loss }) => loss[0]);
  assertClose([both], [entropy + dice], 1e-12);
  const [images, truths] = [imagesOf(logits, "image"), imagesOf(truth, "image")];
  let [sum, total] = [0, 0];
  for (const [index, image] of images.entries()) {
    const own = await lossOf(image, truths[index], { loss: "dice", classWeights });
    const weight = truths[index].data.reduce((all, value) => all + (classWeights[value] ?? 0), 0);
    sum += weight * own.loss[0];
    total += weight;
  }
  assertClose([dice], [sum / total], 1e-12);
});

/** Images of noise whose left part is of one class and the right of others, some with a border of none. */
function uneven(count: number, start = 0) {
  const [height, width] = [8, 8];
  const masks = new Uint8Array(count * 64);
  const images = new Uint8Array(count * 64);
  for (let at = 0; at < masks.length; at++) {
    const [index, column] = [start + Math.floor(at / 64), at % 8];
    masks[at] = column === 0 && index % 3 === 0 ? ignoredClass : column < 5 ? 0 : 1 + (index % 2);
    images[at] = Math.min(255, (masks[at] === ignoredClass ? 9 : 60 + 70 * masks[at]) + random.integer(50));
  }
  const classNames = ["left", "right", "other"];
  return imageMasks({
    ...{ name: "halves", count, channels: 1, height, width, maximum: 255, classNames, images, masks },
  });
}

for (const pixelLoss of pixelLosses) {
  test(`${pixelLoss}: a run with class weights is the same in micro-batches`, async () => {
    const data = { train: uneven(32), test: uneven(8, 100) };
    const steps = async (microBatches: number) => {
      const records: StepRecord[] = [];
      const { summary } = await train({
        ...{ data, task: "segmentation", classWeights: "balanced", pixelLoss, microBatches, batchSize: 8 },
        // Without BatchNorm, whose statistics are of a micro-batch.
        ...{ model: conv2d(1, 3, 3, { padding: 1 }), epochs: 1, threads: 1, sharpness: { images: 8 } },
        optimizer: { method: "bilateral-sam" },
        onStep: (record) => records.push(record),
      });
      return { records, summary: summary! };
    };
    const [whole, parts] = [await steps(1), await steps(4)];
    assert.equal(whole.records.length, 4);
    for (const key of ["loss", "lossMax", "lossMin", "gradNorm"] as const)
      assertClose(
        parts.records.map((record) => record[key]!),
        whole.records.map((record) => record[key]!),
        1e-4,
        key,
      );
    assertClose([parts.summary.testLoss], [whole.summary.testLoss], 1e-4);
  });
}

test("the loss that flatness is measured of does not depend on its batches", async () => {
  const data = { train: uneven(30), test: uneven(8, 100) };
  const settings = { task: "segmentation", classWeights: { other: 5 }, pixelLoss: "crossEntropy+dice" };
  const { task } = await openTask(parseRun(settings), data);
  const network = preparedNetwork(conv2d(1, 3, 3, { padding: 1 }), task);
  const built = buildModel(network.layer, { inputShape: task.input, batchSize: 1, training: false });
  const lossIn = async (batchSize: number) => {
    const tensors = initialTensors(built, 1);
    const surface = taskSurface(network, tensors, { task, source: data.train }, { batchSize });
    return usingSurface(surface, async (opened) => (await opened.evaluate()).loss);
  };
  const whole = await lossIn(30);
  assertClose([await lossIn(7), await lossIn(10)], [whole, whole], 1e-5);
});

test("class weights by pixels: balanced, by name, and what they are refused for", async () => {
  const source = uneven(6);
  const data = { train: source, test: source };
  const counts = [0, 1, 2].map(
    (each) =>
      Array.from({ length: 6 }, (_, index) => source.read(index))
        .flatMap((sample) => Array.from((sample as { mask: { data: Uint8Array } }).mask.data))
        .filter((value) => value === each).length,
  );
  assert.deepEqual(source.classPixels, counts);
  const { task } = await openTask(parseRun({ task: "segmentation", classWeights: "balanced" }), data);
  const graph = new Graph();
  const target = graph.input("target", "int32", [1, 8, 8]);
  const weight = mul(task.weight!({ target }, "training")!, 1);
  // n/(k·n_c) for each of 64 pixels, over the share of pixels with a class times 64.
  const total = counts[0] + counts[1] + counts[2];
  const share = total / (6 * 64);
  const ones = { type: "int32", shape: [1, 8, 8], data: new Int32Array(64).fill(1) } as const;
  assertClose((await evaluate({ weight }, { target: ones })).weight, [total / (3 * counts[1]) / share], 1e-5);

  const open = (classWeights: Record<string, number>, train = source) =>
    openTask(parseRun({ task: "segmentation", classWeights }), { train, test: source });
  await assert.rejects(open({ middle: 2 }), /halves has no class "middle"; choose from left, right, other/);
  await assert.rejects(
    open({ left: 2 }, { ...source, classPixels: undefined }),
    /halves does not state its classPixels/,
  );
});

test("a batch without any class is remarked on, once", async () => {
  const masks = new Uint8Array(8 * 64).fill(ignoredClass);
  const images = Uint8Array.from(masks, (_, index) => index % 200);
  const form = { name: "unlabeled", channels: 1, height: 8, width: 8, maximum: 255 };
  const blank = imageMasks({ ...form, classNames: ["left", "right", "other"], count: 8, images, masks });
  const said: string[] = [];
  const losses: number[] = [];
  await train({
    ...{ data: { train: blank, test: uneven(4) }, task: "segmentation", model: "unet:width=4,depth=1" },
    ...{ epochs: 2, batchSize: 4, threads: 1, sharpness: { images: 4 }, optimizer: { method: "sgd" } },
    onNote: (note: string) => said.push(note),
    onStep: ({ loss }) => losses.push(loss),
  });
  assert.deepEqual(losses, [0, 0, 0, 0]);
  assert.deepEqual(
    said.filter((note) => note.includes("no pixel")),
    ["a batch has no pixel with a class: its loss and its gradient are 0"],
  );
});
