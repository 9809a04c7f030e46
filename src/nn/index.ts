// Layers by PyTorch's names and networks made of them; src/index.ts offers them as `nn`.
export { filledWith, type Initializer, kaimingNormal, normal, uniform } from "./initializers.ts";
export {
  adaptiveAveragePool,
  averagePool,
  type BatchNormOptions,
  batchNorm,
  type Conv2dOptions,
  type ConvTranspose2dOptions,
  conv2d,
  convTranspose2d,
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
} from "./layers.ts";
export {
  type EfficientnetOptions,
  efficientnetB0,
  type MobilenetOptions,
  mobilenetV2,
} from "./models/mobile.ts";
export { type PyramidnetOptions, pyramidnet } from "./models/pyramidnet.ts";
export { imagenetResnet, type ResnetDepth, resnet, resnet20 } from "./models/resnet.ts";
export {
  type SmallSimpleBaselineOptions,
  simpleBaseline,
  smallSimpleBaseline,
} from "./models/simple-baseline.ts";
export { cnn, lenet5, mlp } from "./models/small.ts";
export { smallVgg16Bn, type VggOptions, vgg16Bn } from "./models/vgg.ts";
export { type WideResnetOptions, wideResnet } from "./models/wide-resnet.ts";
export { createModel, type ModelShape, modelNames } from "./models.ts";
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
} from "./module.ts";
