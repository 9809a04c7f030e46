import * as z from "zod";
import { UserError } from "../../common/errors.ts";
import { type ClassSample, type DataSource, isImageClasses } from "../../data/source.ts";
import { mul, sub } from "../../ops/arithmetic.ts";
import { abs } from "../../ops/elementwise.ts";
import { reduceMean } from "../../ops/reduction.ts";
import { pixelRow, storedImages } from "../../tasks/image-input.ts";
import type { Metric, TaskKind } from "../../tasks/task.ts";

// How bright a picture is, from 0 to 1: a task as a stranger to Lowland would write it, with a setting, an augmentation
// that changes the target too, and metrics of its own.

const settings = {
  dimming: z.number().min(0).lt(1).default(0).describe("Largest share of its light that a picture loses."),
};

export const brightness: TaskKind<typeof settings, ClassSample> = {
  name: "brightness",
  examples: "pictures",
  settings,
  loss: { name: "mean squared error", unit: "" },
  metrics: [
    { name: "r2", label: "test R²", unit: "", better: "higher", meaning: "explained share of the variance" },
    { name: "error", label: "test error", unit: "levels", better: "lower", decimals: 2 },
  ],
  open({ dimming }, { train, test }) {
    const [given, held] = [picturesOf(train), picturesOf(test)];
    const { maximum } = given;
    return {
      task: {
        ...storedImages(given),
        output: { name: "brightness", shape: [1], holds: "values" },
        targets: { target: { type: "float32", shape: [1] } },
        lossSettings: { dimming },
        row: ({ image }, random) => {
          const light = random ? 1 - dimming * random().uniform() : 1;
          const input = pixelRow({ ...image, data: image.data.map((pixel) => Math.round(light * pixel)) });
          const target = Float32Array.of(meanOf(input.data) / maximum);
          return { input, target: { type: "float32", shape: [1], data: target } };
        },
        loss: (output, { target }) => {
          const difference = sub(output, target);
          return reduceMean(mul(difference, difference));
        },
        predict: (output) => ({ brightness: output }),
        batchMetrics: (output, { target }) => ({ error: mul(reduceMean(abs(sub(output, target))), maximum) }),
      },
      train: given,
      evaluations: [{ source: held, metric: () => explained(maximum) }],
    };
  },
};

/** R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)², and the mean of |y − ŷ| in levels of gray. */
function explained(maximum: number): Metric<ClassSample> {
  const pairs: { predicted: number; actual: number }[] = [];
  return {
    add: ({ brightness: { data } }, samples) => {
      for (const [index, { image }] of samples.entries())
        pairs.push({ predicted: Number(data[index]), actual: meanOf(image.data) / maximum });
    },
    result: () => {
      const mean = meanOf(pairs.map(({ actual }) => actual));
      const spread = meanOf(pairs.map(({ actual }) => (actual - mean) ** 2));
      const left = meanOf(pairs.map(({ predicted, actual }) => (actual - predicted) ** 2));
      const error = meanOf(pairs.map(({ predicted, actual }) => maximum * Math.abs(actual - predicted)));
      return { r2: 1 - left / spread, error };
    },
  };
}

const meanOf = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;

function picturesOf(source: DataSource) {
  if (isImageClasses(source)) return source;
  throw new UserError(`${source.name} holds no pictures, whose brightness there could be`);
}
