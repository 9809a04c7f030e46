import type { Attributes, Shape } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { type DataType, dataTypeNumber } from "../onnx/types.ts";
import { float, int, ints } from "../ops/operator.ts";

// What changed in the meaning of ONNX's operators, with a node on each side of every change: the rows of
// docs/opset-changes.md, and the models of the tests that they name.

/** A node of one opset, and what is expected of it. */
export interface Side {
  /** A shape is an input of random numbers; a tensor is stored in the model. */
  inputs: readonly (Shape | TensorData | undefined)[];
  attributes?: Attributes;
  /** How many outputs the node has. Default 1. */
  outputs?: number;
  /** The operator, where the other side has another one. */
  operator?: string;
  /** The result by definition, where ONNX Runtime has no kernel of this opset. Default: ONNX Runtime's. */
  expected?: (inputs: readonly number[][]) => readonly number[];
  /** A part of the sentence that refuses the node. */
  refused?: string;
}

export interface OpsetChange {
  operator: string;
  /** The first opset that has the new meaning. */
  opset: number;
  before: string;
  since: string;
  /**
   * `same`: one form means both. `adapted`: the older form is written in the newer one. `refused`: one of them is not
   * read, as the sides say.
   */
  handling: "same" | "adapted" | "refused";
  /** The nodes before and since (null: ONNX has no such node), or the test that compares them, by its file and name. */
  sides: readonly [older: Side | null, newer: Side] | { readonly file: string; readonly name: string };
}

const floats = (values: readonly number[]) => ({ floats: values });
const string = (value: string) => ({ string: value });
const vector = (...values: number[]) => tensorData(values, [values.length], "int64");
const scalar = (value: number, type: DataType = "float32") => tensorData([value], [], type);
const sequence = (shape: Shape, type: DataType = "float32") =>
  tensorData(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, index) => ((index * 7) % 11) / 4 - 1),
    shape,
    type,
  );
const bools = (shape: Shape, every: number) =>
  tensorData(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, index) => Number(index % every === 0)),
    shape,
    "bool",
  );

/** Axis 1 of a [2, 3, 4] tensor: the position of each element along it. */
const column = (index: number) => Math.floor(index / 4) % 3;

const arithmetic: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
};
const comparisons: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  Greater: (a, b) => a > b,
  Less: (a, b) => a < b,
};
const logic: Readonly<Record<string, (a: boolean, b: boolean) => boolean>> = {
  And: (a, b) => a && b,
  Or: (a, b) => a || b,
  Xor: (a, b) => a !== b,
};

const broadcasting = {
  opset: 7,
  before: "the second input broadcasts with `broadcast` 1 only, and lies along the axes from `axis` on",
  since: "both inputs broadcast, their last axes together",
  handling: "adapted",
} as const;
const limited = { broadcast: int(1), axis: int(1) };

const withBroadcasting: readonly OpsetChange[] = [
  ...Object.entries(arithmetic).map(([operator, f]): OpsetChange => {
    const b = sequence([3]);
    return {
      operator,
      ...broadcasting,
      sides: [
        {
          inputs: [[2, 3, 4], b],
          attributes: limited,
          expected: ([x]) => x.map((value, index) => f(value, Number(b.data[column(index)]))),
        },
        { inputs: [[2, 3, 4], sequence([3, 1])] },
      ],
    };
  }),
  {
    operator: "Pow",
    ...broadcasting,
    sides: [
      {
        inputs: [[2, 3, 4], tensorData([1, 2, 3], [3], "float32")],
        attributes: limited,
        expected: ([x]) => x.map((value, index) => value ** (column(index) + 1)),
      },
      { inputs: [[2, 3, 4], tensorData([1, 2, 3], [3, 1], "float32")] },
    ],
  },
  ...Object.entries(comparisons).map(
    ([operator, holds]): OpsetChange => ({
      operator,
      ...broadcasting,
      sides: [
        {
          inputs: [[2, 3, 4], sequence([3])],
          attributes: limited,
          expected: ([x]) =>
            x.map((value, index) => Number(holds(value, Number(sequence([3]).data[column(index)])))),
        },
        { inputs: [[2, 3, 4], sequence([3, 1])] },
      ],
    }),
  ),
  {
    operator: "Equal",
    ...broadcasting,
    sides: [
      {
        inputs: [tensorData([1, 2, 3, 1, 2, 1], [2, 3], "int64"), vector(1, 2)],
        attributes: { broadcast: int(1), axis: int(0) },
        expected: () => [1, 0, 0, 0, 1, 0],
      },
      { inputs: [tensorData([1, 2, 3, 1, 2, 1], [2, 3], "int64"), tensorData([1, 2], [2, 1], "int64")] },
    ],
  },
  ...Object.entries(logic).map(
    ([operator, f]): OpsetChange => ({
      operator,
      ...broadcasting,
      sides: [
        {
          inputs: [bools([2, 3, 4], 2), bools([3], 2)],
          attributes: limited,
          expected: () =>
            Array.from({ length: 24 }, (_, index) => Number(f(index % 2 === 0, column(index) % 2 === 0))),
        },
        { inputs: [bools([2, 3, 4], 2), bools([3, 1], 2)] },
      ],
    }),
  ),
];

const reductions: readonly OpsetChange[] = [
  "ReduceL1",
  "ReduceL2",
  "ReduceLogSum",
  "ReduceLogSumExp",
  "ReduceMax",
  "ReduceMean",
  "ReduceMin",
  "ReduceProd",
  "ReduceSumSquare",
].map((operator): OpsetChange => {
  const x = operator === "ReduceLogSum" ? tensorData([1, 2, 3, 4, 5, 6], [1, 2, 3], "float32") : [1, 2, 3];
  return {
    operator,
    opset: 18,
    before: "`axes` is an attribute",
    since: "`axes` is an input; none of them means all, or none with `noop_with_empty_axes`",
    handling: "adapted",
    sides: [
      { inputs: [x], attributes: { axes: ints([-1, 1]), keepdims: int(0) } },
      { inputs: [x, vector()], attributes: { keepdims: int(0) } },
    ],
  };
});

const flattening = {
  opset: 13,
  before: "over all axes from `axis` (default 1) on together",
  since: "along `axis` (default −1)",
  handling: "adapted",
} as const;

const softmaxes: readonly OpsetChange[] = ["Softmax", "LogSoftmax", "Hardmax"].map((operator) => ({
  operator,
  ...flattening,
  sides: [{ inputs: [[2, 3, 4]] }, { inputs: [[2, 3, 4]] }],
}));

const recurrent: readonly OpsetChange[] = ["RNN", "GRU", "LSTM"].map((operator) => ({
  operator,
  opset: 14,
  before: "time is the first axis",
  since: "with `layout` 1 the batch is",
  handling: "same",
  sides: {
    file: "import/opset-changes.test.ts",
    name: "layout 1 is layout 0 with the batch as the first axis",
  },
}));

const image = [1, 2, 4, 5];
const pooling = { kernel_shape: ints([3, 3]), strides: ints([2, 2]), ceil_mode: int(1) };

/** Attention of 3 queries to 3 keys of 2 numbers, each to its own place and the one before. */
function windowedAttention([q, k, v]: readonly number[][]): number[] {
  return [0, 1, 2].flatMap((row) => {
    const seen = [row - 1, row].filter((place) => place >= 0);
    const scores = seen.map((place) =>
      Math.exp((q[2 * row] * k[2 * place] + q[2 * row + 1] * k[2 * place + 1]) / Math.SQRT2),
    );
    const total = scores.reduce((sum, score) => sum + score, 0);
    return [0, 1].map((part) =>
      seen.reduce((sum, place, index) => sum + (scores[index] / total) * v[2 * place + part], 0),
    );
  });
}

const tooOld = (operator: string, opset: number, before: string, since: string, older: Side, newer: Side) =>
  ({
    operator,
    opset,
    before,
    since,
    handling: "refused",
    sides: [{ ...older, refused: "its form of opset" }, newer],
  }) satisfies OpsetChange;

export const opsetChanges: readonly OpsetChange[] = [
  ...withBroadcasting,
  ...reductions,
  ...softmaxes,
  ...recurrent,
  {
    operator: "ReduceSum",
    opset: 13,
    before: "`axes` is an attribute",
    since: "`axes` is an input; none of them means all, or none with `noop_with_empty_axes`",
    handling: "adapted",
    sides: [
      { inputs: [[2, 3]], attributes: { axes: ints([1]) } },
      { inputs: [[2, 3], vector()], attributes: { noop_with_empty_axes: int(1) } },
    ],
  },
  {
    operator: "ArgMax",
    opset: 12,
    before: "the first of equal numbers",
    since: "the last with `select_last_index`",
    handling: "same",
    sides: [
      { inputs: [tensorData([3, 1, 3], [1, 3], "float32")], attributes: { axis: int(1) } },
      {
        inputs: [tensorData([3, 1, 3], [1, 3], "float32")],
        attributes: { axis: int(1), select_last_index: int(1) },
      },
    ],
  },
  {
    operator: "ArgMin",
    opset: 12,
    before: "the first of equal numbers",
    since: "the last with `select_last_index`",
    handling: "same",
    sides: [
      { inputs: [tensorData([1, 3, 1], [1, 3], "float32")], attributes: { axis: int(1) } },
      {
        inputs: [tensorData([1, 3, 1], [1, 3], "float32")],
        attributes: { axis: int(1), select_last_index: int(1) },
      },
    ],
  },
  {
    operator: "AveragePool",
    opset: 10,
    before: "windows fit into the input",
    since: "with `ceil_mode` the last may reach beyond it",
    handling: "same",
    sides: [
      {
        inputs: [image],
        attributes: {
          kernel_shape: ints([3, 3]),
          strides: ints([2, 2]),
          count_include_pad: int(1),
          pads: ints([1, 1, 1, 1]),
        },
      },
      { inputs: [image], attributes: pooling },
    ],
  },
  {
    operator: "AveragePool",
    opset: 19,
    before: "no `dilations`",
    since: "`dilations`; with `count_include_pad` a last window beyond the padding counts what is within it",
    handling: "same",
    sides: [
      { inputs: [image], attributes: pooling },
      { inputs: [[1, 1, 7, 7]], attributes: { ...pooling, dilations: ints([2, 1]) } },
    ],
  },
  {
    operator: "AveragePool",
    opset: 22,
    before: "a last window that begins in the padding behind the input counts (not in ONNX Runtime)",
    since: "it does not count",
    handling: "same",
    sides: [
      {
        inputs: [[1, 1, 4, 4]],
        attributes: {
          kernel_shape: ints([2, 2]),
          strides: ints([3, 3]),
          pads: ints([0, 0, 1, 1]),
          ceil_mode: int(1),
        },
      },
      {
        inputs: [[1, 1, 4, 4]],
        attributes: {
          kernel_shape: ints([2, 2]),
          strides: ints([3, 3]),
          pads: ints([0, 0, 1, 1]),
          ceil_mode: int(1),
        },
      },
    ],
  },
  {
    operator: "MaxPool",
    opset: 22,
    before: "a last window that begins in the padding behind the input counts (not in ONNX Runtime)",
    since: "it does not count",
    handling: "same",
    sides: [
      {
        inputs: [[1, 1, 4, 4]],
        attributes: {
          kernel_shape: ints([2, 2]),
          strides: ints([3, 3]),
          pads: ints([0, 0, 1, 1]),
          ceil_mode: int(1),
        },
      },
      {
        inputs: [[1, 1, 4, 4]],
        attributes: {
          kernel_shape: ints([2, 2]),
          strides: ints([3, 3]),
          pads: ints([0, 0, 1, 1]),
          ceil_mode: int(1),
        },
      },
    ],
  },
  {
    operator: "MaxPool",
    opset: 8,
    before: "one output",
    since: "the second output holds indices, counted by columns with `storage_order` 1",
    handling: "same",
    sides: [
      { inputs: [image], attributes: { kernel_shape: ints([2, 2]) } },
      { inputs: [image], attributes: { kernel_shape: ints([2, 2]), storage_order: int(1) }, outputs: 2 },
    ],
  },
  {
    operator: "LpPool",
    opset: 18,
    before: "windows fit into the input",
    since: "`ceil_mode` and `dilations`",
    handling: "same",
    sides: [
      { inputs: [image], attributes: { kernel_shape: ints([2, 2]), strides: ints([2, 2]), p: int(3) } },
      { inputs: [image], attributes: { ...pooling, dilations: ints([1, 2]) } },
    ],
  },
  {
    operator: "BatchNormalization",
    opset: 7,
    before: "`is_test` 1 means inference",
    since: "the number of outputs tells inference from training",
    handling: "adapted",
    sides: [
      {
        inputs: [[2, 2, 3], sequence([2]), sequence([2]), sequence([2]), tensorData([1, 4], [2], "float32")],
        attributes: { is_test: int(1), epsilon: float(0) },
        expected: ([x]) =>
          x.map((value, index) => {
            const channel = Math.floor(index / 3) % 2;
            const at = Number(sequence([2]).data[channel]);
            return ((value - at) / (channel + 1)) * at + at;
          }),
      },
      {
        inputs: [[2, 2, 3], sequence([2]), sequence([2]), sequence([2]), tensorData([1, 4], [2], "float32")],
      },
    ],
  },
  {
    operator: "BatchNormalization",
    opset: 9,
    before: "with `spatial` 0 each element of an example has its own statistics",
    since: "each channel has",
    handling: "adapted",
    sides: [
      {
        inputs: [
          [3, 2, 2, 2],
          [2, 2, 2],
          [2, 2, 2],
          [2, 2, 2],
          tensorData([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2], "float32"),
        ],
        attributes: { spatial: int(0) },
      },
      {
        inputs: [[2, 2, 3], sequence([2]), sequence([2]), sequence([2]), tensorData([1, 4], [2], "float32")],
      },
    ],
  },
  {
    operator: "BatchNormalization",
    opset: 14,
    before: "further outputs mean training",
    since: "`training_mode` does; the running variance is of the population",
    handling: "adapted",
    sides: [
      {
        inputs: [[4, 2, 3], sequence([2]), sequence([2]), sequence([2]), tensorData([1, 4], [2], "float32")],
        outputs: 5,
      },
      {
        inputs: [[4, 2, 3], sequence([2]), sequence([2]), sequence([2]), tensorData([1, 4], [2], "float32")],
        attributes: { training_mode: int(1) },
        outputs: 3,
      },
    ],
  },
  tooOld(
    "Cast",
    6,
    "`to` is a text",
    "`to` is a number",
    { inputs: [[2, 3]], attributes: { to: string("INT32") } },
    {
      inputs: [[2, 3]],
      attributes: { to: int(dataTypeNumber("int32")) },
    },
  ),
  {
    operator: "Attention",
    opset: 24,
    before: "all keys count; the mask is as long as they are",
    since: "`nonpad_kv_seqlen` says how many count, and a shorter mask hides the rest",
    handling: "same",
    sides: { file: "ops/attention.test.ts", name: "Attention over padded keys" },
  },
  {
    operator: "Attention",
    opset: 25,
    before: "a query sees all keys, or with `is_causal` those up to its own place",
    since: "or those of a window around its place (`left_window_size`, `right_window_size`)",
    handling: "same",
    sides: [
      {
        inputs: [
          [1, 1, 3, 2],
          [1, 1, 3, 2],
          [1, 1, 3, 2],
        ],
        attributes: { is_causal: int(1) },
      },
      {
        inputs: [
          [1, 1, 3, 2],
          [1, 1, 3, 2],
          [1, 1, 3, 2],
        ],
        attributes: { left_window_size: int(1), right_window_size: int(0) },
        expected: windowedAttention,
      },
    ],
  },
  {
    operator: "Cast",
    opset: 19,
    before: "no floats of 8 bits",
    since: "`saturate` says what becomes of numbers beyond their range",
    handling: "same",
    sides: { file: "ops/small-floats.test.ts", name: "what is beyond a type, with and without saturation" },
  },
  {
    operator: "Cast",
    opset: 24,
    before: "no float8e8m0",
    since: "`round_mode` says how it rounds",
    handling: "same",
    sides: { file: "ops/small-floats.test.ts", name: "powers of two are rounded up, down or to the nearest" },
  },
  {
    operator: "Loop",
    opset: 11,
    before: "the number of times and the condition are vectors of one element",
    since: "or scalars; a body may read both",
    handling: "same",
    sides: { file: "import/subgraphs.test.ts", name: "a body is repeated as often as is said" },
  },
  {
    operator: "Clip",
    opset: 11,
    before: "bounds are attributes; without one infinities become the largest float32",
    since: "bounds are inputs; without one infinities stay",
    handling: "adapted",
    sides: [
      {
        inputs: [tensorData([Number.NEGATIVE_INFINITY, -1, 2, Number.POSITIVE_INFINITY], [4], "float32")],
        attributes: { min: float(-0.5) },
      },
      {
        inputs: [
          tensorData([Number.NEGATIVE_INFINITY, -1, 2, Number.POSITIVE_INFINITY], [4], "float32"),
          scalar(-0.5),
        ],
      },
    ],
  },
  tooOld(
    "Concat",
    4,
    "`axis` is 1 by default",
    "`axis` has to be given",
    {
      inputs: [
        [2, 3],
        [2, 3],
      ],
    },
    {
      inputs: [
        [2, 3],
        [2, 3],
      ],
      attributes: { axis: int(1) },
    },
  ),
  {
    operator: "ConvTranspose",
    opset: 11,
    before: "the odd element of automatic padding: which side is not clear",
    since: "at the end for SAME_UPPER, at the beginning for SAME_LOWER",
    handling: "same",
    sides: [
      {
        inputs: [
          [1, 1, 3, 3],
          [1, 1, 2, 2],
        ],
        attributes: { auto_pad: string("SAME_UPPER") },
      },
      {
        inputs: [
          [1, 1, 3, 3],
          [1, 1, 2, 2],
        ],
        attributes: { auto_pad: string("SAME_LOWER") },
      },
    ],
  },
  {
    operator: "DepthToSpace",
    opset: 11,
    before: "blocks are the outer part of channels (`DCR`)",
    since: "the inner part with `mode` `CRD`",
    handling: "same",
    sides: [
      { inputs: [[1, 8, 2, 3]], attributes: { blocksize: int(2) } },
      { inputs: [[1, 8, 2, 3]], attributes: { blocksize: int(2), mode: string("CRD") } },
    ],
  },
  {
    operator: "Dropout",
    opset: 7,
    before: "`is_test` 1 means inference",
    since: "no such attribute",
    handling: "adapted",
    sides: [
      { inputs: [[2, 3]], attributes: { is_test: int(1), ratio: float(0.5) }, expected: ([x]) => x },
      { inputs: [[2, 3]], attributes: { ratio: float(0.5) } },
    ],
  },
  {
    operator: "Dropout",
    opset: 10,
    before: "the mask has the type of the input",
    since: "it is of booleans",
    handling: "adapted",
    sides: [
      { inputs: [[2, 3]], outputs: 2 },
      { inputs: [[2, 3]], outputs: 2 },
    ],
  },
  {
    operator: "Dropout",
    opset: 12,
    before: "`ratio` is an attribute; in inference the mask is 0",
    since: "`ratio` is an input; in inference the mask is 1",
    handling: "adapted",
    sides: [{ inputs: [[2, 3]], attributes: { ratio: float(0.3) } }, { inputs: [[2, 3], scalar(0.3)] }],
  },
  {
    operator: "Flatten",
    opset: 11,
    before: "`axis` counts from the front",
    since: "or from the end",
    handling: "same",
    sides: [
      { inputs: [[2, 3, 4]], attributes: { axis: int(2) } },
      { inputs: [[2, 3, 4]], attributes: { axis: int(-1) } },
    ],
  },
  ...(
    [
      ["Gather", vector(-1, 0)],
      ["GatherElements", tensorData([-1, 0, -2, 1], [2, 2], "int64")],
    ] as const
  ).map(
    ([operator, indices]): OpsetChange => ({
      operator,
      opset: 11,
      before: operator === "Gather" ? "indices count from the front" : "does not exist",
      since: "indices count from the front, or from the end if they are negative",
      handling: "same",
      sides: [
        operator === "Gather" ? { inputs: [[2, 3], vector(1, 0)], attributes: { axis: int(1) } } : null,
        { inputs: [[2, 2], indices] },
      ],
    }),
  ),
  {
    operator: "GatherND",
    opset: 12,
    before: "indices name places of the whole tensor",
    since: "of each example with `batch_dims`",
    handling: "same",
    sides: [
      { inputs: [[2, 3, 2], tensorData([0, 1, 1, 2], [2, 2], "int64")] },
      { inputs: [[2, 3, 2], tensorData([1, 2], [2, 1], "int64")], attributes: { batch_dims: int(1) } },
    ],
  },
  {
    operator: "Gemm",
    opset: 7,
    before: "C broadcasts with `broadcast` 1 only",
    since: "C broadcasts",
    handling: "adapted",
    sides: [
      {
        inputs: [tensorData([1, 2], [1, 2], "float32"), [2, 2], tensorData([10, 20], [2], "float32")],
        attributes: { broadcast: int(1) },
        expected: ([, [a, b, c, d]]) => [a + 2 * c + 10, b + 2 * d + 20],
      },
      { inputs: [[3, 2], [2, 2], [2]] },
    ],
  },
  {
    operator: "Gemm",
    opset: 11,
    before: "C has to be given",
    since: "C may be left out",
    handling: "same",
    sides: [
      { inputs: [[3, 2], [2, 2], [2]] },
      {
        inputs: [
          [3, 2],
          [2, 2],
        ],
      },
    ],
  },
  tooOld(
    "GlobalLpPool",
    2,
    "`p` is a fraction",
    "`p` is a whole number",
    { inputs: [image], attributes: { p: float(2) } },
    { inputs: [image], attributes: { p: int(3) } },
  ),
  ...(["linear", "cubic"] as const).map(
    (mode): OpsetChange => ({
      operator: "GridSample",
      opset: 20,
      before: `\`mode\` is \`bi${mode}\``,
      since: `\`mode\` is \`${mode}\`; linear for any number of axes`,
      handling: "same",
      sides: [
        {
          inputs: [
            [1, 1, 4, 4],
            [1, 2, 2, 2],
          ],
          attributes: { mode: string(`bi${mode}`) },
        },
        {
          inputs: [
            [1, 1, 4, 4],
            [1, 2, 2, 2],
          ],
          attributes: { mode: string(mode) },
        },
      ],
    }),
  ),
  {
    operator: "GroupNormalization",
    opset: 21,
    before: "scale and bias are those of groups",
    since: "scale and bias are those of channels",
    handling: "adapted",
    sides: [
      { inputs: [[2, 4, 3], [2], [2]], attributes: { num_groups: int(2) } },
      { inputs: [[2, 4, 3], [4], [4]], attributes: { num_groups: int(2) } },
    ],
  },
  ...["Max", "Mean", "Min", "Sum"].map(
    (operator): OpsetChange => ({
      operator,
      opset: 8,
      before: "inputs have one shape",
      since: "inputs broadcast",
      handling: "same",
      sides: [
        {
          inputs: [
            [2, 3],
            [2, 3],
            [2, 3],
          ],
        },
        { inputs: [[2, 3], [3], [2, 1]] },
      ],
    }),
  ),
  {
    operator: "OneHot",
    opset: 11,
    before: "negative indices are outside; ONNX Runtime counts them from the end",
    since: "they count from the end",
    handling: "same",
    sides: [
      { inputs: [vector(0, -1, 5), scalar(3, "int64"), tensorData([0, 1], [2], "float32")] },
      { inputs: [vector(0, -1, 5), scalar(3, "int64"), tensorData([0, 1], [2], "float32")] },
    ],
  },
  {
    operator: "PRelu",
    opset: 7,
    before: "a vector holds the slopes of channels",
    since: "the slopes broadcast, last axes together",
    handling: "adapted",
    sides: [
      {
        inputs: [[2, 3, 4], [3]],
        expected: ([x, slopes]) =>
          x.map((value, index) => (value < 0 ? value * slopes[column(index)] : value)),
      },
      { inputs: [[2, 3, 4], tensorData([0.1, 0.2, 0.3], [3, 1], "float32")] },
    ],
  },
  {
    operator: "Pad",
    opset: 11,
    before: "`pads` and `value` are attributes",
    since: "they are inputs",
    handling: "adapted",
    sides: [
      { inputs: [[2, 3]], attributes: { pads: ints([0, 1, 1, -1]), value: float(2) } },
      { inputs: [[2, 3], vector(0, 1, 1, -1), scalar(2)] },
    ],
  },
  {
    operator: "Pad",
    opset: 18,
    before: "`pads` are of all axes",
    since: "of the `axes` that an input names",
    handling: "same",
    sides: [
      { inputs: [[2, 3], vector(0, 1, 1, 0)] },
      { inputs: [[2, 3], vector(1, 2), undefined, vector(-1)] },
    ],
  },
  {
    operator: "Pad",
    opset: 19,
    before: "modes `constant`, `reflect`, `edge`",
    since: "and `wrap`",
    handling: "same",
    sides: [
      { inputs: [[2, 3], vector(0, 1, 1, 0)], attributes: { mode: string("edge") } },
      { inputs: [[2, 3], vector(0, 1, 1, 2)], attributes: { mode: string("wrap") } },
    ],
  },
  {
    operator: "Pow",
    opset: 12,
    before: "base and exponent have one type",
    since: "each has its own; the result has the base's",
    handling: "same",
    sides: [
      { inputs: [tensorData([1, 2, 3], [3], "float32"), scalar(0.5)] },
      { inputs: [tensorData([4, 9, 16], [3], "int32"), scalar(0.5)] },
    ],
  },
  {
    operator: "QuantizeLinear",
    opset: 13,
    before: "one scale",
    since: "or one for each place of `axis`",
    handling: "same",
    sides: [
      { inputs: [[2, 3], scalar(0.1), scalar(3, "uint8")] },
      {
        inputs: [[2, 3], tensorData([0.1, 0.2], [2], "float32"), tensorData([3, 5], [2], "uint8")],
        attributes: { axis: int(0) },
      },
    ],
  },
  {
    operator: "QuantizeLinear",
    opset: 21,
    before: "the zero point says the type",
    since: "or `output_dtype` does; `block_size` elements share a scale",
    handling: "same",
    sides: [
      { inputs: [[2, 3], scalar(0.1), scalar(3, "int8")] },
      {
        inputs: [
          [2, 4],
          tensorData([0.1, 0.2, 0.3, 0.4], [2, 2], "float32"),
          tensorData([3, 5, 1, 0], [2, 2], "uint8"),
        ],
        attributes: { axis: int(1), block_size: int(2) },
      },
    ],
  },
  {
    operator: "DequantizeLinear",
    opset: 13,
    before: "one scale",
    since: "or one for each place of `axis`",
    handling: "same",
    sides: [
      { inputs: [tensorData([1, 2, 3, 4], [2, 2], "uint8"), scalar(0.1), scalar(3, "uint8")] },
      {
        inputs: [
          tensorData([1, 2, 3, 4], [2, 2], "uint8"),
          tensorData([0.1, 0.2], [2], "float32"),
          tensorData([3, 5], [2], "uint8"),
        ],
        attributes: { axis: int(0) },
      },
    ],
  },
  {
    operator: "DequantizeLinear",
    opset: 21,
    before: "one scale for a tensor or a place of an axis",
    since: "`block_size` elements share one",
    handling: "same",
    sides: [
      { inputs: [tensorData([1, 2, 3, 4], [2, 2], "int8"), scalar(0.1)] },
      {
        inputs: [tensorData([1, 2, 3, 4], [1, 4], "int8"), tensorData([0.1, 0.2], [1, 2], "float32")],
        attributes: { axis: int(1), block_size: int(2) },
      },
    ],
  },
  tooOld(
    "Relu",
    6,
    "`consumed_inputs` says which inputs may be overwritten (as in 29 other operators)",
    "no such attribute",
    { inputs: [[2, 3]], attributes: { consumed_inputs: ints([1]) } },
    { inputs: [[2, 3]] },
  ),
  tooOld(
    "Pad",
    2,
    "the sizes are called `paddings`",
    "`pads`",
    { inputs: [[2, 3]], attributes: { paddings: ints([0, 1, 1, 0]) } },
    { inputs: [[2, 3]], attributes: { pads: ints([0, 1, 1, 0]) } },
  ),
  tooOld(
    "LpPool",
    2,
    "`p` is a fraction",
    "`p` is a whole number",
    { inputs: [image], attributes: { kernel_shape: ints([2, 2]), p: float(2) } },
    { inputs: [image], attributes: { kernel_shape: ints([2, 2]), p: int(1) } },
  ),
  tooOld(
    "Split",
    2,
    "`axis` has no default; sizes may be an input",
    "`axis` is 0 by default",
    { inputs: [[4]], attributes: { axis: int(0) }, outputs: 2 },
    { inputs: [[4]], outputs: 2 },
  ),
  {
    operator: "MaxPool",
    opset: 10,
    before: "windows fit into the input, of neighbors",
    since: "`ceil_mode` and `dilations`",
    handling: "same",
    sides: [
      { inputs: [image], attributes: { kernel_shape: ints([3, 3]), strides: ints([2, 2]) } },
      { inputs: [[1, 1, 7, 7]], attributes: { ...pooling, dilations: ints([2, 1]) } },
    ],
  },
  ...["LSTM", "RNN"].map((operator): OpsetChange => {
    const gates = operator === "LSTM" ? 4 : 1;
    const weights = [sequence([1, gates * 3, 2]), sequence([1, gates * 3, 3])];
    return {
      operator,
      opset: 7,
      before: "`output_sequence` says whether the first output is read",
      since: "that it is read says it",
      handling: "adapted",
      sides: [
        {
          inputs: [tensorData(new Array(16).fill(0), [4, 2, 2], "float32"), ...weights],
          attributes: { hidden_size: int(3), output_sequence: int(1) },
          // Of zeros without a bias a layer makes zeros.
          expected: () => new Array(24).fill(0),
        },
        { inputs: [[4, 2, 2], ...weights], attributes: { hidden_size: int(3) } },
      ],
    };
  }),
  tooOld(
    "Reshape",
    5,
    "`shape` is an attribute",
    "`shape` is an input",
    { inputs: [[2, 3]], attributes: { shape: ints([3, 2]) } },
    { inputs: [[2, 3], vector(3, 2)] },
  ),
  {
    operator: "Reshape",
    opset: 14,
    before: "a size of 0 is that of the input",
    since: "with `allowzero` it is 0",
    handling: "same",
    sides: [
      { inputs: [[2, 3], vector(0, -1)] },
      { inputs: [[2, 3], vector(3, 2)], attributes: { allowzero: int(1) } },
    ],
  },
  {
    operator: "Resize",
    opset: 11,
    before:
      "places are counted without half an element; of a nearest one growing takes that before, shrinking that behind",
    since:
      "`coordinate_transformation_mode` (default `half_pixel`) and `nearest_mode` say it; `sizes`, crops, cubic",
    handling: "adapted",
    sides: [
      { inputs: [[1, 1, 4, 6], tensorData([1, 1, 0.5, 1.5], [4], "float32")] },
      {
        inputs: [[1, 1, 4, 6], tensorData([], [0], "float32"), tensorData([1, 1, 0.5, 1.5], [4], "float32")],
      },
    ],
  },
  {
    operator: "Resize",
    opset: 11,
    before: "linear: places are counted without half an element",
    since: "linear: with half an element",
    handling: "adapted",
    sides: [
      {
        inputs: [[1, 1, 4, 6], tensorData([1, 1, 2, 1.5], [4], "float32")],
        attributes: { mode: string("linear") },
      },
      {
        inputs: [[1, 1, 4, 6], tensorData([], [0], "float32"), tensorData([1, 1, 2, 1.5], [4], "float32")],
        attributes: { mode: string("linear") },
      },
    ],
  },
  {
    operator: "Resize",
    opset: 13,
    before: "`tf_half_pixel_for_nn` is a way to count places",
    since: "it is not; the crop may be left out",
    handling: "same",
    sides: [
      {
        inputs: [[1, 1, 4, 6], tensorData([], [0], "float32"), tensorData([1, 1, 0.5, 1.5], [4], "float32")],
        attributes: { coordinate_transformation_mode: string("tf_half_pixel_for_nn") },
      },
      { inputs: [[1, 1, 4, 6], undefined, tensorData([1, 1, 0.5, 1.5], [4], "float32")] },
    ],
  },
  {
    operator: "Resize",
    opset: 18,
    before: "every axis is given; shrinking reads few elements",
    since: "`axes` names some; `antialias` reads all; `keep_aspect_ratio_policy`",
    handling: "same",
    sides: [
      {
        inputs: [[1, 1, 4, 6], undefined, tensorData([1, 1, 0.5, 0.5], [4], "float32")],
        attributes: { mode: string("linear") },
      },
      {
        inputs: [[1, 1, 4, 6], undefined, undefined, vector(2, 4)],
        attributes: {
          mode: string("linear"),
          antialias: int(1),
          axes: ints([2, 3]),
          keep_aspect_ratio_policy: string("not_larger"),
        },
      },
    ],
  },
  {
    operator: "Resize",
    opset: 19,
    before: "no `half_pixel_symmetric`",
    since: "places lie evenly around the middle with it",
    handling: "same",
    sides: [
      {
        inputs: [[1, 1, 4, 6], undefined, tensorData([1, 1, 0.6, 0.7], [4], "float32")],
        attributes: { mode: string("linear") },
      },
      {
        inputs: [[1, 1, 4, 6], undefined, tensorData([1, 1, 0.6, 0.7], [4], "float32")],
        attributes: {
          mode: string("linear"),
          coordinate_transformation_mode: string("half_pixel_symmetric"),
        },
      },
    ],
  },
  {
    operator: "RoiAlign",
    opset: 16,
    before: "regions are counted from the center of the first element (`output_half_pixel`)",
    since: "from its outer edge (`half_pixel`), by default",
    handling: "adapted",
    sides: [
      {
        inputs: [[1, 2, 6, 6], tensorData([0, 1, 4.5, 5, 1, 1, 3, 2.5], [2, 4], "float32"), vector(0, 0)],
        attributes: { output_height: int(2), output_width: int(3), sampling_ratio: int(2) },
      },
      {
        inputs: [[1, 2, 6, 6], tensorData([0, 1, 4.5, 5, 1, 1, 3, 2.5], [2, 4], "float32"), vector(0, 0)],
        attributes: { output_height: int(2), output_width: int(3), sampling_ratio: int(2) },
      },
    ],
  },
  {
    operator: "Scatter",
    opset: 11,
    before: "`Scatter`",
    since: "`ScatterElements`; negative indices count from the end",
    handling: "adapted",
    sides: [
      { inputs: [[3, 2], tensorData([1, 0], [1, 2], "int64"), [1, 2]] },
      { operator: "ScatterElements", inputs: [[3, 2], tensorData([-1, 0], [1, 2], "int64"), [1, 2]] },
    ],
  },
  ...(
    [
      ["ScatterElements", tensorData([1, 1], [1, 2], "int64"), [1, 2]],
      ["ScatterND", tensorData([1, 2], [2, 1], "int64"), [2, 2]],
    ] as const
  ).flatMap(([operator, indices, updates]): OpsetChange[] => [
    {
      operator,
      opset: 16,
      before: "an update takes the place of the old number",
      since: "or is added or multiplied (`reduction`)",
      handling: "same",
      sides: [
        { inputs: [[3, 2], indices, updates] },
        { inputs: [[3, 2], indices, updates], attributes: { reduction: string("mul") } },
      ],
    },
    {
      operator,
      opset: 18,
      before: "`reduction` is `none`, `add` or `mul`",
      since: "or `min` or `max`",
      handling: "same",
      sides: [
        { inputs: [[3, 2], indices, updates], attributes: { reduction: string("add") } },
        { inputs: [[3, 2], indices, updates], attributes: { reduction: string("max") } },
      ],
    },
  ]),
  tooOld(
    "Selu",
    6,
    "α is 1.6732 and γ 1.0507 by default",
    "both have more digits",
    { inputs: [[2, 3]] },
    { inputs: [[2, 3]] },
  ),
  {
    operator: "Shape",
    opset: 15,
    before: "all sizes",
    since: "those from `start` to `end`",
    handling: "same",
    sides: [{ inputs: [[2, 3, 4]] }, { inputs: [[2, 3, 4]], attributes: { start: int(-2), end: int(-1) } }],
  },
  {
    operator: "Slice",
    opset: 10,
    before: "`starts`, `ends` and `axes` are attributes",
    since: "they are inputs, and so are `steps`",
    handling: "adapted",
    sides: [
      { inputs: [[3, 5]], attributes: { starts: ints([1, -4]), ends: ints([3, 100]), axes: ints([0, 1]) } },
      { inputs: [[3, 5], vector(-1, 4), vector(-100, 0), vector(0, 1), vector(-1, -2)] },
    ],
  },
  {
    operator: "Split",
    opset: 13,
    before: "`split` is an attribute",
    since: "`split` is an input",
    handling: "adapted",
    sides: [
      { inputs: [[6]], attributes: { split: ints([2, 4]) }, outputs: 2 },
      { inputs: [[6], vector(1, 5)], outputs: 2 },
    ],
  },
  {
    operator: "Split",
    opset: 18,
    before: "without sizes there are as many equal parts as outputs",
    since: "`num_outputs` says how many; the last may be smaller",
    handling: "adapted",
    sides: [
      { inputs: [[6]], outputs: 3 },
      { inputs: [[7]], attributes: { num_outputs: int(3) }, outputs: 3 },
    ],
  },
  ...(
    [
      ["Squeeze", [1, 2, 1, 3], 2],
      ["Unsqueeze", [2, 3], -1],
    ] as const
  ).map(
    ([operator, shape, axis]): OpsetChange => ({
      operator,
      opset: 13,
      before: "`axes` is an attribute",
      since: "`axes` is an input",
      handling: "adapted",
      sides: [{ inputs: [shape], attributes: { axes: ints([axis]) } }, { inputs: [shape, vector(axis)] }],
    }),
  ),
  tooOld(
    "Tile",
    6,
    "`tiles` repeats one `axis`",
    "`repeats` repeats every axis",
    { inputs: [[2, 3], scalar(2, "int64"), scalar(1, "int64")] },
    { inputs: [[2, 3], vector(1, 2)] },
  ),
  {
    operator: "TopK",
    opset: 10,
    before: "`k` is an attribute",
    since: "`k` is an input",
    handling: "adapted",
    sides: [
      { inputs: [[2, 5]], attributes: { k: int(2) }, outputs: 2 },
      { inputs: [[2, 5], vector(2)], outputs: 2 },
    ],
  },
  {
    operator: "TopK",
    opset: 11,
    before: "the largest, in order",
    since: "or the smallest (`largest` 0)",
    handling: "same",
    sides: [
      { inputs: [[2, 5], vector(2)], outputs: 2 },
      { inputs: [[2, 5], vector(2)], attributes: { largest: int(0), axis: int(0) }, outputs: 2 },
    ],
  },
  {
    operator: "Upsample",
    opset: 7,
    before: "`height_scale` and `width_scale`",
    since: "`scales` of all axes",
    handling: "adapted",
    sides: [
      {
        inputs: [[1, 1, 1, 2]],
        attributes: { height_scale: float(2), width_scale: float(2) },
        expected: ([[a, b]]) => [a, a, b, b, a, a, b, b],
      },
      { inputs: [[1, 1, 2, 2]], attributes: { scales: floats([1, 1, 2, 2]) } },
    ],
  },
  {
    operator: "Upsample",
    opset: 9,
    before: "`scales` is an attribute",
    since: "`scales` is an input",
    handling: "adapted",
    sides: [
      { inputs: [[1, 1, 2, 3]], attributes: { scales: floats([1, 1, 2, 2]), mode: string("linear") } },
      { inputs: [[1, 1, 2, 3], tensorData([1, 1, 2, 3], [4], "float32")] },
    ],
  },
];
