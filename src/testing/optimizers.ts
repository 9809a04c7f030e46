import { adam, adamw, lion, rmsprop } from "../optim/adam.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { reuse } from "../optim/cheaper.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { sgd } from "../optim/sgd.ts";
import { methodNames, methodOver } from "../runs/optimizer-settings.ts";
import { cases } from "./extent.ts";

// Every base update and every direction, for tests of what holds for all of them.

export const bases: Record<string, () => Optimizer> = {
  "sgd plain": () => sgd(),
  "sgd momentum": () => sgd({ momentum: 0.9 }),
  "sgd nesterov": () => sgd({ momentum: 0.9, nesterov: true }),
  "sgd weight decay": () => sgd({ momentum: 0.9, weightDecay: 0.01 }),
  adam: () => adam({ weightDecay: 0.01 }),
  adamw: () => adamw(),
  lion: () => lion({ weightDecay: 0.01 }),
  rmsprop: () => rmsprop({ momentum: 0.9, weightDecay: 0.01 }),
};

export const methods: Record<string, (base: Optimizer) => Optimizer> = {
  plain: (base) => base,
  ...Object.fromEntries(methodNames.map((name) => [name, (base: Optimizer) => methodOver(name, base)])),
  "bilateral-sam adaptive": (base) => bilateralSam(base, { adaptive: true }),
  "bilateral-sam two-pass": (base) => bilateralSam(base, { variant: "two-pass" }),
  "bilateral-sam reuse": (base) => reuse(bilateralSam(base), 4),
  "bilateral-sam reused step": (base) => alone("reused", reuse(bilateralSam(base), 4)),
  "bilateral-sam released": (base) => bilateralSam(base, { variant: "released" }),
};

/** One kind of an optimizer's steps as an optimizer of its own. */
function alone(kind: string, optimizer: Optimizer): Optimizer {
  return { ...optimizer, steps: { [kind]: optimizer.steps[kind] }, stepAt: () => kind };
}

export interface Pair {
  method: string;
  base: string;
  /** The base's place in its list, to let cases take turns. */
  turn: number;
  optimizer: () => Optimizer;
  plain: () => Optimizer;
}

/** Every method over every base it goes over: momentum-SAM needs a momentum. */
const allPairs: readonly Pair[] = Object.entries(methods).flatMap(([method, withBase]) =>
  Object.entries(bases).flatMap(([name, base], turn) =>
    method === "momentum-sam" && name === "sgd plain"
      ? []
      : [{ method, base: name, turn, optimizer: () => withBase(base()), plain: base }],
  ),
);

/** In the quick suite each method but the plain one goes over two of the bases, in turn. */
export const pairs: readonly Pair[] = allPairs.filter(
  ({ method, turn }) =>
    method === "plain" || cases(turn % 4 === Object.keys(methods).indexOf(method) % 4, true),
);
