import { type Attributes, describe, type Shape, type TensorType, type Value } from "../graph/graph.ts";
import { dataTypeName, dataTypes } from "../onnx/types.ts";
import { div, inferBroadcast, mul, pow, sub } from "./arithmetic.ts";
import { greaterOrEqual, less, or, where } from "./comparison.ts";
import { outputSize, plainPads, readConvolution } from "./convolution.ts";
import { cast } from "./elementwise.ts";
import { productShape } from "./linear.ts";
import { expand, reshape } from "./movement.ts";
import { apply, defineOperator, intAttribute, operatorError, stringAttribute } from "./operator.ts";

// Bits of integers, which have no gradient because nothing that trains is an integer; and arithmetic of quantized
// numbers, whose results depend on parameters through rounding: a loss behind those is refused.

for (const operator of ["BitwiseAnd", "BitwiseOr", "BitwiseXor"]) {
  defineOperator(operator, { since: 18, infer: inferBroadcast(operator), gradient: "zero" });
}
defineOperator("BitwiseNot", { since: 18, infer: ([x]) => [x!], gradient: "zero" });
defineOperator("BitCast", {
  since: 26,
  infer: ([x], attributes): TensorType[] => {
    const type = dataTypeName(intAttribute(attributes, "to", 0), "BitCast");
    if (dataTypes[type].bits !== dataTypes[x!.type].bits) {
      throw operatorError("BitCast", x!, `${describe(x!)} has not the bits of ${type}`);
    }
    return [{ type, shape: x!.shape }];
  },
  gradient: "none",
});
defineOperator("BitShift", { since: 11, infer: inferBroadcast("BitShift"), gradient: "zero" });

/**
 * A shift of integers of any type. One by a negative number, or by as many bits as there are, leaves the sign alone to the
 * right and nothing to the left.
 */
export function plainBitShift(x: Value, y: Value, attributes: Attributes): Value {
  const right = stringAttribute(attributes, "direction", "") === "RIGHT";
  const { bits } = dataTypes[x.type];
  const [wide, asked] = [cast(x, "int64"), cast(y, "int64")];
  const outside = or(less(asked, 0), greaterOrEqual(asked, bits));
  const places = where(outside, right ? 63 : 0, asked);
  // In two steps, since 2⁶³ is no int64.
  const first = div(places, 2);
  const factors = [first, sub(places, first)].map((count) => pow(x.graph.scalar(2, "int64"), count));
  if (!right) return cast(where(outside, 0, factors.reduce(mul, wide)), x.type);
  const floorOf = (value: Value, factor: Value) => div(sub(value, apply("Mod", [value, factor])[0]), factor);
  return cast(factors.reduce(floorOf, wide), x.type);
}

// y, its scale and its zero point, of the range that x has.
defineOperator("DynamicQuantizeLinear", {
  since: 11,
  infer: ([x]): TensorType[] => [
    { type: "uint8", shape: x!.shape },
    { type: "float32", shape: [] },
    { type: "uint8", shape: [] },
  ],
  gradient: "none",
});

defineOperator("MatMulInteger", {
  since: 10,
  infer: ([a, b]): TensorType[] => [{ type: "int32", shape: productShape("MatMulInteger", a!, b!) }],
  gradient: "none",
});

// a, its scale and zero point, b, its own, and those of the result.
defineOperator("QLinearMatMul", {
  since: 10,
  infer: ([a, , , b, , , , zero]): TensorType[] => [
    { type: zero!.type, shape: productShape("QLinearMatMul", a!, b!) },
  ],
  gradient: "none",
});

defineOperator("ConvInteger", {
  since: 10,
  infer: ([x, weight], attributes): TensorType[] => [
    { type: "int32", shape: convolvedShape(x!, weight!, attributes) },
  ],
  gradient: "none",
});

/** ConvInteger with a zero point for each channel z: what the weights give, less z times what as many ones give. */
export function plainConvInteger([x, weight, zero, zeros]: readonly Value[], attributes: Attributes): Value {
  const one = cast(x.graph.scalar(1, "int32"), weight.type);
  const [product, sums] = [weight, expand(one, weight.shape)].map(
    (kernel) => apply("ConvInteger", [x, kernel, zero], attributes)[0],
  );
  const wide = [1, zeros.shape[0], ...x.shape.slice(2).map(() => 1)];
  return sub(product, mul(reshape(cast(zeros, "int32"), wide), sums));
}

// x, its scale and zero point, the weight, its own, those of the result, and a bias.
defineOperator("QLinearConv", {
  since: 10,
  infer: ([x, , , weight, , , , zero], attributes): TensorType[] => [
    { type: zero!.type, shape: convolvedShape(x!, weight!, attributes) },
  ],
  gradient: "none",
});

function convolvedShape(x: Value, weight: Value, attributes: Attributes): Shape {
  const [size, kernel] = [x.shape.slice(2), weight.shape.slice(2)];
  const window = readConvolution(attributes, size.length);
  const pads = plainPads(attributes, size, kernel, window);
  return [x.shape[0], weight.shape[0], ...outputSize(size, kernel, { ...window, pads })];
}
