// Training: from data to a run folder and an ONNX model.

// The compiler: graphs, operators, derivatives, and the engine that runs them.
export { gradients, hessianVectorProduct } from "./autodiff/gradients.ts";
export { UserError } from "./common/errors.ts";
export { FileError } from "./common/files.ts";
export { loadDataset } from "./data/catalogue.ts";
export type { ImageArrays } from "./data/image-arrays.ts";
export {
  type ClassSample,
  type DataSource,
  type DatasetPair,
  type ImageClasses,
  type ImageClassesDescription,
  imageClasses,
  type Sample,
} from "./data/source.ts";
// The flatness laboratory: sharpness, curvature and landscapes of a loss.
export * as flatness from "./flatness/index.ts";
export { sharpnessGraph } from "./flatness/sharpness.ts";
export { Graph, type Node, type Shape, type TensorType, type Value } from "./graph/graph.ts";
// Any ONNX model, to train.
export { type FromOnnxOptions, fromOnnx, type ImportedGraph } from "./import/from-onnx.ts";
export { findHead, type Head, replaceHead } from "./import/head.ts";
export { type ModelLayerOptions, modelLayer } from "./import/layer.ts";
export {
  type ImportedNetwork,
  type LoadModelOptions,
  loadModel,
  objectiveOf,
  type TrainableModel,
} from "./import/load.ts";
export type { ImportedParameter } from "./import/parameter.ts";
export type { Target } from "./lower/blocked.ts";
export { type CompileOptions, compile } from "./lower/compile.ts";
export { type EvaluateOptions, type Evaluation, evaluateModel } from "./model-files/evaluate.ts";
export {
  type ExportedStep,
  type ExportStepOptions,
  exportStep,
  type StepDescription,
  type StepInput,
  type StepKindDescription,
  type StepOutput,
  writeExportedStep,
} from "./model-files/exported-step.ts";
export {
  type Blocker,
  inspectModel,
  type ModelDescription,
  type ParameterDescription,
  type TensorDescription,
  type TrainingDescription,
} from "./model-files/inspect.ts";
export {
  type ClassProbability,
  type PicturePrediction,
  type PredictOptions,
  predictPictures,
} from "./model-files/predict.ts";
// Networks: layers by PyTorch's names, and models made of them.
export { filledWith, type Initializer, kaimingNormal, normal, uniform } from "./nn/initializers.ts";
export {
  adaptiveAveragePool,
  averagePool,
  type BatchNormOptions,
  batchNorm,
  type Conv2dOptions,
  conv2d,
  dropout,
  flatten,
  gelu,
  globalAveragePool,
  type InitializerOptions,
  linear,
  maxPool,
  padChannels,
  relu,
  relu6,
  residual,
  residualSum,
  sequential,
  sigmoid,
  silu,
  squeezeExcitation,
  stochasticDepth,
  tanh,
} from "./nn/layers.ts";
export {
  type EfficientnetOptions,
  efficientnetB0,
  type MobilenetOptions,
  mobilenetV2,
} from "./nn/models/mobile.ts";
export { type PyramidnetOptions, pyramidnet } from "./nn/models/pyramidnet.ts";
export { imagenetResnet, type ResnetDepth, resnet, resnet20 } from "./nn/models/resnet.ts";
export { cnn, lenet5, mlp } from "./nn/models/small.ts";
export { smallVgg16Bn, type VggOptions, vgg16Bn } from "./nn/models/vgg.ts";
export { type WideResnetOptions, wideResnet } from "./nn/models/wide-resnet.ts";
export { createModel, type ModelShape, modelNames } from "./nn/models.ts";
export {
  type BufferInfo,
  type BuildOptions,
  buildModel,
  drawRandomInputs,
  initialTensors,
  type Layer,
  type Model,
  type ParameterInfo,
  parameterCount,
  type Scope,
} from "./nn/module.ts";
export { readModel, writeModel } from "./onnx/model.ts";
export type { DataType, TensorData } from "./onnx/tensor.ts";
export { tensorData } from "./onnx/tensor-data.ts";
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
export { type BilateralSamOptions, type BilateralSamVariant, bilateralSam } from "./optim/bilateral-sam.ts";
export { every, reuse, startingAt } from "./optim/cheaper.ts";
export type {
  BaseUpdate,
  Direction,
  DirectionContext,
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
export { asam, type GsamOptions, gsam, momentumSam, type SamOptions, sam } from "./optim/sam.ts";
export {
  constant,
  constantRate,
  cosine,
  type LearningRateSchedule,
  linear as linearRate,
  polynomial,
  proportionalToLearningRate,
  type Schedule,
  stepDecay,
  warmUp,
} from "./optim/schedules.ts";
export { type SgdOptions, sgd } from "./optim/sgd.ts";
export { initialState } from "./optim/state.ts";
export { type Objective, type TrainingStepOptions, trainingStep } from "./optim/training-step.ts";
// Pictures of what the laboratory measured.
export { type WrittenFigures, writeMeasurementFigures } from "./report/figures/write.ts";
export type { RunHooks, RunResult } from "./runs/run.ts";
export { type TrainOptions, train } from "./runs/train.ts";
export type { Engine, RunOptions, Tensors } from "./runtime/engine.ts";
export { type EngineOptions, openEngine } from "./runtime/remote.ts";
export { type ClassificationSurfaceOptions, classificationSurface } from "./tasks/classification-surface.ts";
export { NonFiniteError } from "./train/loop.ts";
export type { EpochRecord, RunSummary, SharpnessRecord, StepRecord } from "./train/records.ts";
// Weights by PyTorch's names, in its file format.
export { readSafetensors, type SafetensorsFile, writeSafetensors } from "./weights/safetensors.ts";
export { matchStateDict, type NamedShape, type StateDictOptions, stateDict } from "./weights/state-dict.ts";
