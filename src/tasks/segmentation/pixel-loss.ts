import { UserError } from "../../common/errors.ts";
import { ignoredClass } from "../../data/masks.ts";
import { describe, type Value } from "../../graph/graph.ts";
import { tensorData } from "../../onnx/tensor-data.ts";
import { add, divideOrZero, mul, neg, sub } from "../../ops/arithmetic.ts";
import { equal, greater, less, where } from "../../ops/comparison.ts";
import { cast } from "../../ops/elementwise.ts";
import { gather } from "../../ops/indexing.ts";
import { reshape } from "../../ops/movement.ts";
import { reduceSum } from "../../ops/reduction.ts";
import { logSoftmax, softmax } from "../../ops/softmax.ts";

// Losses of a class per pixel. All are weighted means with the same weights, those of pixels, so that a sum of them is
// one too, and micro-batches give the loss of the whole batch.

export const pixelLosses = ["crossEntropy", "dice", "crossEntropy+dice"] as const;

/**
 * What is minimized.
 * - `crossEntropy`: −ln p of each pixel's class, as PyTorch's `cross_entropy` with `ignore_index` and `weight`.
 * - `dice`: {@link diceLoss}.
 * - `crossEntropy+dice`: the sum of both.
 */
export type PixelLoss = (typeof pixelLosses)[number];

export interface DiceOptions {
  /** Added to numerator and denominator. Default 1. */
  smooth?: number;
  /** Whether the denominator has the squares of probabilities (V-Net) instead of the probabilities. Default false. */
  squared?: boolean;
  /** Over which classes the mean is taken: those in the image's mask (default), or all. */
  classes?: "present" | "all";
}

export interface PixelLossOptions {
  loss?: PixelLoss;
  /** A factor for each class. Default: 1 for all. */
  classWeights?: readonly number[];
  dice?: DiceOptions;
}

/**
 * The loss of a batch: a scalar, 0 where no pixel has a class.
 * @param logits [N, classes, H, W]
 * @param target [N, H, W], int32: a class, or {@link ignoredClass}
 * @throws UserError for shapes that do not belong together
 */
export function pixelLoss(
  logits: Value,
  target: Value,
  { loss = "crossEntropy", classWeights, dice }: PixelLossOptions = {},
): Value {
  const [count, classes, ...size] = logits.shape;
  if (logits.shape.length !== 4 || target.shape.join() !== [count, ...size].join())
    throw new UserError(
      `the loss of pixels takes logits [N, classes, height, width] and a target [N, height, width]; it got ${describe(logits)} and ${describe(target)}`,
    );
  // A network may have more classes than the data: no pixel is of those.
  const weights = classWeights && [
    ...classWeights,
    ...new Array<number>(classes - classWeights.length).fill(1),
  ];
  switch (loss) {
    case "crossEntropy":
      return pixelCrossEntropy(logits, target, weights);
    case "dice":
      return diceLoss(logits, target, weights, dice);
    case "crossEntropy+dice":
      return add(pixelCrossEntropy(logits, target, weights), diceLoss(logits, target, weights, dice));
    default:
      return loss satisfies never;
  }
}

/** The mean of −ln p over the pixels whose class is not ignored, weighted by the weights of their classes. */
function pixelCrossEntropy(logits: Value, target: Value, weights?: readonly number[]): Value {
  // No class is the ignored one, so that such a pixel's sum is 0.
  const losses = neg(reduceSum(where(isClass(logits, target), logSoftmax(logits, 1), 0), [1]));
  return meanOfKept(losses, target, weights);
}

/**
 * Soft Dice: of each image and class 1 − (2·Σp·t + s) / (Σp + Σt + s), with softmax probabilities p and t = 1 at the
 * pixels of the class, summed over the pixels of the image that have a class. Then the mean over the classes, by their
 * weights, and the mean over the images, by the sum of the weights of their pixels: without weights and ignored pixels
 * all images count alike.
 */
function diceLoss(
  logits: Value,
  target: Value,
  weights?: readonly number[],
  { smooth = 1, squared = false, classes: counted = "present" }: DiceOptions = {},
): Value {
  const { graph, type, shape } = logits;
  const [count, classes, height, width] = shape;
  const isOwn = isClass(logits, target);
  const p = softmax(logits, 1);
  const kept = less(reshape(target, [count, 1, height, width]), ignoredClass);
  const both = reduceSum(where(isOwn, p, 0), [2, 3]);
  const predicted = reduceSum(where(kept, squared ? mul(p, p) : p, 0), [2, 3]);
  const actual = reduceSum(cast(isOwn, type), [2, 3]);
  const overlap = divideOrZero(add(mul(both, 2), smooth), add(add(predicted, actual), smooth));
  const losses = sub(1, overlap);
  const ofClass = graph.constant(
    tensorData(weights ?? new Array<number>(classes).fill(1), [1, classes], type as "float32"),
  );
  const counts = counted === "present" ? where(greater(actual, 0), ofClass, 0) : ofClass;
  const ofImage = divideOrZero(reduceSum(mul(losses, counts), [1]), reduceSum(counts, [1]));
  const size = reduceSum(pixelWeights(target, weights, type), [1, 2]);
  return divideOrZero(reduceSum(mul(ofImage, size)), reduceSum(size));
}

/** Whether a pixel is of a class, [N, classes, H, W]; one that is ignored is of none. */
function isClass(logits: Value, target: Value): Value {
  const [count, classes, height, width] = logits.shape;
  const numbers = Array.from({ length: classes }, (_, index) => index);
  return equal(
    reshape(target, [count, 1, height, width]),
    logits.graph.constant(tensorData(numbers, [1, classes, 1, 1], "int32")),
  );
}

/** The mean of values [N, H, W] over the pixels that have a class, by the weights of their classes; 0 where there are none. */
export function meanOfKept(values: Value, target: Value, weights?: readonly number[]): Value {
  const counts = pixelWeights(target, weights, values.type);
  const kept = where(less(target, ignoredClass), values, 0);
  return divideOrZero(reduceSum(weights ? mul(kept, counts) : kept), reduceSum(counts));
}

/** How much each pixel counts, [N, H, W]: the weight of its class, and 0 if it has none. */
export function pixelWeights(
  target: Value,
  weights?: readonly number[],
  type: Value["type"] = "float32",
): Value {
  if (!weights) return cast(less(target, ignoredClass), type);
  const table = Array.from({ length: ignoredClass + 1 }, (_, index) =>
    index < ignoredClass ? (weights[index] ?? 0) : 0,
  );
  const ofValue = target.graph.constant(tensorData(table, [table.length], type as "float32"));
  return gather(ofValue, target);
}
