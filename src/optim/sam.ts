import { sub } from "../ops/arithmetic.ts";
import type { Optimizer } from "./optimizer.ts";
import { type Schedule, toSchedule } from "./schedules.ts";
import { addScaled, cosine, divideOrZero, norm } from "./vectors.ts";

export interface SamOptions {
  /** Radius of the perturbation: a number, or a schedule. Default 0.05. */
  rho?: number | Schedule;
}

/**
 * Sharpness-aware minimization (Foret et al. 2021, arXiv 2010.01412) over a base optimizer:
 *
 *   g  = ∇L(w)
 *   g⁺ = ∇L(w + ρ·g/‖g‖)        same mini-batch
 *   w ← base(w, g⁺)             from the unperturbed w
 *
 * Two gradient evaluations a step. Where ‖g‖ = 0 there is no perturbation.
 */
export function sam(base: Optimizer, { rho = 0.05 }: SamOptions = {}): Optimizer {
  const rhoMax = toSchedule(rho);
  return {
    config: { method: "sam", rho: rhoMax.config, base: base.base.config },
    base: base.base,
    gradientEvaluations: 2,
    rhoMax,
    direction: ({ parameters, first, evaluate, rhoMax: radius }) => {
      const { loss, gradients: g } = first;
      const gradNorm = norm(g);
      const above = evaluate(addScaled(parameters, divideOrZero(radius, gradNorm), g));
      const gradNormMax = norm(above.gradients);
      return {
        direction: above.gradients,
        diagnostics: {
          loss_max: above.loss,
          max_sharpness: sub(above.loss, loss),
          grad_norm_max: gradNormMax,
          cos_grad_max: cosine(g, above.gradients, gradNorm, gradNormMax),
        },
      };
    },
  };
}
