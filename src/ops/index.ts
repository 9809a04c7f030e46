// Every operator one can build a graph with; src/index.ts offers them as `ops`.

// Rounding to smaller types is built by the importer alone, but is always in the registry.
import "./small-floats.ts";

export { celu, geluTanh, mish, prelu, selu, softsign } from "./activations.ts";
export { add, addAll, div, mul, neg, pow, reciprocal, square, sub } from "./arithmetic.ts";
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
} from "./comparison.ts";
export { type ConvolutionOptions, conv } from "./convolution.ts";
export { einsum } from "./einsum.ts";
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
} from "./elementwise.ts";
export { gather, gatherElements, oneHot, reverseSequence, scatterAdd, topK } from "./indexing.ts";
export { cumulativeSum, depthToSpace, spaceToDepth, split, tile, triangle } from "./layout.ts";
export { type LikelihoodOptions, negativeLogLikelihood } from "./likelihood.ts";
export { gemm, linear, matMul, transposeLast } from "./linear.ts";
export { type CrossEntropyOptions, type LabelSmoothingKind, softmaxCrossEntropy } from "./losses.ts";
export { concat, expand, flatten, reshape, transpose, zeros } from "./movement.ts";
export { batchNormInference, batchNormTraining } from "./normalization.ts";
export { type PadMode, pad } from "./padding.ts";
export {
  averagePool,
  globalAveragePool,
  globalMaxPool,
  maxPool,
  maxUnpool,
  type PoolOptions,
} from "./pooling.ts";
export { fakeQuantize, learnedQuantize } from "./quantization.ts";
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
} from "./reduction.ts";

import "./generators.ts";
import "./integers.ts";
import "./selection.ts";

export { type AttentionOptions, attention, rotaryEmbedding } from "./attention.ts";
export { type DeformableOptions, deformConv } from "./deformable-convolution.ts";
export { det } from "./determinant.ts";
export { affineGrid, gridSample } from "./grid-sample.ts";
export type { Interpolation } from "./interpolation.ts";
export { type RecurrentOptions, type RecurrentWeights, recurrentLayer } from "./recurrent.ts";
export { enlarge, type ResizeOptions, resize } from "./resize.ts";
export { type RoiAlignOptions, roiAlign } from "./roi-align.ts";
export { insertZeros, reverse, type SliceRange, slice } from "./slicing.ts";
export { logSoftmax, softmax } from "./softmax.ts";
export { groupNorm, instanceNorm, layerNorm, rmsNorm } from "./statistics-normalization.ts";
export { convTranspose, foldBlocks, type TransposedConvolutionOptions } from "./transposed-convolution.ts";
export { acos, acosh, asin, asinh, atan, atanh, cosh, sinh, tan } from "./trigonometry.ts";
export { maximum, maximumOf, meanOf, minimum, minimumOf } from "./variadic.ts";
