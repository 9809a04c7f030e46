import type { Value } from "../graph/graph.ts";
import { add, divideOrZero, mul } from "../ops/arithmetic.ts";
import type { ParameterSettings } from "./parameter-groups.ts";
import { norm } from "./vectors.ts";

export interface PerturbationOptions {
  /**
   * Measure the radius relative to each weight (ASAM, arXiv 2102.11600): ε = ρ·T²g/‖T g‖ with T = |w| elementwise,
   * which does not change when two layers are rescaled against each other. Default false: ε = ρ·g/‖g‖.
   */
  adaptive?: boolean;
}

/** A way to move the perturbed parameters: w + radius·v/norm, and w itself where a parameter is not perturbed. */
export interface Perturbation {
  /** Over the perturbed parameters only. Where it is 0 nothing moves. */
  norm: Value;
  /** The weights at a signed radius. */
  at(radius: Value): Value[];
}

/** The perturbation of `parameters` along `vectors`, as far as `settings` have them perturbed. */
export function perturbation(
  parameters: readonly Value[],
  vectors: readonly Value[],
  settings: readonly Pick<ParameterSettings, "perturbed" | "rho">[],
  { adaptive = false }: PerturbationOptions = {},
): Perturbation {
  const perturbed = parameters.map((_, index) => settings[index].perturbed);
  if (!perturbed.includes(true)) {
    return { norm: parameters[0].graph.scalar(0, parameters[0].type), at: () => [...parameters] };
  }
  const scaled = vectors.map((vector, index) => (adaptive ? mul(parameters[index], vector) : vector));
  const length = norm(scaled.filter((_, index) => perturbed[index]));
  return {
    norm: length,
    at: (radius) => {
      const factor = divideOrZero(radius, length);
      return parameters.map((parameter, index) => {
        if (!perturbed[index]) return parameter;
        const { rho } = settings[index];
        const own = rho === 1 ? factor : mul(factor, rho);
        return add(parameter, mul(adaptive ? mul(parameter, scaled[index]) : scaled[index], own));
      });
    },
  };
}
