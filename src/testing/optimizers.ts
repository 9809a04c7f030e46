import { adam, adamw, lion, rmsprop } from "../optim/adam.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { reuse } from "../optim/cheaper.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { asam, gsam, sam } from "../optim/sam.ts";
import { sgd } from "../optim/sgd.ts";

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
  sam: (base) => sam(base),
  asam: (base) => asam(base),
  gsam: (base) => gsam(base),
  "bilateral-sam": (base) => bilateralSam(base),
  "bilateral-sam adaptive": (base) => bilateralSam(base, { adaptive: true }),
  "bilateral-sam two-pass": (base) => bilateralSam(base, { variant: "two-pass" }),
  "bilateral-sam reuse": (base) => reuse(bilateralSam(base), 4),
  "bilateral-sam released": (base) => bilateralSam(base, { variant: "released" }),
};
