// Every operator one can build a graph with; src/library.ts offers them as `ops`.

export { celu, geluTanh, mish, prelu, selu, softsign } from "./ops/activations.ts";
export { add, addAll, div, mul, neg, pow, reciprocal, square, sub } from "./ops/arithmetic.ts";
export { type AttentionOptions, attention, rotaryEmbedding } from "./ops/attention.ts";
export {
  and,
  equal,
  greater,
  greaterOrEqual,
  isInf,
  isNan,
  less,
  lessOrEqual,
  not,
  or,
  where,
  xor,
} from "./ops/comparison.ts";
export { type ConvolutionOptions, conv } from "./ops/convolution.ts";
export { type DeformableOptions, deformConv } from "./ops/deformable-convolution.ts";
export { det } from "./ops/determinant.ts";
export { einsum } from "./ops/einsum.ts";
export {
  abs,
  cast,
  ceil,
  clip,
  cos,
  elu,
  erf,
  exp,
  floor,
  gelu,
  hardSigmoid,
  hardSwish,
  identity,
  leakyRelu,
  log,
  relu,
  round,
  sigmoid,
  sign,
  silu,
  sin,
  softplus,
  sqrt,
  tanh,
} from "./ops/elementwise.ts";
export { affineGrid, gridSample } from "./ops/grid-sample.ts";
export { gather, gatherElements, oneHot, reverseSequence, scatterAdd, topK } from "./ops/indexing.ts";
export type { Interpolation } from "./ops/interpolation.ts";
export { cumulativeSum, depthToSpace, spaceToDepth, split, tile, triangle } from "./ops/layout.ts";
export { type LikelihoodOptions, negativeLogLikelihood } from "./ops/likelihood.ts";
export { gemm, linear, matMul, transposeLast } from "./ops/linear.ts";
export { type CrossEntropyOptions, type LabelSmoothingKind, softmaxCrossEntropy } from "./ops/losses.ts";
export { concat, expand, flatten, reshape, transpose, zeros } from "./ops/movement.ts";
export { batchNormInference, batchNormTraining } from "./ops/normalization.ts";
export { type PadMode, pad } from "./ops/padding.ts";
export {
  averagePool,
  globalAveragePool,
  globalMaxPool,
  maxPool,
  maxUnpool,
  type PoolOptions,
} from "./ops/pooling.ts";
export { fakeQuantize, learnedQuantize } from "./ops/quantization.ts";
export { type RecurrentOptions, type RecurrentWeights, recurrentLayer } from "./ops/recurrent.ts";
export {
  argMax,
  argMin,
  reduceL1,
  reduceL2,
  reduceLogSum,
  reduceLogSumExp,
  reduceMax,
  reduceMean,
  reduceMin,
  reduceProd,
  reduceSum,
  reduceSumSquare,
} from "./ops/reduction.ts";
export { enlarge, type ResizeOptions, resize } from "./ops/resize.ts";
export { type RoiAlignOptions, roiAlign } from "./ops/roi-align.ts";
export { insertZeros, reverse, type SliceRange, slice } from "./ops/slicing.ts";
export { logSoftmax, softmax } from "./ops/softmax.ts";
export { groupNorm, instanceNorm, layerNorm, rmsNorm } from "./ops/statistics-normalization.ts";
export {
  convTranspose,
  foldBlocks,
  type TransposedConvolutionOptions,
} from "./ops/transposed-convolution.ts";
export { acos, acosh, asin, asinh, atan, atanh, cosh, sinh, tan } from "./ops/trigonometry.ts";
export { maximum, maximumOf, meanOf, minimum, minimumOf } from "./ops/variadic.ts";
