import type { Random } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import type { DataType } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { partner, pick, shapeOf, size } from "../testing/gradient-cases.ts";
import { type NodeCase, type NodeCases, testNodes } from "../testing/kernel-cases.ts";
import { int, ints } from "./operator.ts";

// Operators without a gradient: types and shapes of all outputs are those of ONNX Runtime's kernel, and so are the
// numbers where they are computed here, because everything a node reads is constant.

const forward = (operator: string, opset: number, draw: (random: Random) => NodeCase): NodeCases => ({
  operator,
  opset,
  draw,
  differentiate: false,
});

function whole(random: Random, shape: Shape, type: DataType, from: number, to: number) {
  const values = Array.from({ length: elementCount(shape) }, () => from + random.integer(to - from));
  return tensorData(values, shape, type);
}

/** Of two tensors that broadcast: fed numbers, or constant ones of which some are equal. */
const comparing = (operator: string, opset: number) =>
  forward(operator, opset, (random) => {
    const shape = shapeOf(random);
    const shapes = [shape, partner(random, shape)];
    const type = pick(random, ["int64", "float32", undefined] as const);
    return { inputs: type ? shapes.map((each) => whole(random, each, type, 0, 3)) : shapes };
  });

const logic = (operator: string, inputs: number) =>
  forward(operator, 7, (random) => {
    const shape = shapeOf(random);
    const shapes = [shape, partner(random, shape)].slice(0, inputs);
    return { inputs: shapes.map((each) => whole(random, each, "bool", 0, 2)) };
  });

const single = (operator: string, opset: number, draw?: NodeCase["draw"]) =>
  forward(operator, opset, (random) => ({ inputs: [shapeOf(random)], draw }));

const halves = (random: Random) => (random.integer(9) - 4) / 2;
const unusual = (random: Random) => pick(random, [0, 1, Number.NaN, Number.POSITIVE_INFINITY, -1 / 0]);

const extreme = (operator: string) =>
  forward(operator, 13, (random) => {
    const shape = shapeOf(random, 1 + random.integer(3));
    const axis = random.integer(2 * shape.length) - shape.length;
    return { inputs: [shape], attributes: { axis: int(axis), keepdims: int(random.integer(2)) } };
  });

/** A scale and a zero point. */
const quantizer = (random: Random, type: "uint8" | "int8" = "uint8") => [
  tensorData([0.05 + random.uniform()], [], "float32"),
  whole(random, [], type, 0, 100),
];

/** A matrix product's operands, quantized; the first may be a batch. */
function factors(random: Random) {
  const [rows, inner, columns] = [size(random), size(random), size(random)];
  const batch = random.uniform() < 0.5 ? [size(random)] : [];
  return [
    whole(random, [...batch, rows, inner], "uint8", 0, 256),
    whole(random, [inner, columns], "uint8", 0, 256),
  ];
}

/** An image and a kernel, quantized, and how the one slides over the other. */
function convolved(random: Random) {
  const group = size(random, 2);
  const kernel = [size(random, 3), size(random, 3)];
  const strides = [size(random, 2), size(random, 2)];
  const automatic = random.uniform() < 0.3;
  const pads = [random.integer(2), random.integer(2), random.integer(2), random.integer(2)];
  const shape = kernel.map((taps) => taps + random.integer(4));
  return {
    x: whole(random, [size(random, 2), 2 * group, ...shape], "uint8", 0, 256),
    weight: whole(random, [group * size(random, 2), 2, ...kernel], "uint8", 0, 256),
    attributes: {
      kernel_shape: ints(kernel),
      strides: ints(strides),
      group: int(group),
      ...(automatic ? { auto_pad: { string: "SAME_UPPER" } } : { pads: ints(pads) }),
    },
  };
}

testNodes({
  ...Object.fromEntries(
    [
      ["Equal", 13],
      ["Greater", 13],
      ["GreaterOrEqual", 16],
      ["Less", 13],
      ["LessOrEqual", 16],
    ].map(([operator, opset]) => [operator, comparing(String(operator), Number(opset))]),
  ),
  And: logic("And", 2),
  Or: logic("Or", 2),
  Xor: logic("Xor", 2),
  Not: logic("Not", 1),
  Floor: single("Floor", 13),
  Ceil: single("Ceil", 13),
  Round: single("Round", 11, halves),
  Sign: single("Sign", 13, halves),
  IsNaN: single("IsNaN", 13, unusual),
  IsInf: single("IsInf", 10, unusual),
  ArgMax: extreme("ArgMax"),
  ArgMin: extreme("ArgMin"),
  QuantizeLinear: forward("QuantizeLinear", 13, (random) => ({
    inputs: [shapeOf(random), ...quantizer(random, pick(random, ["uint8", "int8"]))],
  })),
  DequantizeLinear: forward("DequantizeLinear", 13, (random) => {
    const type = pick(random, ["uint8", "int8"] as const);
    return { inputs: [whole(random, shapeOf(random), type, 0, 128), ...quantizer(random, type)] };
  }),
  DynamicQuantizeLinear: forward("DynamicQuantizeLinear", 11, (random) => ({
    inputs: [shapeOf(random)],
    outputs: 3,
  })),
  MatMulInteger: forward("MatMulInteger", 10, (random) => ({
    inputs: [...factors(random), whole(random, [], "uint8", 0, 256), whole(random, [], "uint8", 0, 256)],
  })),
  QLinearMatMul: forward("QLinearMatMul", 10, (random) => {
    const [a, b] = factors(random);
    return { inputs: [a, ...quantizer(random), b, ...quantizer(random), ...quantizer(random)] };
  }),
  ConvInteger: forward("ConvInteger", 10, (random) => {
    const { x, weight, attributes } = convolved(random);
    const zeros = [whole(random, [], "uint8", 0, 256), whole(random, [], "uint8", 0, 256)];
    return { inputs: [x, weight, ...zeros], attributes };
  }),
  QLinearConv: forward("QLinearConv", 10, (random) => {
    const { x, weight, attributes } = convolved(random);
    return {
      inputs: [x, ...quantizer(random), weight, ...quantizer(random), ...quantizer(random)],
      attributes,
    };
  }),
});
