import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import type { Value } from "../graph/graph.ts";
import { add, div, mul, sub } from "../ops/arithmetic.ts";
import { sign, sqrt } from "../ops/elementwise.ts";
import { type BaseUpdate, type Optimizer, plain } from "./optimizer.ts";
import { requireDecay, requireFraction } from "./sgd.ts";

export interface AdamOptions {
  /** β₁, of the running mean. Default 0.9. */
  beta1?: number;
  /** β₂, of the running mean of squares. Default 0.999. */
  beta2?: number;
  epsilon?: number;
  weightDecay?: number;
}

/**
 * Adam (Kingma & Ba 2015) as in PyTorch; weight decay is coupled (added to the direction as λ·w):
 *
 *   m ← β₁·m + (1 − β₁)·d;  v ← β₂·v + (1 − β₂)·d²;  w ← w − η·m̂/(√v̂ + ε).
 */
export function adam(options: AdamOptions = {}): Optimizer {
  return plain(adamUpdate("adam", options, 0));
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019) as in PyTorch: w ← w − η·λ·w first. λ = 0.01. */
export function adamw(options: AdamOptions = {}): Optimizer {
  return plain(adamUpdate("adamw", options, 0.01));
}

function adamUpdate(name: "adam" | "adamw", options: AdamOptions, defaultDecay: number): BaseUpdate {
  const kinds = { beta1: "number", beta2: "number", epsilon: "number", weightDecay: "number" } as const;
  const {
    beta1 = 0.9,
    beta2 = 0.999,
    epsilon = 1e-8,
    weightDecay = defaultDecay,
  } = readOptions(name, options, kinds);
  requireFraction("beta1", beta1);
  requireFraction("beta2", beta2);
  requireEpsilon(epsilon);
  requireDecay(weightDecay);
  return {
    config: { name, beta1, beta2, epsilon, weightDecay },
    state: ["mean", "square"],
    momentum: "mean",
    // 1 − βᵗ is the running mean of ones. Kept like m and v it needs no step count and loses no digits.
    sharedState: ["mean_weight", "square_weight"],
    updateShared: ([meanWeight, squareWeight]) => [
      runningMean(meanWeight, one(meanWeight), beta1),
      runningMean(squareWeight, one(squareWeight), beta2),
    ],
    update: ({ parameter, direction, state, sharedState, learningRate, decayFactor }) => {
      const decay = weightDecay * decayFactor;
      const coupled = name === "adam" && decay > 0 ? add(direction, mul(parameter, decay)) : direction;
      const start = name === "adamw" && decay > 0 ? decayed(parameter, learningRate, decay) : parameter;
      const mean = runningMean(state[0], coupled, beta1);
      const squares = runningMean(state[1], mul(coupled, coupled), beta2);
      const [meanWeight, squareWeight] = sharedState;
      const denominator = add(div(sqrt(squares), sqrt(squareWeight)), epsilon);
      return {
        parameter: sub(start, mul(div(mean, denominator), div(learningRate, meanWeight))),
        state: [mean, squares],
      };
    },
  };
}

export interface LionOptions {
  /** β₁, of the direction's blend. Default 0.9. */
  beta1?: number;
  /** β₂, of the kept momentum. Default 0.99. */
  beta2?: number;
  weightDecay?: number;
}

/**
 * Lion (Chen et al. 2023, arXiv 2302.06675), weight decay decoupled:
 *
 *   w ← w − η·(sign(β₁·m + (1 − β₁)·d) + λ·w);  m ← β₂·m + (1 − β₂)·d.
 */
export function lion(options: LionOptions = {}): Optimizer {
  const kinds = { beta1: "number", beta2: "number", weightDecay: "number" } as const;
  const { beta1 = 0.9, beta2 = 0.99, weightDecay = 0 } = readOptions("lion", options, kinds);
  requireFraction("beta1", beta1);
  requireFraction("beta2", beta2);
  requireDecay(weightDecay);
  return plain({
    config: { name: "lion", beta1, beta2, weightDecay },
    state: ["momentum"],
    momentum: "momentum",
    sharedState: [],
    updateShared: () => [],
    update: ({ parameter, direction, state: [momentum], learningRate, decayFactor }) => {
      const decay = weightDecay * decayFactor;
      const start = decay > 0 ? decayed(parameter, learningRate, decay) : parameter;
      return {
        parameter: sub(start, mul(sign(runningMean(momentum, direction, beta1)), learningRate)),
        state: [runningMean(momentum, direction, beta2)],
      };
    },
  });
}

export interface RmsPropOptions {
  /** Of the running mean of squares. Default 0.99. */
  alpha?: number;
  momentum?: number;
  epsilon?: number;
  weightDecay?: number;
}

/**
 * RMSProp as in PyTorch, weight decay coupled:
 *
 *   v ← α·v + (1 − α)·d²;  m ← μ·m + d/(√v + ε);  w ← w − η·m.
 */
export function rmsprop(options: RmsPropOptions = {}): Optimizer {
  const kinds = { alpha: "number", momentum: "number", epsilon: "number", weightDecay: "number" } as const;
  const {
    alpha = 0.99,
    momentum = 0,
    epsilon = 1e-8,
    weightDecay = 0,
  } = readOptions("rmsprop", options, kinds);
  requireFraction("alpha", alpha);
  requireFraction("momentum", momentum);
  requireEpsilon(epsilon);
  requireDecay(weightDecay);
  return plain({
    config: { name: "rmsprop", alpha, momentum, epsilon, weightDecay },
    state: momentum > 0 ? ["square", "momentum"] : ["square"],
    momentum: momentum > 0 ? "momentum" : undefined,
    sharedState: [],
    updateShared: () => [],
    update: ({ parameter, direction, state: [square, buffer], learningRate, decayFactor }) => {
      const decay = weightDecay * decayFactor;
      const coupled = decay > 0 ? add(direction, mul(parameter, decay)) : direction;
      const squares = runningMean(square, mul(coupled, coupled), alpha);
      const scaled = div(coupled, add(sqrt(squares), epsilon));
      const move = momentum > 0 ? add(mul(buffer, momentum), scaled) : scaled;
      return {
        parameter: sub(parameter, mul(move, learningRate)),
        state: momentum > 0 ? [squares, move] : [squares],
      };
    },
  });
}

/** β·old + (1 − β)·now. */
function runningMean(old: Value, now: Value, beta: number): Value {
  return add(mul(old, beta), mul(now, 1 - beta));
}

/** w·(1 − η·λ). */
function decayed(parameter: Value, learningRate: Value, weightDecay: number): Value {
  return sub(parameter, mul(parameter, mul(learningRate, weightDecay)));
}

function one(like: Value): Value {
  return like.graph.scalar(1, like.type);
}

function requireEpsilon(epsilon: number): void {
  if (!(epsilon > 0 && Number.isFinite(epsilon))) {
    throw new UserError(`epsilon is ${epsilon}; it has to be above 0`);
  }
}
