import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { type BaseUpdate, type Optimizer, plain } from "./optimizer.ts";

export interface SgdOptions {
  /** μ. Default 0. */
  momentum?: number;
  /** Look ahead along the momentum (needs momentum above 0). Default false. */
  nesterov?: boolean;
  /** λ, coupled: added to the direction as λ·w. Default 0. */
  weightDecay?: number;
}

/**
 * Stochastic gradient descent as in PyTorch, alone or as the base update of another optimizer:
 *
 *   d ← d + λ·w;  m ← μ·m + d;  w ← w − η·m,  or with Nesterov  w ← w − η·(d + μ·m).
 */
export function sgd(options: SgdOptions = {}): Optimizer {
  const kinds = { momentum: "number", nesterov: "boolean", weightDecay: "number" } as const;
  const { momentum = 0, nesterov = false, weightDecay = 0 } = readOptions("sgd", options, kinds);
  requireFraction("momentum", momentum);
  requireDecay(weightDecay);
  if (nesterov && momentum === 0) throw new UserError("nesterov needs a momentum above 0");
  const base: BaseUpdate = {
    config: { name: "sgd", momentum, nesterov, weightDecay },
    state: momentum > 0 ? ["momentum"] : [],
    momentum: momentum > 0 ? "momentum" : undefined,
    sharedState: [],
    updateShared: () => [],
    update: ({ parameter, direction, state: [buffer], learningRate, decayFactor }) => {
      const decay = weightDecay * decayFactor;
      const decayed = decay > 0 ? add(direction, mul(parameter, decay)) : direction;
      const next = momentum > 0 ? add(mul(buffer, momentum), decayed) : decayed;
      const move = nesterov ? add(decayed, mul(next, momentum)) : next;
      return {
        parameter: sub(parameter, mul(move, learningRate)),
        state: momentum > 0 ? [next] : [],
      };
    },
  };
  return plain(base);
}

/** Throws unless a setting is at least 0 and below 1. */
export function requireFraction(what: string, value: number): void {
  if (!(value >= 0 && value < 1)) {
    throw new UserError(`${what} is ${value}; it has to be at least 0 and below 1`);
  }
}

export function requireDecay(weightDecay: number): void {
  if (!(weightDecay >= 0 && Number.isFinite(weightDecay))) {
    throw new UserError(`weightDecay is ${weightDecay}; it has to be 0 or more`);
  }
}
