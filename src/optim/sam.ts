import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import type { Value } from "../graph/graph.ts";
import { divideOrZero, mul, neg, sub } from "../ops/arithmetic.ts";
import { type Evaluation, type Optimizer, overBase } from "./optimizer.ts";
import { type Schedule, toSchedule } from "./schedules.ts";
import { addScaled, cosine, dot, norm } from "./vectors.ts";

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
export function sam(base: Optimizer, options: SamOptions = {}): Optimizer {
  const { rho = 0.05 } = readOptions("sam", options, { rho: "any" });
  return ascending("sam", base, rho, {}, false, ({ above }) => above.gradients);
}

/**
 * Adaptive SAM (Kwon et al. 2021, arXiv 2102.11600): the radius is measured relative to each weight, so that
 * rescaling two layers against each other changes nothing. Its radii are some ten times SAM's: default 0.5.
 */
export function asam(base: Optimizer, options: SamOptions = {}): Optimizer {
  const { rho = 0.5 } = readOptions("asam", options, { rho: "any" });
  return ascending("asam", base, rho, {}, true, ({ above }) => above.gradients);
}

export interface GsamOptions extends SamOptions {
  /** How much of the part of g orthogonal to g⁺ is taken off. Default 0.4. */
  alpha?: number;
}

/**
 * Surrogate gap guided SAM (Zhuang et al. 2022, arXiv 2203.08065): d = g⁺ − α·(g − ⟨g, ĝ⁺⟩·ĝ⁺) with ĝ⁺ = g⁺/‖g⁺‖.
 * Besides the perturbed loss it descends on the gap to the loss itself, without slowing the former to first order.
 */
export function gsam(base: Optimizer, options: GsamOptions = {}): Optimizer {
  const { rho = 0.05, alpha = 0.4 } = readOptions("gsam", options, { rho: "any", alpha: "number" });
  if (!(alpha >= 0 && Number.isFinite(alpha)))
    throw new UserError(`alpha is ${alpha}; it has to be 0 or more`);
  return ascending("gsam", base, rho, { alpha }, false, ({ first: { gradients: g }, above }) => {
    // Both products of the same kind, so that at ρ = 0, where g⁺ = g, the quotient is 1 to the last bit.
    const along = divideOrZero(dot(g, above.gradients), dot(above.gradients, above.gradients));
    const orthogonal = addScaled(g, neg(along), above.gradients);
    return above.gradients.map((value, index) => sub(value, mul(orthogonal[index], alpha)));
  });
}

/**
 * Momentum-SAM (Becker et al. 2024, arXiv 2401.12033): the perturbation goes along the momentum of the base optimizer,
 * w + ρ·m/‖m‖, so a step needs one gradient evaluation only. The base has to keep a momentum.
 * Its loss is that at the perturbed weights.
 */
export function momentumSam(base: Optimizer, options: SamOptions = {}): Optimizer {
  const { rho = 0.3 } = readOptions("momentumSam", options, { rho: "any" });
  const { momentum } = base.base;
  if (momentum === undefined) {
    throw new UserError(
      `momentum-sam needs a base optimizer with a momentum; ${base.config.method} keeps none`,
    );
  }
  return overBase(
    base.base,
    { method: "momentum-sam", scalars: { rho: toSchedule("momentumSam: rho", rho) } },
    {
      gradientEvaluations: 1,
      firstAt: ({ perturb, state, scalar }) => perturb(state(momentum)).at(scalar("rho")),
      direction: ({ first }) => ({ direction: first.gradients, diagnostics: {} }),
    },
  );
}

interface Ascent {
  first: Evaluation;
  above: Evaluation;
}

/** The methods that take a second gradient uphill and make a direction of the two. */
function ascending(
  method: string,
  base: Optimizer,
  rho: number | Schedule,
  settings: Readonly<Record<string, number>>,
  adaptive: boolean,
  direction: (ascent: Ascent) => readonly Value[],
): Optimizer {
  return overBase(
    base.base,
    { method, scalars: { rho: toSchedule(`${method}: rho`, rho) }, ...settings },
    {
      gradientEvaluations: 2,
      direction: ({ first, evaluate, perturb, scalar }) => {
        const above = evaluate(perturb(first.gradients, { adaptive }).at(scalar("rho")));
        const normMax = norm(above.gradients);
        return {
          direction: direction({ first, above }),
          diagnostics: ascentDiagnostics(first, above, normMax),
        };
      },
    },
  );
}

/** What the pass uphill tells: L⁺, MaxS, ‖g⁺‖ and cos(g, g⁺). */
export function ascentDiagnostics(first: Evaluation, above: Evaluation, normMax: Value) {
  return {
    loss_max: above.loss,
    max_sharpness: sub(above.loss, first.loss),
    grad_norm_max: normMax,
    cos_grad_max: cosine(first.gradients, above.gradients, norm(first.gradients), normMax),
  };
}
