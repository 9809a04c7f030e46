// Training: from data to a run folder and an ONNX model.

// The compiler: graphs, operators, derivatives, whole training steps, and the engine that runs them.
export { gradients, hessianVectorProduct } from "./autodiff/gradients.ts";
export { UserError } from "./common/errors.ts";
export { type DatasetPair, type ImageDataset, loadDataset } from "./data/dataset.ts";
export { sharpnessGraph } from "./flatness/sharpness.ts";
export { tensorData } from "./graph/constants.ts";
export { Graph, type Node, type Shape, type TensorType, type Value } from "./graph/graph.ts";
export { compile } from "./lower/compile.ts";
// Networks: layers by PyTorch's names, and models made of them.
// Networks: layers by PyTorch's names, and models made of them.
export {
  averagePool,
  averagePool,
  type BatchNormOptions,
  type BatchNormOptions,
  batchNorm,
  batchNorm,
  type Conv2dOptions,
  type Conv2dOptions,
  conv2d,
  conv2d,
  flatten,
  flatten,
  gelu,
  gelu,
  globalAveragePool,
  globalAveragePool,
  linear,
  linear,
  maxPool,
  maxPool,
  relu,
  relu,
  residual,
  residual,
  sequential,
  sequential,
  silu,
  silu,
  tanh,
  tanh,
} from "./nn/layers.ts";
export {
  cnn,
  cnn,
  createModel,
  createModel,
  lenet5,
  lenet5,
  type ModelShape,
  type ModelShape,
  mlp,
  mlp,
  modelNames,
  modelNames,
  resnet20,
  resnet20,
} from "./nn/models.ts";
export {
  type BufferInfo,
  type BufferInfo,
  type BuildOptions,
  type BuildOptions,
  buildModel,
  buildModel,
  initialTensors,
  initialTensors,
  type Layer,
  type Layer,
  type Model,
  type Model,
  type ParameterInfo,
  type ParameterInfo,
  parameterCount,
  parameterCount,
  type Scope,
  type Scope,
} from "./nn/module.ts";
export { readModel, readModel, writeModel, writeModel } from "./onnx/model.ts";
export type { DataType, DataType, TensorData, TensorData } from "./onnx/tensor.ts";
export * as ops from "./ops/index.ts";
export * as ops from "./ops/index.ts";
// Optimizers: a direction over a base update, schedules, and what can be set beside the method.
export {
  type AdamOptions,
  adam,
  adamw,
  type LionOptions,
  lion,
  type RmsPropOptions,
  rmsprop,
} from "./optim/adam.ts";
// Optimizers: a direction over a base update, and schedules.
export {
  type BilateralSamOptions,
  type BilateralSamOptions,
  type BilateralSamVariant,
  type BilateralSamVariant,
  bilateralSam,
  bilateralSam,
} from "./optim/bilateral-sam.ts";
export { every, reuse, startingAt } from "./optim/cheaper.ts";
export type {
  BaseUpdate,
  BaseUpdate,
  Direction,
  Direction,
  DirectionContext,
  DirectionContext,
  Optimizer,
  Optimizer,
  OptimizerConfig,
  StepRule,
} from "./optim/optimizer.ts";
export {
  type ParameterGroup,
  type ParameterKind,
  type ParameterSettings,
  type Perturb,
  resolveGroups,
} from "./optim/parameter-groups.ts";
export {
  asam,
  type GsamOptions,
  gsam,
  momentumSam,
  type SamOptions,
  type SamOptions,
  sam,
  sam,
} from "./optim/sam.ts";
export {
  constant,
  constant,
  constantRate,
  constantRate,
  cosine,
  cosine,
  type LearningRateSchedule,
  type LearningRateSchedule,
  linear as linearRate,
  polynomial,
  proportionalToLearningRate,
  proportionalToLearningRate,
  type Schedule,
  type Schedule,
  stepDecay,
  stepDecay,
  warmUp,
  warmUp,
} from "./optim/schedules.ts";
export { type SgdOptions, type SgdOptions, sgd, sgd } from "./optim/sgd.ts";
export { initialState } from "./optim/state.ts";
export { type Objective, type TrainingStepOptions, trainingStep } from "./optim/training-step.ts";
export type { Engine, RunOptions, Tensors } from "./runtime/engine.ts";
export { type EngineOptions, openEngine } from "./runtime/remote.ts";
export { type EvaluateOptions, type Evaluation, evaluateModel } from "./tasks/evaluate.ts";
export type { RunHooks, RunResult } from "./tasks/run.ts";
export { type TrainOptions, train } from "./tasks/train.ts";
export { NonFiniteError } from "./train/loop.ts";
export type { EpochRecord, RunSummary, SharpnessRecord, StepRecord } from "./train/records.ts";
