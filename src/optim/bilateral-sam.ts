import { readOptions } from "../common/options.ts";
import type { Value } from "../graph/graph.ts";
import { add, div, divideOrZero, mul, neg, sub } from "../ops/arithmetic.ts";
import { type Direction, type DirectionContext, type Optimizer, overBase } from "./optimizer.ts";
import { ascentDiagnostics } from "./sam.ts";
import { proportionalToLearningRate, type Schedule, toSchedule } from "./schedules.ts";
import { addScaled, cosine, dot, norm } from "./vectors.ts";

export const bilateralSamVariants = ["paper", "released", "two-pass"] as const;
export type BilateralSamVariant = (typeof bilateralSamVariants)[number];

export const scaleOverChoices = ["all", "perturbed"] as const;
export type ScaleOver = (typeof scaleOverChoices)[number];

export interface BilateralSamOptions {
  /** Radius of the ascent ε⁺: a number, or a schedule. Default 0.05. */
  rhoMax?: number | Schedule;
  /** Radius of the descent ε⁻. Default: 0.05 at the highest learning rate, following it to 0. */
  rhoMin?: number | Schedule;
  /** `"paper"` (default), `"released"`: what the authors' code does, or `"two-pass"`: cheaper, the same to first order. */
  variant?: BilateralSamVariant;
  /** Measure the radii relative to each weight, as ASAM does. Default false. */
  adaptive?: boolean;
  /** The gradients that enter ς: of all parameters (default, as in the released code), or of the perturbed ones alone. */
  scaleOver?: ScaleOver;
}

/**
 * Bilateral sharpness-aware minimization (arXiv 2409.13173) over a base optimizer. It minimizes
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
 *
 * To first order d = g + (ρ_max + ρ_min)·(I − uuᵀ)·H·u: SAM's curvature correction less its part along the gradient.
 * `variant: "two-pass"` takes it from two gradients: with g_s at w + (ρ_max + ρ_min)·u, d = g + g_s − (‖g_s‖/‖g‖)·g.
 */
export function bilateralSam(base: Optimizer, options: BilateralSamOptions = {}): Optimizer {
  const {
    rhoMax = 0.05,
    rhoMin = proportionalToLearningRate(0.05),
    variant = "paper",
    adaptive = false,
    scaleOver = "all",
  } = readOptions("bilateralSam", options, {
    rhoMax: "any",
    rhoMin: "any",
    variant: bilateralSamVariants,
    adaptive: "boolean",
    scaleOver: scaleOverChoices,
  });
  const scalars = {
    rhoMax: toSchedule("bilateralSam: rhoMax", rhoMax),
    rhoMin: toSchedule("bilateralSam: rhoMin", rhoMin),
  };
  return overBase(
    base.base,
    // Written down only where it is not the default, so that records of earlier runs name the same optimizer.
    { method: "bilateral-sam", variant, scalars, adaptive, ...(scaleOver !== "all" && { scaleOver }) },
    variant === "two-pass"
      ? { gradientEvaluations: 2, direction: (context) => twoPasses(context, { adaptive, scaleOver }) }
      : {
          gradientEvaluations: 3,
          direction: (context) =>
            threePasses(context, { adaptive, scaleOver, released: variant === "released" }),
        },
  );
}

type Context = DirectionContext<"rhoMax" | "rhoMin">;

type Settings = Required<Pick<BilateralSamOptions, "adaptive" | "scaleOver">>;

/** The norm of gradients as ς takes it. */
function scaleNorm(gradients: readonly Value[], { perturbed }: Context, scaleOver: ScaleOver): Value {
  const chosen = scaleOver === "all" ? gradients : gradients.filter((_, index) => perturbed[index]);
  return chosen.length > 0 ? norm(chosen) : gradients[0].graph.scalar(0, gradients[0].type);
}

function threePasses(
  context: Context,
  { adaptive, scaleOver, released }: Settings & { released: boolean },
): Direction {
  const { parameters, first, evaluate, perturb, scalar } = context;
  const [rhoMax, rhoMin] = [scalar("rhoMax"), scalar("rhoMin")];
  const { loss, gradients: g } = first;
  const along = perturb(g, { adaptive });
  const descended = along.at(neg(rhoMin));
  const above = evaluate(along.at(rhoMax));
  const below = evaluate(descended);
  const [gradNorm, gradNormMax, gradNormMin] = [g, above.gradients, below.gradients].map(norm);
  const [scaleMax, scaleMin] = [above, below].map(({ gradients }) =>
    scaleNorm(gradients, context, scaleOver),
  );
  const scale = divideOrZero(scaleMax, scaleMin);
  const correction = addScaled(g, neg(scale), below.gradients);
  const difference = above.gradients.map((value, index) => sub(value, below.gradients[index]));
  return {
    direction: above.gradients.map((value, index) => add(value, correction[index])),
    start: released ? descended : parameters,
    diagnostics: {
      ...ascentDiagnostics(first, above, gradNormMax),
      loss_min: below.loss,
      min_sharpness: sub(loss, below.loss),
      bilateral_sharpness: sub(above.loss, below.loss),
      grad_norm_min: gradNormMin,
      scale,
      cos_grad_min: cosine(g, below.gradients, gradNorm, gradNormMin),
      // uᵀHu ≈ u·(g⁺ − g⁻)/(ρ_max + ρ_min), which the adaptive perturbation, not along u, does not give.
      ...(!adaptive && {
        curvature: divideOrZero(dot(g, difference), mul(gradNorm, add(rhoMax, rhoMin))),
      }),
      // Theorem 1's Z₁·τ = (1 − ς)/(1 + ς²), at most 0 whenever ς ≥ 1.
      theorem_one: div(sub(1, scale), add(1, mul(scale, scale))),
    },
  };
}

function twoPasses(context: Context, { adaptive, scaleOver }: Settings): Direction {
  const { first, evaluate, perturb, scalar } = context;
  const { gradients: g } = first;
  const above = evaluate(perturb(g, { adaptive }).at(add(scalar("rhoMax"), scalar("rhoMin"))));
  const gradNormMax = norm(above.gradients);
  const share = divideOrZero(
    scaleNorm(above.gradients, context, scaleOver),
    scaleNorm(g, context, scaleOver),
  );
  const sum = g.map((value, index) => add(value, above.gradients[index]));
  return {
    direction: addScaled(sum, neg(share), g),
    diagnostics: ascentDiagnostics(first, above, gradNormMax),
  };
}
