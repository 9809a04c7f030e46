import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ImageClassesDescription } from "./data/source.ts";
import type { LossModel } from "./flatness/curvature-graphs.ts";
import * as api from "./index.ts";
import type { ModelProto } from "./onnx/onnx_pb.ts";
import type { StoredImages } from "./tasks/image-input.ts";
import { onnxModel } from "./testing/onnx-models.ts";
import { quadraticSurface, usingSurface } from "./testing/surfaces.ts";

// Every public function refuses options that it does not have. The records below have an entry for every export: one
// without an entry, or a function with optional settings that claims to have none, does not compile.

/** How a function is called with options, and a misspelling of one of them beside the option itself. */
interface Takes {
  call: (options: never) => unknown;
  misspelt: string;
  option: string;
}

const none = "no options";

/** Objects with optional parts that are no options: what functions work on. */
type Subject =
  | api.optim.Optimizer
  | api.flatness.LossSurface
  | api.flatness.FlatnessRecord
  | api.flatness.LandscapeRecord
  | LossModel
  | api.MaskArrays
  | ModelProto
  | ImageClassesDescription
  | StoredImages;

type IsOptions<T> = T extends Subject | readonly unknown[] | ((...parameters: never) => unknown)
  ? false
  : T extends object
    ? string extends keyof T
      ? false
      : number extends keyof T
        ? false
        : true extends {
              [Name in keyof T]-?: Record<never, never> extends Pick<T, Name> ? true : false;
            }[keyof T]
          ? true
          : false
    : false;

type HasOptions<F> = F extends (...parameters: infer P) => unknown
  ? true extends IsOptions<NonNullable<P[number]>>
    ? true
    : false
  : false;

type Entries<Exports> = {
  [Name in keyof Exports]: HasOptions<Exports[Name]> extends true ? Takes : Takes | typeof none;
};

function takes(misspelt: string, option: string, call: Takes["call"]): Takes {
  return { call, misspelt, option };
}

// Options are checked before anything else is looked at, so nothing else has to be given.
const any = {} as never;
const { flatness, nn, onnx, ops, optim, quantization, schedules, weights } = api;
const namespaces = { flatness, nn, onnx, ops, optim, quantization, schedules, weights };

const functions: Entries<Omit<typeof api, keyof typeof namespaces>> = {
  FileError: none,
  Graph: none,
  DeviceError: none,
  NonFiniteError: none,
  UserError: none,
  classificationSurface: takes("batchnorm", "batchNorm", (options) =>
    api.classificationSurface(any, any, any, options),
  ),
  compile: takes("targets", "target", (options) => api.compile(any, options)),
  evaluateModel: takes("thread", "threads", (options) => api.evaluateModel(any, any, options)),
  pixelRow: none,
  predictMasks: takes("fitt", "fit", (options) => api.predictMasks(any, [], options)),
  predictPictures: takes("topp", "top", (options) => api.predictPictures(any, [], options)),
  exportStep: takes("batch", "batchSize", (options) => api.exportStep(any, any, options)),
  gradients: none,
  hessianVectorProduct: none,
  imageClasses: none,
  imageMasks: none,
  imagesFromFiles: takes("sizes", "size", (options) => api.imagesFromFiles([], options)),
  inspectModel: takes("dimension", "dimensions", (options) => api.inspectModel(any, options)),
  loadDataset: takes("dataDir", "dataDirectory", (options) => api.loadDataset("digits", options)),
  openEngine: takes("thread", "threads", (options) => api.openEngine(options)),
  sharpnessGraph: takes("part", "parts", (options) => api.sharpnessGraph(any, options)),
  tensorData: none,
  storedImages: none,
  train: takes("epoch", "epochs", (options) => api.train(options)),
  writeExportedStep: none,
  writeMeasurementFigures: none,
  bilateralSam: takes("rho_max", "rhoMax", (options) => api.bilateralSam(any, options)),
  sam: takes("rhoMax", "rho", (options) => api.sam(any, options)),
  sgd: takes("weightdecay", "weightDecay", (options) => api.sgd(options)),
};

const networks: Entries<typeof api.nn> = {
  adaptiveAveragePool: none,
  averagePool: takes("strides", "stride", (options) => api.nn.averagePool(2, options)),
  batchNorm: takes("eps", "epsilon", (options) => api.nn.batchNorm(4, options)),
  buildModel: takes("batch_size", "batchSize", (options) => api.nn.buildModel(any, options)),
  cnn: none,
  conv2d: takes("group", "groups", (options) => api.nn.conv2d(3, 8, 3, options)),
  convTranspose2d: takes("output_padding", "outputPadding", (options) =>
    api.nn.convTranspose2d(8, 4, 4, options),
  ),
  createModel: none,
  drawRandomInputs: none,
  dropout: none,
  efficientnetB0: takes("stochastic_depth", "stochasticDepth", (options) =>
    api.nn.efficientnetB0(any, options),
  ),
  filledWith: none,
  flatten: none,
  gelu: none,
  globalAveragePool: none,
  imagenetResnet: none,
  initialTensors: none,
  kaimingNormal: none,
  lenet5: none,
  linear: takes("biases", "bias", (options) => api.nn.linear(64, 32, options)),
  maxPool: takes("pad", "padding", (options) => api.nn.maxPool(2, options)),
  mlp: none,
  mobilenetV2: takes("widths", "width", (options) => api.nn.mobilenetV2(any, options)),
  modelNames: none,
  normal: none,
  padChannels: none,
  parameterCount: none,
  pyramidnet: takes("unit", "units", (options) => api.nn.pyramidnet(any, options)),
  relu: none,
  relu6: none,
  residual: none,
  residualSum: none,
  resnet: none,
  resnet20: none,
  sequential: none,
  sigmoid: none,
  silu: none,
  simpleBaseline: none,
  smallSimpleBaseline: takes("widths", "width", (options) => api.nn.smallSimpleBaseline(any, options)),
  smallVgg16Bn: takes("widths", "width", (options) => api.nn.smallVgg16Bn(any, options)),
  squeezeExcitation: takes("activations", "activation", (options) => api.nn.squeezeExcitation(8, 2, options)),
  stochasticDepth: none,
  tanh: none,
  uniform: none,
  vgg16Bn: takes("drop", "dropout", (options) => api.nn.vgg16Bn(any, options)),
  wideResnet: takes("widths", "width", (options) => api.nn.wideResnet(any, options)),
};

const optimizers: Entries<typeof api.optim> = {
  adam: takes("beta_1", "beta1", (options) => api.optim.adam(options)),
  adamw: takes("weight_decay", "weightDecay", (options) => api.optim.adamw(options)),
  asam: takes("rhoMax", "rho", (options) => api.optim.asam(any, options)),
  bilateralSam: takes("rho_max", "rhoMax", (options) => api.optim.bilateralSam(any, options)),
  every: none,
  gsam: takes("alfa", "alpha", (options) => api.optim.gsam(any, options)),
  initialState: takes("averageDecays", "averageDecay", (options) =>
    api.optim.initialState(any, any, any, options),
  ),
  lion: takes("beta_2", "beta2", (options) => api.optim.lion(options)),
  momentumSam: takes("rhoMax", "rho", (options) => api.optim.momentumSam(any, options)),
  resolveGroups: takes("learningrate", "learningRate", (options) => api.optim.resolveGroups([], [options])),
  reuse: none,
  rmsprop: takes("alfa", "alpha", (options) => api.optim.rmsprop(options)),
  sam: takes("rhoMax", "rho", (options) => api.optim.sam(any, options)),
  sgd: takes("weightdecay", "weightDecay", (options) => api.optim.sgd(options)),
  startingAt: none,
  trainingStep: takes("clipnorm", "clipNorm", (options) => api.optim.trainingStep(any, any, options)),
};

const schedulesOfRun: Entries<typeof api.schedules> = {
  constant: none,
  constantRate: none,
  cosine: none,
  linear: takes("ends", "end", (options) => api.schedules.linear(options)),
  polynomial: takes("powers", "power", (options) => api.schedules.polynomial(options)),
  proportionalToLearningRate: none,
  stepDecay: takes("epoch", "epochs", (options) => api.schedules.stepDecay(options)),
  warmUp: takes("starts", "start", (options) => api.schedules.warmUp(options)),
  toSchedule: none,
};

const modelFiles: Entries<typeof api.onnx> = {
  findHead: takes("outputs", "output", (options) => api.onnx.findHead(any, options)),
  fromOnnx: takes("batchsize", "batchSize", (options) => api.onnx.fromOnnx(any, options)),
  loadModel: takes("batchNormalisation", "batchNormalization", (options) => api.onnx.loadModel(any, options)),
  modelLayer: takes("adapter", "adapt", (options) => api.onnx.modelLayer(any, options)),
  objectiveOf: none,
  readModel: none,
  replaceHead: takes("seeds", "seed", (options) => api.onnx.replaceHead(any, 10, options)),
  writeModel: none,
};

const weightFiles: Entries<typeof api.weights> = {
  matchStateDict: takes("except_", "except", (options) => api.weights.matchStateDict(any, any, options)),
  readSafetensors: none,
  stateDict: none,
  writeSafetensors: none,
};

const quantizations: Entries<typeof quantization> = {
  activationMethods: none,
  quantizeModel: takes("weightRang", "weightRange", (options) =>
    api.quantization.quantizeModel(any, options, any),
  ),
  weightMethods: none,
  weightRanges: none,
};

const operators: Entries<typeof ops> = {
  abs: none,
  acos: none,
  acosh: none,
  add: none,
  addAll: none,
  affineGrid: none,
  and: none,
  argMax: none,
  argMin: none,
  asin: none,
  asinh: none,
  atan: none,
  atanh: none,
  attention: takes("masks", "mask", (options) => ops.attention(any, any, any, options)),
  averagePool: takes("ceil_mode", "ceilMode", (options) => ops.averagePool(any, [2, 2], options)),
  batchNormInference: none,
  batchNormTraining: none,
  cast: none,
  ceil: none,
  celu: none,
  clip: none,
  concat: none,
  conv: takes("stride", "strides", (options) => ops.conv(any, any, any, options)),
  convTranspose: takes("output_padding", "outputPadding", (options) =>
    ops.convTranspose(any, any, any, options),
  ),
  cos: none,
  cosh: none,
  cumulativeSum: none,
  deformConv: takes("masks", "mask", (options) => ops.deformConv(any, any, any, any, options)),
  depthToSpace: none,
  det: none,
  div: none,
  einsum: none,
  elu: none,
  equal: none,
  erf: none,
  exp: none,
  expand: none,
  fakeQuantize: takes("types", "type", (options) => ops.fakeQuantize(any, any, any, options)),
  learnedQuantize: takes("gradientFactors", "gradientFactor", (options) =>
    ops.learnedQuantize(any, any, options as never),
  ),
  flatten: none,
  floor: none,
  foldBlocks: takes("pad", "pads", (options) => ops.foldBlocks(any, any, any, options)),
  gather: none,
  gatherElements: none,
  gelu: none,
  geluTanh: none,
  gemm: takes("transA", "transposeA", (options) => ops.gemm(any, any, any, options)),
  globalAveragePool: none,
  globalMaxPool: none,
  greater: none,
  greaterOrEqual: none,
  gridSample: takes("aligncorners", "alignCorners", (options) => ops.gridSample(any, any, options)),
  groupNorm: none,
  hardSigmoid: none,
  hardSwish: none,
  identity: none,
  insertZeros: none,
  instanceNorm: none,
  isInf: none,
  isNan: none,
  layerNorm: none,
  leakyRelu: none,
  less: none,
  lessOrEqual: none,
  linear: none,
  log: none,
  logSoftmax: none,
  matMul: none,
  maxPool: takes("stride", "strides", (options) => ops.maxPool(any, [2, 2], options)),
  maxUnpool: none,
  maximum: none,
  maximumOf: none,
  meanOf: none,
  minimum: none,
  minimumOf: none,
  mish: none,
  mul: none,
  neg: none,
  negativeLogLikelihood: takes("weight", "weights", (options) =>
    ops.negativeLogLikelihood(any, any, options),
  ),
  not: none,
  oneHot: none,
  or: none,
  pad: none,
  pow: none,
  prelu: none,
  reciprocal: none,
  recurrentLayer: takes("directions", "direction", (options) =>
    ops.recurrentLayer("LSTM", any, any, options),
  ),
  reduceL1: none,
  reduceL2: none,
  reduceLogSum: none,
  reduceLogSumExp: none,
  reduceMax: none,
  reduceMean: none,
  reduceMin: none,
  reduceProd: none,
  reduceSum: none,
  reduceSumSquare: none,
  relu: none,
  reshape: none,
  enlarge: none,
  resize: takes("modes", "mode", (options) => ops.resize(any, any, options)),
  reverse: none,
  reverseSequence: takes("time_axis", "timeAxis", (options) => ops.reverseSequence(any, any, options)),
  rmsNorm: none,
  roiAlign: takes("sizes", "size", (options) => ops.roiAlign(any, any, any, options)),
  rotaryEmbedding: takes("position", "positions", (options) => ops.rotaryEmbedding(any, any, any, options)),
  round: none,
  scatterAdd: none,
  selu: none,
  sigmoid: none,
  sign: none,
  silu: none,
  sin: none,
  sinh: none,
  slice: takes("start", "starts", (options) => ops.slice(any, options)),
  softmax: none,
  softmaxCrossEntropy: takes("label_smoothing", "labelSmoothing", (options) =>
    ops.softmaxCrossEntropy(any, any, options),
  ),
  softplus: none,
  softsign: none,
  spaceToDepth: none,
  split: none,
  sqrt: none,
  square: none,
  sub: none,
  tan: none,
  tanh: none,
  tile: none,
  topK: none,
  transpose: none,
  transposeLast: none,
  triangle: none,
  where: none,
  xor: none,
  zeros: none,
};

const measurements: Entries<typeof flatness> = {
  Surface: none,
  batchSharpness: takes("radii", "radius", (options) => flatness.batchSharpness(any, options)),
  checkDeterminism: takes("tensor", "tensors", (options) => flatness.checkDeterminism(any, options)),
  confidenceInterval: none,
  curvatureOperator: takes("curvatures", "curvature", (options) => flatness.curvatureOperator(any, options)),
  curvatureTrace: takes("product", "products", (options) => flatness.curvatureTrace(any, options)),
  curvatures: none,
  eigenpairs: takes("large", "largest", (options) => flatness.eigenpairs(any, 3, options)),
  estimate: none,
  evenlySpaced: none,
  filterNormalizedDirection: none,
  interpolation: takes("coordinate", "coordinates", (options) => flatness.interpolation(any, any, options)),
  landscape: takes("direction", "directions", (options) => flatness.landscape(any, options)),
  layerSharpness: takes("layer", "layers", (options) => flatness.layerSharpness(any, options)),
  layerSpectra: takes("layer", "layers", (options) => flatness.layerSpectra(any, options)),
  layersOf: none,
  openSurface: takes("memories", "memory", (options) => flatness.openSurface(any, any, options)),
  operatorDensity: takes("probe", "probes", (options) => flatness.operatorDensity(any, 3, options)),
  operatorTrace: takes("methods", "method", (options) => flatness.operatorTrace(any, 3, options)),
  principalPlane: none,
  radii: none,
  randomSharpness: takes("direction", "directions", (options) => flatness.randomSharpness(any, options)),
  spectralDensity: takes("step", "steps", (options) => flatness.spectralDensity(any, options)),
  spectrum: takes("max_products", "maxProducts", (options) => flatness.spectrum(any, options)),
  traceMethods: none,
  worstCaseSharpness: takes("step_size", "stepSize", (options) => flatness.worstCaseSharpness(any, options)),
};

/** The subjects of messages that are not the function's name. */
const subjects: Readonly<Record<string, string>> = {
  resolveGroups: "parameter group",
};

for (const [place, exports, entries] of [
  ["", api, functions],
  ["nn.", nn, networks],
  ["optim.", optim, optimizers],
  ["schedules.", schedules, schedulesOfRun],
  ["onnx.", onnx, modelFiles],
  ["quantization.", quantization, quantizations],
  ["weights.", weights, weightFiles],
  ["ops.", ops, operators],
  ["flatness.", flatness, measurements],
] as const) {
  describe(`options of ${place || "top-level "}functions`, () => {
    test("have an entry for every export", () => {
      const names = Object.keys(exports).filter((name) => !(name in namespaces));
      assert.deepEqual(Object.keys(entries).sort(), names.sort());
    });
    for (const [name, entry] of Object.entries(entries as Record<string, Takes | typeof none>)) {
      if (entry === none) continue;
      test(`${place}${name} refuses options that it does not have`, () =>
        refuses(subjects[name] ?? name, entry));
    }
  });
}

async function refuses(name: string, { call, misspelt, option }: Takes): Promise<void> {
  await rejects(call, { zzz: 1 }, `${name}: there is no option "zzz"; `);
  await rejects(
    call,
    { [misspelt]: 1 },
    `${name}: there is no option "${misspelt}"; did you mean "${option}"?`,
  );
}

async function rejects(call: Takes["call"], options: object, beginning: string): Promise<void> {
  await assert.rejects(
    async () => call(options as never),
    (error) => {
      assert.ok(error instanceof api.UserError, String(error));
      assert.ok(error.message.startsWith(beginning), error.message);
      return true;
    },
  );
}

describe("options of methods", () => {
  test("of an engine", async () => {
    const engine = api.openEngine({ threads: 1 });
    try {
      await refuses(
        "run",
        takes("advanced", "advance", (options) => engine.run("none", {}, options)),
      );
    } finally {
      await engine.close();
    }
  });

  test("of a loss surface", async () => {
    await usingSurface(quadraticSurface([[1]], [0], [1]), async (opened) => {
      for (const name of ["evaluate", "gradient"] as const) {
        await refuses(
          name,
          takes("tensor", "tensors", (options) => opened[name](undefined, options)),
        );
      }
      for (const name of ["hessianProduct", "gaussNewtonProduct"] as const) {
        await refuses(
          name,
          takes("tensor", "tensors", (options) => opened[name](any, options)),
        );
      }
    });
  });

  test("of a loaded model", async () => {
    const proto = onnxModel({
      inputs: { x: [1, 2] },
      weights: { w: api.tensorData([1, 2], [2, 1], "float32") },
      nodes: [["MatMul", ["x", "w"], ["y"]]],
      outputs: ["y"],
    });
    const model = await api.onnx.loadModel(api.onnx.writeModel(proto));
    await refuses(
      "build",
      takes("batch_size", "batchSize", (options) => model.build(options)),
    );
  });
});

describe("options of the wrong kind", () => {
  const base = api.sgd({ momentum: 0.9 });
  for (const [name, call, message] of [
    ["NaN", () => api.sgd({ momentum: Number.NaN }), "sgd: momentum is NaN; it has to be a number"],
    [
      "a text for a number",
      () => api.optim.adam({ beta1: "0.9" as never }),
      'adam: beta1 is "0.9"; it has to be a number',
    ],
    [
      "null",
      () => api.nn.linear(2, 3, { bias: null as never }),
      "linear: bias is null; it has to be true or false",
    ],
    [
      "a number for a list",
      () => api.ops.conv(any, any, any, { strides: 2 as never }),
      "conv: strides is 2; it has to be a list",
    ],
    [
      "an unknown choice",
      () => api.bilateralSam(base, { variant: "papre" as never }),
      'bilateralSam: variant is "papre"; choose one of paper, released, two-pass',
    ],
    [
      "a number for the options",
      () => api.sgd(0.1 as never),
      "sgd: the options are 0.1; they have to be one object",
    ],
    [
      "no options where some are required",
      () => api.schedules.stepDecay(undefined as never),
      "stepDecay: the options are undefined; they have to be one object",
    ],
    [
      "a radius of NaN",
      () => api.sam(base, { rho: Number.NaN }),
      "sam: rho is NaN; it has to be a number of 0 or more",
    ],
    [
      "a negative radius",
      () => api.optim.momentumSam(base, { rho: -1 }),
      "momentumSam: rho is -1; it has to be a number of 0 or more",
    ],
    [
      "a text for a radius",
      () => api.bilateralSam(base, { rhoMin: "0.1" as never }),
      "bilateralSam: rhoMin is 0.1; it has to be a number of 0 or more",
    ],
  ] as const) {
    test(`${name} is refused`, () => {
      assert.throws(call, (error) => {
        assert.ok(error instanceof api.UserError, String(error));
        assert.equal(error.message, message);
        return true;
      });
    });
  }

  test("in settings of a run too", async () => {
    await assert.rejects(api.train({ log: 1 as never }), {
      message: "train: log is 1; it has to be a function",
    });
    await assert.rejects(api.train({ epochs: "3" as never }), /^UserError: epochs is "3"; it has to be/);
  });
});
