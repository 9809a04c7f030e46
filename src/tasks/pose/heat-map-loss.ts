import { UserError } from "../../common/errors.ts";
import { describe, elementCount, sameShape, type Value } from "../../graph/graph.ts";
import { divideOrZero, mul, sub } from "../../ops/arithmetic.ts";
import { reshape } from "../../ops/movement.ts";
import { reduceMean, reduceSum } from "../../ops/reduction.ts";

/**
 * What the squared errors of heat maps are divided by. Errors are multiplied by the joint's weight before they are
 * squared.
 * - `half-mean`: half the mean over all pixels, joints and images, labelled or not: SimpleBaseline's and HRNet's. Values
 *   near 1e-3 are normal, since nearly all pixels are 0.
 * - `mean`: without the half, as in mmpose.
 * - `labelled-mean`: the mean over the pixels of labelled joints only.
 * - `gaussian`: the sum per labelled joint, over the sum of the squares of a Gaussian, πσ². A network that gives zeros has
 *   a loss near 1, whatever the map's size and σ.
 */
export type HeatMapLoss = "half-mean" | "mean" | "labelled-mean" | "gaussian";

/**
 * The squared error of heat maps: a scalar.
 * @param predicted [N, joints, height, width]
 * @param target the same shape
 * @param weights [N, joints], 0 for joints that do not count. Where all are 0 the loss is 0
 * @param sigma of the targets' Gaussians, in pixels of the map; only `gaussian` reads it
 * @throws UserError for shapes that do not belong together
 */
export function heatMapLoss(
  predicted: Value,
  target: Value,
  weights: Value,
  { kind, sigma }: { kind: HeatMapLoss; sigma: number },
): Value {
  const [count, joints, height, width] = predicted.shape;
  if (
    predicted.shape.length !== 4 ||
    !sameShape(target.shape, predicted.shape) ||
    !sameShape(weights.shape, [count, joints])
  )
    throw new UserError(
      `the loss of heat maps takes [N, joints, height, width] twice and weights [N, joints]; it got ${describe(predicted)}, ${describe(target)} and ${describe(weights)}`,
    );
  const error = mul(sub(predicted, target), reshape(weights, [count, joints, 1, 1]));
  const squared = mul(error, error);
  switch (kind) {
    case "half-mean":
      return mul(reduceMean(squared), 0.5);
    case "mean":
      return reduceMean(squared);
    case "labelled-mean":
      return divideOrZero(reduceSum(squared), mul(reduceSum(weights), elementCount([height, width])));
    case "gaussian":
      return divideOrZero(reduceSum(squared), mul(reduceSum(weights), Math.PI * sigma ** 2));
    default:
      return kind satisfies never;
  }
}
