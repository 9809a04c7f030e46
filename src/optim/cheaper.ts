import { UserError } from "../common/errors.ts";
import { add, divideOrZero, mul, neg } from "../ops/arithmetic.ts";
import type { Direction, DirectionContext, Optimizer, StepRule } from "./optimizer.ts";
import { addScaled, dot, norm } from "./vectors.ts";

// Making any flatness-aware method cheaper by doing all of it at some steps only.

/** The whole method at every k-th step (the first included), the base update alone between. */
export function every(optimizer: Optimizer, k: number): Optimizer {
  requireWhole("every", k);
  return {
    ...optimizer,
    config: { ...optimizer.config, every: k },
    steps: withBaseSteps(optimizer, `step % ${k} == 0`, `not (step % ${k} == 0)`),
    stepAt: (progress) => (progress.step % k === 0 ? optimizer.stepAt(progress) : "base"),
  };
}

/** The base update alone for the first part of training (a share from 0 to 1), the method after that. */
export function startingAt(optimizer: Optimizer, share: number): Optimizer {
  if (!(share >= 0 && share <= 1)) throw new UserError(`from is ${share}; it has to be from 0 to 1`);
  return {
    ...optimizer,
    config: { ...optimizer.config, from: share },
    steps: withBaseSteps(optimizer, `step >= ${share} * total_steps`, `step < ${share} * total_steps`),
    stepAt: (progress) => (progress.step < share * progress.totalSteps ? "base" : optimizer.stepAt(progress)),
  };
}

/**
 * The whole method at every k-th step. Between, its direction is put together from a fresh gradient g and the part v
 * of the last whole direction that was orthogonal to its gradient: d = g + r·(‖g‖/‖v‖)·v, where r = ‖v‖/‖g‖ as it was
 * then. As LookSAM (Liu et al. 2022, arXiv 2203.02714) does for SAM, which sets r by hand; here over the whole vector
 * of parameters.
 */
export function reuse(optimizer: Optimizer, k: number): Optimizer {
  requireWhole("reuse", k);
  const [name] = Object.keys(optimizer.steps);
  const whole = optimizer.steps[name];
  if (Object.keys(optimizer.steps).length > 1) {
    throw new UserError(`reuse takes a method itself, not ${JSON.stringify(optimizer.config)}`);
  }
  return {
    ...optimizer,
    config: { ...optimizer.config, reuse: k },
    state: [...optimizer.state, "orthogonal"],
    steps: {
      [name]: {
        ...whole,
        when: `step % ${k} == 0`,
        direction: (context) => keepOrthogonal(context, whole.direction(context)),
      },
      reused: { gradientEvaluations: 1, when: `step % ${k} != 0`, direction: reuseOrthogonal },
    },
    stepAt: (progress) => (progress.step % k === 0 ? name : "reused"),
  };
}

const baseStep: StepRule = {
  gradientEvaluations: 1,
  direction: ({ first }) => ({ direction: first.gradients, diagnostics: {} }),
};

/** An optimizer's kinds of step where a condition holds, and the base update alone elsewhere. */
function withBaseSteps({ steps }: Optimizer, where: string, elsewhere: string): Optimizer["steps"] {
  const { base, ...whole } = steps;
  const restricted = Object.entries(whole).map(([kind, rule]) => [
    kind,
    { ...rule, when: rule.when === undefined ? where : `${where} and ${rule.when}` },
  ]);
  const when = base === undefined ? elsewhere : `${elsewhere} or ${base.when}`;
  return { ...Object.fromEntries(restricted), base: { ...baseStep, when } };
}

/** Keeps v/‖g‖, which is all that is needed of v and g later. */
function keepOrthogonal({ first: { gradients: g } }: DirectionContext, made: Direction): Direction {
  const gradNorm = norm(g);
  const along = divideOrZero(dot(made.direction, g), mul(gradNorm, gradNorm));
  const orthogonal = addScaled(made.direction, neg(along), g);
  const inverse = divideOrZero(gradNorm.graph.scalar(1, gradNorm.type), gradNorm);
  return { ...made, state: { ...made.state, orthogonal: orthogonal.map((value) => mul(value, inverse)) } };
}

function reuseOrthogonal({ first: { gradients: g }, state }: DirectionContext): Direction {
  const gradNorm = norm(g);
  const kept = state("orthogonal");
  return { direction: g.map((value, index) => add(value, mul(kept[index], gradNorm))), diagnostics: {} };
}

function requireWhole(what: string, k: number): void {
  if (!(Number.isInteger(k) && k >= 1))
    throw new UserError(`${what} is ${k}; it has to be a whole number of 1 or more`);
}
