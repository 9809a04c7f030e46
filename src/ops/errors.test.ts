import { describe } from "node:test";
import { type Build, inScope, refuses } from "../testing/refusals.ts";
import { add } from "./arithmetic.ts";
import { where } from "./comparison.ts";
import { conv } from "./convolution.ts";
import { gatherElements, scatterAdd } from "./indexing.ts";
import { gemm, linear, matMul } from "./linear.ts";
import { type CrossEntropyOptions, softmaxCrossEntropy } from "./losses.ts";
import { concat, expand, reshape, transpose } from "./movement.ts";
import { batchNormInference, batchNormTraining } from "./normalization.ts";
import { pad } from "./padding.ts";
import { averagePool, maxPool } from "./pooling.ts";
import { reduceSum } from "./reduction.ts";
import { slice } from "./slicing.ts";
import { softmax } from "./softmax.ts";

// What does not fit is found while building, in one sentence that names the operator, where it stands in the model,
// what was got and what was wanted.

describe("conv", () => {
  const cases: [string, string, Build][] = [
    [
      "channels",
      "input has 3 channels, weight expects 64 (shape [64, 64, 3, 3])",
      (input) => conv(input([2, 3, 8, 8]), input([64, 64, 3, 3])),
    ],
    [
      "channels of groups",
      "input has 3 channels, weight expects 4 (shape [6, 2, 3, 3], 2 groups)",
      (input) => conv(input([2, 3, 8, 8]), input([6, 2, 3, 3]), undefined, { group: 2 }),
    ],
    [
      "output channels and groups",
      "5 output channels do not divide into 2 groups",
      (input) => conv(input([2, 4, 8, 8]), input([5, 2, 3, 3]), undefined, { group: 2 }),
    ],
    [
      "bias",
      "bias has shape [3], weight has 6 output channels (shape [6, 4, 3, 3])",
      (input) => conv(input([2, 4, 8, 8]), input([6, 4, 3, 3]), input([3])),
    ],
    [
      "a kernel larger than the padded input",
      "input [2, 4, 8, 3] is smaller than the kernel [3, 5]",
      (input) => conv(input([2, 4, 8, 3]), input([6, 4, 3, 5])),
    ],
    [
      "different numbers of axes",
      "input float32 [2, 4, 8] and weight float32 [6, 4, 3, 3] need the same number of axes, 3 or more",
      (input) => conv(input([2, 4, 8]), input([6, 4, 3, 3])),
    ],
    [
      "no axes",
      "input float32 [] and weight float32 [] need the same number of axes, 3 or more",
      (input) => conv(input([]), input([])),
    ],
    [
      "types",
      "inputs differ in type: float32 [2, 4, 8, 8] and float64 [6, 4, 3, 3]",
      (input) => conv(input([2, 4, 8, 8]), input([6, 4, 3, 3], "float64")),
    ],
    [
      "too few strides",
      "strides are [2]; float32 [2, 4, 8, 8] needs 2 whole numbers of 1 or more",
      (input) => conv(input([2, 4, 8, 8]), input([6, 4, 3, 3]), undefined, { strides: [2] }),
    ],
    [
      "padding on one side",
      "pads are [1, 1]; float32 [2, 4, 8, 8] needs 4 whole numbers of 0 or more",
      (input) => conv(input([2, 4, 8, 8]), input([6, 4, 3, 3]), undefined, { pads: [1, 1] }),
    ],
    [
      "a dilation of 0",
      "dilations are [1, 0]; float32 [2, 4, 8, 8] needs 2 whole numbers of 1 or more",
      (input) => conv(input([2, 4, 8, 8]), input([6, 4, 3, 3]), undefined, { dilations: [1, 0] }),
    ],
    [
      "half a group",
      "group is 0.5; it has to be a whole number above 0",
      (input) => conv(input([2, 4, 8, 8]), input([6, 4, 3, 3]), undefined, { group: 0.5 }),
    ],
  ];
  for (const [name, sentence, build] of cases) refuses(name, inScope("conv", sentence), build);
});

describe("linear algebra", () => {
  refuses(
    "linear: features",
    inScope("linear", "input has shape [8, 3], weight [10, 4] expects [N, 4]"),
    (input) => linear(input([8, 3]), input([10, 4])),
  );
  refuses(
    "linear: an image",
    inScope("linear", "input has shape [8, 1, 2, 2], weight [10, 4] expects [N, 4]"),
    (input) => linear(input([8, 1, 2, 2]), input([10, 4])),
  );
  refuses(
    "linear: bias",
    inScope("linear", "bias has shape [4], weight has 10 outputs (shape [10, 4])"),
    (input) => linear(input([8, 4]), input([10, 4]), input([4])),
  );
  refuses(
    "matMul: inner sizes",
    inScope("MatMul", "cannot multiply float32 [2, 3] by float32 [4, 5]"),
    (input) => matMul(input([2, 3]), input([4, 5])),
  );
  refuses("matMul: vectors", inScope("MatMul", "cannot multiply float32 [3] by float32 [2, 5]"), (input) =>
    matMul(input([3]), input([2, 5])),
  );
  refuses(
    "gemm: inner sizes, with what is transposed",
    inScope("Gemm", "cannot multiply float32 [2, 3] by float32 [4, 5] transposed"),
    (input) => gemm(input([2, 3]), input([4, 5]), undefined, { transposeB: true }),
  );
  for (const shape of [[4], [3, 5], [1, 2, 5]]) {
    refuses(
      `gemm: a summand of shape [${shape}]`,
      inScope("Gemm", `float32 [${shape.join(", ")}] does not stretch to the product's [2, 5]`),
      (input) => gemm(input([2, 3]), input([3, 5]), input(shape)),
    );
  }
});

describe("normalization, pooling and losses", () => {
  refuses(
    "batchNorm: channels",
    inScope("batchNorm", "input float32 [2, 3, 4] has 3 channels, the layer has 4"),
    (input) => {
      const four = input([4]);
      batchNormTraining(input([2, 3, 4]), four, four, 1e-5);
    },
  );
  refuses(
    "batchNorm: one vector of five",
    inScope("batchNorm", "input float32 [2, 3] has 3 channels, the layer has 1"),
    (input) => {
      const three = input([3]);
      batchNormInference(input([2, 3]), three, three, three, input([1]), 1e-5);
    },
  );
  refuses(
    "batchNorm: types",
    inScope("batchNorm", "inputs differ in type: float32 [2, 3] and float64 [3]"),
    (input) => {
      const three = input([3]);
      batchNormTraining(input([2, 3]), three, input([3], "float64"), 1e-5);
    },
  );
  refuses(
    "maxPool: a kernel larger than the image",
    inScope("MaxPool", "input [2, 3, 4, 1] is smaller than the kernel [2, 2]"),
    (input) => maxPool(input([2, 3, 4, 1]), [2, 2]),
  );
  refuses(
    "averagePool: axes of the kernel",
    inScope("AveragePool", "the kernel [2] needs one size per spatial axis of [2, 3, 4, 4]"),
    (input) => averagePool(input([2, 3, 4, 4]), [2]),
  );
  refuses(
    "maxPool: padding as large as the kernel",
    inScope("MaxPool", "pads [0, 2, 0, 0] have to be smaller than the kernel [2, 2]"),
    (input) => maxPool(input([2, 3, 4, 4]), [2, 2], { pads: [0, 2, 0, 0] }),
  );
  refuses(
    "maxPool: a stride of 0",
    inScope("MaxPool", "strides are [0, 1]; float32 [2, 3, 4, 4] needs 2 whole numbers of 1 or more"),
    (input) => maxPool(input([2, 3, 4, 4]), [2, 2], { strides: [0, 1] }),
  );
  const loss =
    (options?: CrossEntropyOptions): Build =>
    (input) =>
      softmaxCrossEntropy(input([4, 10]), input([4], "int32"), options);
  refuses(
    "cross entropy: another batch",
    inScope(
      "softmaxCrossEntropy",
      "logits have to be [N, classes] and the target [N], got float32 [4, 10] and int32 [5]",
    ),
    (input) => softmaxCrossEntropy(input([4, 10]), input([5], "int32")),
  );
  refuses(
    "cross entropy: a float target",
    inScope("softmaxCrossEntropy", "the target has to be int32 or int64, got float32"),
    (input) => softmaxCrossEntropy(input([4, 10]), input([4])),
  );
  refuses(
    "cross entropy: one class",
    inScope("softmaxCrossEntropy", "two classes or more are needed, got float32 [4, 1]"),
    (input) => softmaxCrossEntropy(input([4, 1]), input([4], "int32")),
  );
  for (const labelSmoothing of [-0.1, 1]) {
    refuses(
      `cross entropy: smoothing ${labelSmoothing}`,
      inScope(
        "softmaxCrossEntropy",
        `labelSmoothing is ${labelSmoothing}; it has to be at least 0 and below 1`,
      ),
      loss({ labelSmoothing }),
    );
  }
});

describe("elementwise and movement", () => {
  const cases: [string, string, Build][] = [
    [
      "Add",
      "shapes do not broadcast: float32 [2, 3] and float32 [2, 4]",
      (input) => add(input([2, 3]), input([2, 4])),
    ],
    [
      "Add",
      "inputs differ in type: float32 [2] and float64 [2]",
      (input) => add(input([2]), input([2], "float64")),
    ],
    [
      "Where",
      "the condition has to be bool, got float32 [2]",
      (input) => where(input([2]), input([2]), input([2])),
    ],
    [
      "Where",
      "the two sides differ in type: float32 [2] and int64 [2]",
      (input) => where(input([2], "bool"), input([2]), input([2], "int64")),
    ],
    [
      "Where",
      "shapes do not broadcast: bool [3] and float32 [2]",
      (input) => where(input([3], "bool"), input([2]), 0),
    ],
    [
      "Reshape",
      "float32 [2, 3] does not have the elements of [4, 2]",
      (input) => reshape(input([2, 3]), [4, 2]),
    ],
    [
      "Transpose",
      "[0, 0, 1] is not an order of the axes of float32 [2, 3, 4]",
      (input) => transpose(input([2, 3, 4]), [0, 0, 1]),
    ],
    [
      "Transpose",
      "[0, 1] is not an order of the axes of float32 [2, 3, 4]",
      (input) => transpose(input([2, 3, 4]), [0, 1]),
    ],
    ["Expand", "float32 [2, 3] does not stretch to [2, 4]", (input) => expand(input([2, 3]), [2, 4])],
    ["Expand", "float32 [2, 3] does not stretch to [3]", (input) => expand(input([2, 3]), [3])],
    [
      "Concat",
      "float32 [2, 4] does not join float32 [3, 4] along axis 1",
      (input) => concat([input([3, 4]), input([2, 4])], -1),
    ],
    ["Concat", "axis 2 is not there in float32 [3, 4]", (input) => concat([input([3, 4]), input([3, 4])], 2)],
    [
      "Pad",
      "[-2, 0, -1, 0] cuts more than there is in float32 [2, 3]",
      (input) => pad(input([2, 3]), [-2, 0], [-1, 0]),
    ],
    [
      "Pad",
      "float32 [2, 3] needs an amount before and after each of its axes",
      (input) => pad(input([2, 3]), [1], [1]),
    ],
    [
      "Slice",
      "steps have to be positive whole numbers, got [-1]",
      (input) => slice(input([4]), { starts: [0], ends: [4], steps: [-1] }),
    ],
    [
      "Slice",
      "starts, ends and steps need one number for each of 2 axes",
      (input) => slice(input([4, 4]), { starts: [0, 0], ends: [4] }),
    ],
    [
      "Slice",
      "axes 1, -1 name an axis twice",
      (input) => slice(input([4, 4]), { axes: [1, -1], starts: [0, 1], ends: [4, 4] }),
    ],
    ["ReduceSum", "axis 2 is not there in float32 [2, 3]", (input) => reduceSum(input([2, 3]), [2])],
    ["ReduceSum", "axes 0, -2 name an axis twice", (input) => reduceSum(input([2, 3]), [0, -2])],
    ["ReduceSum", "no axes to reduce; leave them out to reduce all", (input) => reduceSum(input([2, 3]), [])],
    ["Softmax", "axis -1 is not there in float32 []", (input) => softmax(input([]))],
    [
      "GatherElements",
      "indices int64 [3] do not fit float32 [2, 3] along axis 1; they have to be int32 or int64 with as many axes and no larger ones",
      (input) => gatherElements(input([2, 3]), input([3], "int64"), 1),
    ],
    [
      "GatherElements",
      "indices float32 [2, 1] do not fit float32 [2, 3] along axis 1; they have to be int32 or int64 with as many axes and no larger ones",
      (input) => gatherElements(input([2, 3]), input([2, 1]), 1),
    ],
    [
      "ScatterElements",
      "updates float32 [2, 3] do not match float32 and the indices' [2, 1]",
      (input) => scatterAdd(input([2, 3]), input([2, 1], "int64"), input([2, 3]), 1),
    ],
  ];
  for (const [operator, sentence, build] of cases) {
    refuses(`${operator}: ${sentence}`, inScope(operator, sentence), build);
  }
});
