import { readOptions } from "../common/options.ts";
import { type EvaluationOptions, evaluationOptions, type Surface } from "./surface.ts";

export interface Determinism {
  /** Whether loss and gradient had the same bits both times. */
  deterministic: boolean;
  loss: number;
  lossDifference: number;
  /** How many numbers of the gradient differed, and by how much at most. */
  differing: number;
  largestDifference: number;
}

/** Computes loss and gradient twice, at the same weights on the same data, and compares them to the last bit. */
export async function checkDeterminism(
  surface: Surface,
  options: EvaluationOptions = {},
): Promise<Determinism> {
  readOptions("checkDeterminism", options, evaluationOptions);
  const first = await surface.gradient(surface.weights, options);
  const second = await surface.gradient(surface.weights, options);
  let [differing, largestDifference] = [0, 0];
  for (let i = 0; i < first.gradient.length; i++) {
    if (Object.is(first.gradient[i], second.gradient[i])) continue;
    differing++;
    largestDifference = Math.max(largestDifference, Math.abs(first.gradient[i] - second.gradient[i]));
  }
  const lossDifference = Math.abs(first.loss - second.loss);
  return {
    deterministic: differing === 0 && Object.is(first.loss, second.loss),
    loss: first.loss,
    lossDifference,
    differing,
    largestDifference,
  };
}
