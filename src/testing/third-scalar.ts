import { add, divideOrZero, mul, neg } from "../ops/arithmetic.ts";
import { type Optimizer, overBase } from "../optim/optimizer.ts";
import { ascentDiagnostics } from "../optim/sam.ts";
import { constant, proportionalToLearningRate, type Schedule } from "../optim/schedules.ts";
import { addScaled, norm } from "../optim/vectors.ts";

// A method of somebody's, with a scalar that no other method has: all that there is of it stands here.

/** From SAM to bilateral SAM over training: d = g⁺ + β·(g − ς·g⁻). With β = 0 it is SAM, with β = 1 bilateral SAM. */
export function blendedSam(base: Optimizer, blendShare: Schedule = rising): Optimizer {
  const scalars = { rhoMax: constant(0.05), rhoMin: proportionalToLearningRate(0.05), blendShare };
  return overBase(
    base.base,
    { method: "blended-sam", scalars },
    {
      gradientEvaluations: 3,
      direction: ({ first, evaluate, perturb, scalar }) => {
        const along = perturb(first.gradients);
        const above = evaluate(along.at(scalar("rhoMax")));
        const below = evaluate(along.at(neg(scalar("rhoMin"))));
        const scale = divideOrZero(norm(above.gradients), norm(below.gradients));
        const correction = addScaled(first.gradients, neg(scale), below.gradients);
        return {
          direction: above.gradients.map((value, index) =>
            add(value, mul(correction[index], scalar("blendShare"))),
          ),
          diagnostics: ascentDiagnostics(first, above, norm(above.gradients)),
        };
      },
    },
  );
}

/** From 0 to 1 in a straight line. */
export const rising: Schedule = {
  config: { name: "rising" },
  at: ({ step, totalSteps }) => step / totalSteps,
};
