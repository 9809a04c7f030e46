import { norm } from "./dense.ts";
import type { ParameterLayout } from "./parameter-vector.ts";

/**
 * In what the size of a perturbation ε is measured: ‖T⁻¹ε‖₂ ≤ ρ with
 *
 * - `"plain"`: T = 1.
 * - `"adaptive"`: T = |w|, element by element (ASAM, Kwon et al. 2021, arXiv 2102.11600).
 * - `"filter"`: T = ‖f‖ for all elements of a filter f (a row along the first axis of a weight of two or more axes),
 *   and |w| for biases and the like (Li et al. 2018, arXiv 1712.09913; section 3 of 2102.11600).
 *
 * The last two do not change when weights are rescaled without changing the function, such as a layer times c and the
 * next one divided by it. There is no constant added to T, which would break that; where T = 0 nothing is perturbed.
 */
export const radii = ["plain", "adaptive", "filter"] as const;
export type Radius = (typeof radii)[number];

/** The diagonal of T. */
export function radiusScale(layout: ParameterLayout, weights: Float64Array, radius: Radius): Float64Array {
  switch (radius) {
    case "plain":
      return new Float64Array(layout.length).fill(1);
    case "adaptive":
      return weights.map(Math.abs);
    case "filter": {
      const scale = weights.map(Math.abs);
      for (const { start, end } of filtersOf(layout))
        scale.fill(norm(weights.subarray(start, end)), start, end);
      return scale;
    }
    default:
      return radius satisfies never;
  }
}

/** Where in the vector each filter is. Parameters of one axis or none have no filters. */
export function* filtersOf({ parts }: ParameterLayout): Generator<{ start: number; end: number }> {
  for (const { shape, offset, length } of parts) {
    if (shape.length < 2 || length === 0) continue;
    const size = length / shape[0];
    for (let start = offset; start < offset + length; start += size) yield { start, end: start + size };
  }
}
