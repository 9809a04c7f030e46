// Optimizers: a direction over a base update, and the training step that they make; src/index.ts offers them as `optim`.
export {
  type AdamOptions,
  adam,
  adamw,
  type LionOptions,
  lion,
  type RmsPropOptions,
  rmsprop,
} from "./adam.ts";
export { type BilateralSamOptions, type BilateralSamVariant, bilateralSam } from "./bilateral-sam.ts";
export { every, reuse, startingAt } from "./cheaper.ts";
export type {
  BaseUpdate,
  Direction,
  DirectionContext,
  Optimizer,
  OptimizerConfig,
  StepRule,
} from "./optimizer.ts";
export {
  type ParameterGroup,
  type ParameterKind,
  type ParameterSettings,
  type Perturb,
  resolveGroups,
} from "./parameter-groups.ts";
export { asam, type GsamOptions, gsam, momentumSam, type SamOptions, sam } from "./sam.ts";
export { type SgdOptions, sgd } from "./sgd.ts";
export { initialState } from "./state.ts";
export { type Objective, type TrainingStepOptions, trainingStep } from "./training-step.ts";
