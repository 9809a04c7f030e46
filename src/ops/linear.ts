import { readOptions } from "../common/options.ts";
import { describe, type Shape, type TensorType, type Value } from "../graph/graph.ts";
import { mul, sumToShape } from "./arithmetic.ts";
import { reshape, transpose } from "./movement.ts";
import {
  apply,
  broadcastShape,
  defineOperator,
  floatAttribute,
  int,
  intAttribute,
  operatorError,
  requireSameType,
} from "./operator.ts";

// A vector on the left is one row, on the right one column, and the axis of size 1 is dropped from the result.
defineOperator("MatMul", {
  since: 13,
  infer: ([a, b]): TensorType[] => {
    const [left, right] = [a!, b!];
    const type = requireSameType("MatMul", [left, right]);
    return [{ type, shape: productShape("MatMul", left, right) }];
  },
  gradient: ({ inputs: [a, b], gradient, wanted }) => {
    const [rows, columns] = [reshape(a, asRows(a.shape)), reshape(b, asColumns(b.shape))];
    const batch = gradient.shape.slice(
      0,
      gradient.shape.length - (a.shape.length > 1 ? 1 : 0) - (b.shape.length > 1 ? 1 : 0),
    );
    const dy = reshape(gradient, [...batch, rows.shape.at(-2)!, columns.shape.at(-1)!]);
    const back = (product: Value, to: Value, shape: Shape) => reshape(sumToShape(product, shape), to.shape);
    return [
      wanted[0] ? back(matMul(dy, transposeLast(columns)), a, rows.shape) : undefined,
      wanted[1] ? back(matMul(transposeLast(rows), dy), b, columns.shape) : undefined,
    ];
  },
});

/** The shape of a matrix product. Throws where the two do not fit. */
export function productShape(operator: string, left: Value, right: Value): Shape {
  const [rows, columns] = [asRows(left.shape), asColumns(right.shape)];
  if (left.shape.length < 1 || right.shape.length < 1 || rows.at(-1) !== columns.at(-2)) {
    throw operatorError(operator, left, `cannot multiply ${describe(left)} by ${describe(right)}`);
  }
  const batch = broadcastShape(
    operator,
    { ...left, shape: rows.slice(0, -2) },
    { ...right, shape: columns.slice(0, -2) },
  );
  return [...batch, ...left.shape.slice(-2, -1), ...right.shape.slice(-2).slice(1)];
}

const asRows = (shape: Shape): Shape => (shape.length === 1 ? [1, ...shape] : shape);
const asColumns = (shape: Shape): Shape => (shape.length === 1 ? [...shape, 1] : shape);

/** Matrix product of the last two axes, [..., m, k] by [..., k, n]; the axes before are broadcast. Either may be a vector. */
export function matMul(a: Value, b: Value): Value {
  return apply("MatMul", [a, b])[0];
}

/** Swaps the last two axes. */
export function transposeLast(x: Value): Value {
  const order = x.shape.map((_, axis) => axis);
  return transpose(x, [...order.slice(0, -2), order.at(-1)!, order.at(-2)!]);
}

// Y = α·A′·B′ + β·C with A′ = A or Aᵀ and B′ = B or Bᵀ, all matrices; C is broadcast to [m, n].
defineOperator("Gemm", {
  since: 13,
  infer: ([a, b, c], attributes): TensorType[] => {
    const [left, right] = [a!, b!];
    const type = requireSameType("Gemm", c ? [left, right, c] : [left, right]);
    const [transposeA, transposeB] = [
      intAttribute(attributes, "transA", 0),
      intAttribute(attributes, "transB", 0),
    ];
    const [m, k] = transposeA ? [...left.shape].reverse() : left.shape;
    const [depth, n] = transposeB ? [...right.shape].reverse() : right.shape;
    if (left.shape.length !== 2 || right.shape.length !== 2 || k !== depth) {
      const mark = (transposed: number) => (transposed ? " transposed" : "");
      throw operatorError(
        "Gemm",
        left,
        `cannot multiply ${describe(left)}${mark(transposeA)} by ${describe(right)}${mark(transposeB)}`,
      );
    }
    const summandFits = c?.shape.every(
      (size, axis) => size === 1 || size === [m, n].slice(-c.shape.length)[axis],
    );
    if (c && (c.shape.length > 2 || !summandFits)) {
      throw operatorError("Gemm", left, `${describe(c)} does not stretch to the product's [${m}, ${n}]`);
    }
    return [{ type, shape: [m, n] }];
  },
  gradient: ({ inputs: [a, b, c], attributes, gradient, wanted }) => {
    const [transposeA, transposeB] = ["transA", "transB"].map(
      (name) => intAttribute(attributes, name, 0) !== 0,
    );
    const scaled = (value: Value, factor: number) => (factor === 1 ? value : mul(value, factor));
    const dy = scaled(gradient, floatAttribute(attributes, "alpha", 1));
    const gradientA = () =>
      transposeA
        ? gemm(b, dy, undefined, { transposeA: transposeB, transposeB: true })
        : gemm(dy, b, undefined, { transposeB: !transposeB });
    const gradientB = () =>
      transposeB
        ? gemm(dy, a, undefined, { transposeA: true, transposeB: transposeA })
        : gemm(a, dy, undefined, { transposeA: !transposeA });
    return [
      wanted[0] ? gradientA() : undefined,
      wanted[1] ? gradientB() : undefined,
      wanted[2] ? sumToShape(scaled(gradient, floatAttribute(attributes, "beta", 1)), c.shape) : undefined,
    ];
  },
});

/** Matrix product of two matrices, either one transposed first, plus an optional broadcast summand. */
export function gemm(
  a: Value,
  b: Value,
  c?: Value,
  options: { transposeA?: boolean; transposeB?: boolean } = {},
): Value {
  const kinds = { transposeA: "boolean", transposeB: "boolean" } as const;
  const { transposeA = false, transposeB = false } = readOptions("gemm", options, kinds);
  return apply("Gemm", [a, b, c], { transA: int(transposeA ? 1 : 0), transB: int(transposeB ? 1 : 0) })[0];
}

/** x·Wᵀ + b for x [N, in], weight [out, in] and bias [out]: PyTorch's `linear`. */
export function linear(x: Value, weight: Value, bias?: Value): Value {
  if (x.shape.length !== 2 || weight.shape.length !== 2 || x.shape[1] !== weight.shape[1]) {
    throw operatorError(
      "linear",
      x,
      `input has shape [${x.shape.join(", ")}], weight [${weight.shape.join(", ")}] expects [N, ${weight.shape[1] ?? "inputs"}]`,
    );
  }
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== weight.shape[0])) {
    throw operatorError(
      "linear",
      x,
      `bias has shape [${bias.shape.join(", ")}], weight has ${weight.shape[0]} outputs (shape [${weight.shape.join(", ")}])`,
    );
  }
  return gemm(x, weight, bias, { transposeB: true });
}
