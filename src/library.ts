// What the library is in Node and in pages; index.ts and index.web.ts add what only one of them has.

// Training: from data to a run folder and an ONNX model.
export { UserError } from "./common/errors.ts";
export { FileError } from "./common/file-errors.ts";
export { loadDataset } from "./data/catalogue.ts";
export type { ImageArrays } from "./data/image-arrays.ts";
export {
  type ImagesFromFilesOptions,
  imagesFromFiles,
  type PictureFile,
  type PictureFolder,
  type PlacedPicture,
} from "./data/images-from-files.ts";
export { type ImageMasks, imageMasks, type MaskArrays, type MaskSample } from "./data/masks.ts";
export {
  type ClassSample,
  type DataSource,
  type DatasetPair,
  type ImageClasses,
  type ImageClassesDescription,
  imageClasses,
  type Sample,
} from "./data/source.ts";
export type { RunResult } from "./runs/run.ts";
export type { EpochNetwork, RunHooks } from "./runs/run-request.ts";
export { type TrainOptions, train } from "./runs/train.ts";
export type { DetailMatrix, DetailSamples, Details, DetailTable, Picture } from "./tasks/details.ts";
export { DeviceError, type DeviceRecord } from "./runtime/proving-engine.ts";
export { NonFiniteError } from "./train/loop.ts";
export type { EpochRecord, RunSummary, SharpnessRecord, StepRecord } from "./train/records.ts";

// A task of your own, for `train`: how samples become rows, what is minimized, what is measured.
export { pixelRow, type StoredImages, storedImages } from "./tasks/image-input.ts";
export type {
  DataPair,
  Evaluation as TaskEvaluation,
  Metric,
  OpenedTask,
  Targets,
  Task,
  TaskKind,
  TaskOutput,
} from "./tasks/task.ts";
export type { LossInfo, MetricInfo, TaskRecord } from "./train/task-record.ts";

// What training is made of. The optimizers of the first example stand here too.
export * as nn from "./nn/index.ts";
export { bilateralSam } from "./optim/bilateral-sam.ts";
export * as optim from "./optim/index.ts";
export { sam } from "./optim/sam.ts";
export * as schedules from "./optim/schedules.ts";
export { sgd } from "./optim/sgd.ts";

// Models as files: evaluated, described, trained elsewhere.
export * as onnx from "./import/index.ts";
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
export {
  type ClassShare,
  type MaskPrediction,
  type PictureMask,
  predictMasks,
} from "./model-files/predict-masks.ts";
export * as quantization from "./quantization/index.ts";
export * as weights from "./weights/index.ts";

// Flatness: sharpness, curvature and landscapes of a loss.
export * as flatness from "./flatness/index.ts";
export { sharpnessGraph } from "./flatness/sharpness.ts";
export { type ClassificationSurfaceOptions, classificationSurface } from "./tasks/classification-surface.ts";

// The compiler: graphs, operators, derivatives, and the engine that runs them.
export { gradients, hessianVectorProduct } from "./autodiff/gradients.ts";
export { Graph, type Node, type Shape, type TensorType, type Value } from "./graph/graph.ts";
export type { Device, Target } from "./lower/target.ts";
export { type CompileOptions, compile } from "./lower/compile.ts";
export type { DataType, TensorData } from "./onnx/tensor.ts";
export { tensorData } from "./onnx/tensor-data.ts";
export * as ops from "./ops.ts";
export type { Engine, RunOptions, Tensors } from "./runtime/engine.ts";
export type { EngineOptions } from "./runtime/engine.ts";
export { openEngine } from "#platform";
