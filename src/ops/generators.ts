import { type Attributes, describe, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { dataTypeName } from "../onnx/types.ts";
import { composeOperator, intAttribute, operatorError, requireAtMost, requireConstant } from "./operator.ts";

// Constants that operators make of sizes: a diagonal of ones, numbers in a row, windows of signal processing.

composeOperator("EyeLike", {
  since: 9,
  gradient: "zero",
  build: ([x], attributes) => {
    const [rows, columns] = x!.shape;
    if (x!.shape.length !== 2) throw operatorError("EyeLike", x!, `${describe(x!)} is no matrix`);
    requireAtMost("EyeLike", x!, rows * columns, "numbers");
    const diagonal = intAttribute(attributes, "k", 0);
    const type = attributes.dtype ? dataTypeName(intAttribute(attributes, "dtype", 1), "EyeLike") : x!.type;
    const data = Array.from({ length: rows * columns }, (_, index) =>
      Number((index % columns) - Math.floor(index / columns) === diagonal),
    );
    return [x!.graph.constant(tensorData(data, [rows, columns], type))];
  },
});

composeOperator("Range", {
  since: 11,
  gradient: "zero",
  build: ([start, limit, delta]) => {
    const [from, to, step] = [start!, limit!, delta!].map(
      (value) => requireConstant("Range", start!, value, "bounds")[0],
    );
    const count = Math.max(0, Math.ceil((to - from) / step));
    requireAtMost("Range", start!, count, "numbers");
    const data = Array.from({ length: count }, (_, index) => from + index * step);
    return [start!.graph.constant(tensorData(data, [count], start!.type))];
  },
});

// Cosine sums Σ aᵢ·cos(2πi·n/N), N the size of a periodic window and one less for a symmetric one.
for (const [operator, coefficients] of [
  ["HannWindow", [0.5, -0.5]],
  ["HammingWindow", [25 / 46, -21 / 46]],
  ["BlackmanWindow", [0.42, -0.5, 0.08]],
] as const) {
  composeOperator(operator, {
    since: 17,
    gradient: "zero",
    build: ([size], attributes) => [cosineWindow(operator, size!, coefficients, attributes)],
  });
}

function cosineWindow(
  operator: string,
  size: Value,
  coefficients: readonly number[],
  attributes: Attributes,
): Value {
  const [length] = requireConstant(operator, size, size, "sizes");
  requireAtMost(operator, size, length, "numbers");
  const whole = intAttribute(attributes, "periodic", 1) === 1 ? length : length - 1;
  const data = Array.from({ length }, (_, index) =>
    coefficients.reduce((sum, a, order) => sum + a * Math.cos((2 * Math.PI * order * index) / whole), 0),
  );
  const type = dataTypeName(intAttribute(attributes, "output_datatype", 1), operator);
  return size.graph.constant(tensorData(data, [length], type));
}
