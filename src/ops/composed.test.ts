import type { Random } from "../common/random.ts";
import { type Attributes, elementCount } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { pick, shapeOf, size } from "../testing/gradient-cases.ts";
import { type NodeCases, testNodes } from "../testing/kernel-cases.ts";
import { int, ints } from "./operator.ts";

// Small operators that are built from others, or whose gradient is themselves, against ONNX Runtime's kernels.

const vector = (values: readonly number[]) => tensorData(values, [values.length], "int64");
const sizes = (random: Random, axes: number, largest = 3) =>
  Array.from({ length: axes }, () => size(random, largest));

/** Of numbers that come from a small range, so that some are equal. */
function wholes(random: Random, shape: readonly number[], from = -2, to = 3) {
  const values = Array.from({ length: elementCount(shape) }, () => from + random.integer(to - from));
  return tensorData(values, shape, pick(random, ["int64", "float32"]));
}

const integers = (
  operator: string,
  opset: number,
  inputs: number,
  attributes: (random: Random) => Attributes = () => ({}),
): NodeCases => ({
  operator,
  opset,
  differentiate: false,
  draw: (random) => {
    const shape = shapeOf(random, 1 + random.integer(3));
    const values = () => Array.from({ length: elementCount(shape) }, () => random.integer(7));
    const type = operator === "BitShift" ? "uint8" : "int32";
    return {
      inputs: Array.from({ length: inputs }, () => tensorData(values(), shape, type)),
      attributes: attributes(random),
    };
  },
});

testNodes({
  Det: {
    operator: "Det",
    opset: 11,
    draw: (random) => {
      const length = 1 + random.integer(4);
      return { inputs: [[...shapeOf(random, random.integer(3)), length, length]] };
    },
  },
  LpNormalization: {
    operator: "LpNormalization",
    opset: 22,
    draw: (random) => ({
      attributes: { p: int(1 + random.integer(2)), axis: int(random.integer(6) - 3) },
      inputs: [shapeOf(random, 3)],
    }),
  },
  GlobalLpPool: {
    operator: "GlobalLpPool",
    opset: 13,
    draw: (random) => ({
      attributes: { p: int(1 + random.integer(3)) },
      inputs: [[size(random), size(random), ...sizes(random, 1 + random.integer(2))]],
    }),
  },
  CenterCropPad: {
    operator: "CenterCropPad",
    opset: 18,
    draw: (random) => {
      const shape = sizes(random, 3, 6);
      const axes = pick(random, [undefined, [-1, 0], [1]]);
      return {
        attributes: (axes ? { axes: ints(axes) } : {}) as Attributes,
        inputs: [shape, vector(sizes(random, axes?.length ?? 3, 6))],
      };
    },
  },
  Col2Im: {
    operator: "Col2Im",
    opset: 18,
    draw: (random) => {
      const axes = 2;
      const block = sizes(random, axes);
      const strides = sizes(random, axes, 2);
      const dilations = sizes(random, axes, 2);
      const pads = Array.from({ length: 2 * axes }, () => random.integer(2));
      const blocks = sizes(random, axes);
      const image = blocks.map((count, axis) => {
        const reach = dilations[axis] * (block[axis] - 1) + 1;
        const spare = random.integer(strides[axis]);
        return Math.max(1, (count - 1) * strides[axis] + reach - pads[axis] - pads[axis + axes] + spare);
      });
      const counts = image.map((length, axis) => {
        const reach = dilations[axis] * (block[axis] - 1) + 1;
        return Math.floor((length + pads[axis] + pads[axis + axes] - reach) / strides[axis]) + 1;
      });
      return {
        attributes: { strides: ints(strides), dilations: ints(dilations), pads: ints(pads) },
        inputs: [
          [size(random, 2), size(random, 2) * elementCount(block), elementCount(counts)],
          vector(image),
          vector(block),
        ],
      };
    },
  },
  MaxUnpool: {
    operator: "MaxUnpool",
    opset: 11,
    draw: (random) => {
      const shape = [size(random, 2), size(random, 2), 1 + size(random, 2), 1 + size(random, 2)];
      const out = shape.map((length, axis) => (axis < 2 ? length : 2 * length));
      const places = [...random.permutation(elementCount(out))].slice(0, elementCount(shape));
      const kept = random.uniform() < 0.5;
      const larger = out.map((length, axis) => (axis === 3 ? length + 1 : length));
      return {
        attributes: { kernel_shape: ints([2, 2]), strides: ints([2, 2]) },
        inputs: [shape, tensorData(places, shape, "int64"), kept ? vector(larger) : undefined],
      };
    },
  },
  ReverseSequence: {
    operator: "ReverseSequence",
    opset: 10,
    draw: (random) => {
      const shape = shapeOf(random, 2 + random.integer(2));
      const time = random.integer(2);
      const lengths = Array.from({ length: shape[1 - time] }, () => 1 + random.integer(shape[time]));
      return {
        attributes: { time_axis: int(time), batch_axis: int(1 - time) },
        inputs: [shape, vector(lengths)],
      };
    },
  },
  Compress: {
    operator: "Compress",
    opset: 11,
    draw: (random) => {
      const shape = shapeOf(random, 2);
      const axis = pick(random, [undefined, 0, -1]);
      const length = axis === undefined ? elementCount(shape) : shape.at(axis)!;
      const holds = Array.from({ length }, (_, index) => (index === 0 ? 1 : random.integer(2)));
      return {
        attributes: (axis === undefined ? {} : { axis: int(axis) }) as Attributes,
        inputs: [shape, tensorData(holds, [length], "bool")],
      };
    },
  },
  NonZero: {
    operator: "NonZero",
    opset: 13,
    differentiate: false,
    draw: (random) => ({ inputs: [wholes(random, shapeOf(random, 1 + random.integer(3)))] }),
  },
  Unique: {
    operator: "Unique",
    opset: 11,
    differentiate: false,
    draw: (random) => {
      const axis = pick(random, [undefined, 0, 1]);
      return {
        attributes: { sorted: int(random.integer(2)), ...(axis === undefined ? {} : { axis: int(axis) }) },
        inputs: [wholes(random, [1 + size(random), size(random, 2)], 0, 2)],
        outputs: 4,
      };
    },
  },
  NonMaxSuppression: {
    operator: "NonMaxSuppression",
    opset: 11,
    differentiate: false,
    draw: (random) => {
      const [images, classes, boxes] = [size(random, 2), size(random, 2), 2 + size(random, 6)];
      const corners = Array.from({ length: images * boxes * 4 }, (_, index) =>
        index % 4 < 2 ? random.uniform() : 1 + random.uniform(),
      );
      const scores = Array.from({ length: images * classes * boxes }, () => random.uniform());
      const one = (value: number) => tensorData([value], [1], "float32");
      return {
        attributes: { center_point_box: int(random.integer(2)) },
        inputs: [
          tensorData(corners, [images, boxes, 4], "float32"),
          tensorData(scores, [images, classes, boxes], "float32"),
          vector([1 + random.integer(4)]),
          one(0.2 + 0.4 * random.uniform()),
          random.uniform() < 0.5 ? one(0.3) : undefined,
        ],
      };
    },
  },
  EyeLike: {
    operator: "EyeLike",
    opset: 9,
    differentiate: false,
    draw: (random) => ({
      attributes: { k: int(random.integer(5) - 2), ...(random.uniform() < 0.5 ? { dtype: int(7) } : {}) },
      inputs: [shapeOf(random, 2)],
    }),
  },
  Range: {
    operator: "Range",
    opset: 11,
    differentiate: false,
    draw: (random) => {
      const type = pick(random, ["float32", "int64"] as const);
      const bounds = [random.integer(9) - 4, random.integer(9) - 4, pick(random, [-2, -1, 1, 3])];
      return { inputs: bounds.map((bound) => tensorData([bound], [], type)) };
    },
  },
  ...Object.fromEntries(
    ["HannWindow", "HammingWindow", "BlackmanWindow"].map((operator): [string, NodeCases] => [
      operator,
      {
        operator,
        opset: 17,
        differentiate: false,
        draw: (random) => ({
          attributes: { periodic: int(random.integer(2)) },
          inputs: [tensorData([2 + random.integer(9)], [], "int64")],
        }),
      },
    ]),
  ),
  BitwiseAnd: integers("BitwiseAnd", 18, 2),
  BitwiseOr: integers("BitwiseOr", 18, 2),
  BitwiseXor: integers("BitwiseXor", 18, 2),
  BitwiseNot: integers("BitwiseNot", 18, 1),
  BitShift: integers("BitShift", 11, 2, (random) => ({
    direction: { string: pick(random, ["LEFT", "RIGHT"]) },
  })),
});
