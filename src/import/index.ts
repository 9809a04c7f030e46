// ONNX models as graphs to train; src/index.ts offers them as `onnx`.
export { readModel, writeModel } from "../onnx/model.ts";
export { type FromOnnxOptions, fromOnnx, type ImportedGraph } from "./from-onnx.ts";
export { findHead, type Head, replaceHead } from "./head.ts";
export { type ModelLayerOptions, modelLayer } from "./layer.ts";
export {
  type ImportedNetwork,
  type LoadModelOptions,
  loadModel,
  objectiveOf,
  type TrainableModel,
} from "./load.ts";
export type { ImportedParameter } from "./parameter.ts";
