import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { int64Vector } from "../graph/constants.ts";
import { Graph, type Shape, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { type Build, inScope, refuses } from "../testing/refusals.ts";
import { attention, rotaryEmbedding } from "./attention.ts";
import { deformConv } from "./deformable-convolution.ts";
import { affineGrid, gridSample } from "./grid-sample.ts";
import { reverseSequence } from "./indexing.ts";
import { negativeLogLikelihood } from "./likelihood.ts";
import "./registry.ts";
import { apply, int, ints } from "./operator.ts";
import { maxUnpool } from "./pooling.ts";
import { recurrentLayer } from "./recurrent.ts";
import { reduceSum } from "./reduction.ts";
import { roiAlign } from "./roi-align.ts";
import { foldBlocks } from "./transposed-convolution.ts";

// Operators that are built from others, or that files alone have: what does not fit is said in their own words.

const size: [number, number] = [2, 2];

const cases: readonly (readonly [operator: string, sentence: string, build: Build])[] = [
  [
    "LSTM",
    "R is float32 [1, 12, 4]; one direction of 4 on float32 [5, 2, 3] [times, batch, inputs] want [1, 16, 4]",
    (input) =>
      recurrentLayer("LSTM", input([5, 2, 3]), { input: input([1, 16, 3]), recurrent: input([1, 12, 4]) }),
  ],
  [
    "GRU",
    "it is over 100,000 times; up to 2,048 are built here",
    (input) =>
      recurrentLayer("GRU", input([100_000, 2, 3]), {
        input: input([1, 12, 3]),
        recurrent: input([1, 12, 4]),
      }),
  ],
  [
    "RNN",
    "direction sideways is not known, forward, reverse, bidirectional are",
    (input) =>
      apply("RNN", [input([5, 2, 3]), input([1, 4, 3]), input([1, 4, 4])], {
        direction: { string: "sideways" },
      }),
  ],
  [
    "RNN",
    "activation ScaledTanh wants a number in activation_alpha",
    (input) =>
      apply("RNN", [input([5, 2, 3]), input([1, 4, 3]), input([1, 4, 4])], {
        activations: { strings: ["ScaledTanh"] },
      }),
  ],
  [
    "Attention",
    "queries float32 [2, 3, 4, 5] do not go with keys float32 [2, 2, 4, 5] [N, heads, times, width]",
    (input) => attention(input([2, 3, 4, 5]), input([2, 2, 4, 5]), input([2, 2, 4, 5])),
  ],
  [
    "RotaryEmbedding",
    "the caches have 3 angles, 2 pairs are turned",
    (input) => rotaryEmbedding(input([1, 1, 2, 4]), input([1, 2, 3]), input([1, 2, 3])),
  ],
  [
    "GridSample",
    "the grid float32 [2, 5, 5, 3] does not go with float32 [2, 3, 4, 4]; [2, …, …, 2] is wanted",
    (input) => gridSample(input([2, 3, 4, 4]), input([2, 5, 5, 3])),
  ],
  [
    "AffineGrid",
    "float32 [2, 2, 2] is no list of maps for 2 axes; [N, 2, 3] is wanted",
    (input) => affineGrid(input([2, 2, 2]), [4, 4]),
  ],
  [
    "RoiAlign",
    "with a sampling_ratio of 0 the work depends on the input's values; export the model with 1 or more (detectors have 2)",
    (input) => roiAlign(input([1, 2, 4, 4]), input([3, 4]), input([3], "int64"), { size, samplingRatio: 0 }),
  ],
  [
    "DeformConv",
    "the offsets float32 [1, 8, 2, 2] and the weight float32 [2, 2, 2, 2] in 1 groups do not go with float32 [1, 2, 4, 4]; offsets [1, 8, 3, 3] are wanted",
    (input) => deformConv(input([1, 2, 4, 4]), input([2, 2, 2, 2]), input([1, 8, 2, 2])),
  ],
  [
    "Col2Im",
    "float32 [1, 8, 5] does not hold blocks of [2, 2] of an image [3, 3]; [N, C·4, 4] is wanted",
    (input) => foldBlocks(input([1, 8, 5]), [3, 3], [2, 2]),
  ],
  [
    "MaxUnpool",
    "places int64 [1, 2] do not go with float32 [1, 1, 2]; int64 of the same shape is wanted",
    (input) => maxUnpool(input([1, 1, 2]), input([1, 2], "int64"), [1, 1, 4]),
  ],
  [
    "ReverseSequence",
    "lengths are int64 [3]; float32 [5, 2, 3] wants int64 [2], one for each of axis 1",
    (input) => reverseSequence(input([5, 2, 3]), input([3], "int64")),
  ],
  [
    "negativeLogLikelihood",
    "the target has to be int32 or int64 [2, 4], one for each of float32 [2, 3, 4] [N, C, …]; got int64 [2]",
    (input) => negativeLogLikelihood(input([2, 3, 4]), input([2], "int64")),
  ],
  [
    "Compress",
    "its conditions are computed while running; they have to be known before",
    (input) => apply("Compress", [input([4]), input([4], "bool")]),
  ],
  [
    "NonZero",
    "its numbers are computed while running; they have to be known before",
    (input) => apply("NonZero", [input([4])]),
  ],
  [
    "Range",
    "it is over 1,000,000,000 numbers; up to 16,777,216 are built here",
    (input) => {
      const { graph } = input([1]);
      return apply(
        "Range",
        [0, 1e9, 1].map((bound) => graph.scalar(bound, "int64")),
      );
    },
  ],
  [
    "Split",
    "it is over 2,000,000,000 outputs; up to 65,536 are built here",
    (input) => apply("Split", [input([4]), undefined], { num_outputs: int(2e9) }, 1),
  ],
  ["Det", "float32 [2, 3] is no list of square matrices", (input) => apply("Det", [input([2, 3])])],
  [
    "Resize",
    "3 numbers are no start and end of 2 axes",
    (input) => {
      const x = input([2, 3]);
      const region = x.graph.constant(tensorData([0, 0, 1], [3], "float32"));
      return apply("Resize", [x, region, undefined, int64Vector(x.graph, [4, 4])], {
        coordinate_transformation_mode: { string: "tf_crop_and_resize" },
      });
    },
  ],
];

describe("refusals", () => {
  for (const [operator, sentence, build] of cases)
    refuses(`${operator}: ${sentence}`, inScope(operator, sentence), build);
});

describe("gradients that would be more numbers than any model has", () => {
  const gradientOf = (shape: Shape, build: (x: Value) => Value) => () => {
    const x = new Graph().input("x", "float32", shape);
    gradients(reduceSum(build(x)), [x]);
  };
  const sizes = (x: Value) => int64Vector(x.graph, [30_000]);
  for (const [sentence, build] of [
    [
      "LRN: it is over 1,000,000,000,000 pairs of channels; up to 16,777,216 are built here",
      gradientOf([1, 1e6, 2], (x) => apply("LRN", [x], { size: int(3) })[0]),
    ],
    [
      "Resize: it is over 600,000,000 weights; up to 16,777,216 are built here",
      gradientOf(
        [20_000],
        (x) => apply("Resize", [x, undefined, undefined, sizes(x)], { mode: { string: "cubic" } })[0],
      ),
    ],
    [
      "AveragePool: it is over 300,040,001 places of windows; up to 16,777,216 are built here",
      gradientOf(
        [1, 1, 20_000, 20_000],
        (x) => apply("AveragePool", [x], { kernel_shape: ints([10_000, 10_000]) })[0],
      ),
    ],
  ] as const) {
    test(sentence, () => assert.throws(build, { name: "UserError", message: sentence }));
  }
});
