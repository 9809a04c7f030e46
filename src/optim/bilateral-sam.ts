import { UserError } from "../common/errors.ts";
import { add, div, mul, neg, sub } from "../ops/arithmetic.ts";
import type { Optimizer } from "./optimizer.ts";
import { proportionalToLearningRate, type Schedule, toSchedule } from "./schedules.ts";
import { addScaled, cosine, divideOrZero, dot, norm } from "./vectors.ts";

export const bilateralSamVariants = ["paper", "released"] as const;
export type BilateralSamVariant = (typeof bilateralSamVariants)[number];

export interface BilateralSamOptions {
  /** Radius of the ascent ε⁺: a number, or a schedule. Default 0.05. */
  rhoMax?: number | Schedule;
  /** Radius of the descent ε⁻. Default: 0.05 at the highest learning rate, following it to 0. */
  rhoMin?: number | Schedule;
  /** `"paper"` (default), or `"released"`: what the authors' code does. */
  variant?: BilateralSamVariant;
}

/**
 * Bilateral sharpness-aware minimization (arXiv 2409.13173) over a base optimizer. It minimises
 * L(w) + [L(w + ε⁺) − L(w)] + [L(w) − L(w − ε⁻)]: the loss should neither rise on one side nor fall on the other.
 *
 *   g  = ∇L(w),  u = g/‖g‖
 *   g⁺ = ∇L(w + ρ_max·u),  g⁻ = ∇L(w − ρ_min·u)      same mini-batch
 *   ς  = ‖g⁺‖/‖g⁻‖                                    a constant of the step
 *   w ← base(w, g⁺ + (g − ς·g⁻))                     from the unperturbed w
 *
 * Three gradient evaluations a step. Where ‖g‖ = 0 there is no perturbation; where ‖g⁻‖ = 0 its term is left out.
 *
 * In the authors' released code the weights to return to share memory with the perturbed ones, so the base update
 * starts from w − ρ_min·u (weight decay included), and the weights move even at a learning rate of 0. That is
 * `variant: "released"`.
 */
export function bilateralSam(
  base: Optimizer,
  { rhoMax = 0.05, rhoMin = proportionalToLearningRate(0.05), variant = "paper" }: BilateralSamOptions = {},
): Optimizer {
  if (!bilateralSamVariants.includes(variant)) {
    throw new UserError(
      `bilateral-sam has no variant "${variant}"; choose one of ${bilateralSamVariants.join(", ")}`,
    );
  }
  const radii = { rhoMax: toSchedule(rhoMax), rhoMin: toSchedule(rhoMin) };
  return {
    config: {
      method: "bilateral-sam",
      variant,
      rhoMax: radii.rhoMax.config,
      rhoMin: radii.rhoMin.config,
      base: base.base.config,
    },
    base: base.base,
    gradientEvaluations: 3,
    ...radii,
    direction: ({ parameters, first, evaluate, rhoMax: radiusMax, rhoMin: radiusMin }) => {
      const { loss, gradients: g } = first;
      const gradNorm = norm(g);
      const descended = addScaled(parameters, neg(divideOrZero(radiusMin, gradNorm)), g);
      const above = evaluate(addScaled(parameters, divideOrZero(radiusMax, gradNorm), g));
      const below = evaluate(descended);
      const [gradNormMax, gradNormMin] = [norm(above.gradients), norm(below.gradients)];
      const scale = divideOrZero(gradNormMax, gradNormMin);
      const correction = addScaled(g, neg(scale), below.gradients);
      const difference = above.gradients.map((value, index) => sub(value, below.gradients[index]));
      return {
        direction: above.gradients.map((value, index) => add(value, correction[index])),
        start: variant === "released" ? descended : parameters,
        diagnostics: {
          loss_max: above.loss,
          loss_min: below.loss,
          max_sharpness: sub(above.loss, loss),
          min_sharpness: sub(loss, below.loss),
          bilateral_sharpness: sub(above.loss, below.loss),
          grad_norm_max: gradNormMax,
          grad_norm_min: gradNormMin,
          scale,
          cos_grad_max: cosine(g, above.gradients, gradNorm, gradNormMax),
          cos_grad_min: cosine(g, below.gradients, gradNorm, gradNormMin),
          // uᵀHu ≈ u·(g⁺ − g⁻)/(ρ_max + ρ_min)
          curvature: divideOrZero(dot(g, difference), mul(gradNorm, add(radiusMax, radiusMin))),
          // Theorem 1's Z₁·τ = (1 − ς)/(1 + ς²), at most 0 whenever ς ≥ 1.
          theorem_one: div(sub(1, scale), add(1, mul(scale, scale))),
        },
      };
    },
  };
}
