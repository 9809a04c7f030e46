import type { Value } from "../graph/graph.ts";
import { add, mul, neg, reciprocal, square, sub } from "./arithmetic.ts";
import { defineElementwise, sqrt } from "./elementwise.ts";
import { apply } from "./operator.ts";

// Tangent, hyperbolic functions and the inverses of all; sine and cosine stand in elementwise.ts.

defineElementwise({
  Tan: { since: 7, derivative: (_x, y) => add(square(y), 1) },
  Asin: { since: 7, derivative: (x) => reciprocal(sqrt(sub(1, square(x)))), singular: true },
  Acos: { since: 7, derivative: (x) => neg(reciprocal(sqrt(sub(1, square(x))))), singular: true },
  Atan: { since: 7, derivative: (x) => reciprocal(add(square(x), 1)) },
  Sinh: { since: 9, derivative: (x) => cosh(x) },
  Cosh: { since: 9, derivative: (x) => sinh(x) },
  Asinh: { since: 9, derivative: (x) => reciprocal(sqrt(add(square(x), 1))) },
  // √(x − 1)·√(x + 1) loses nothing near 1, where x² − 1 would.
  Acosh: {
    since: 9,
    derivative: (x) => reciprocal(mul(sqrt(sub(x, 1)), sqrt(add(x, 1)))),
    singular: true,
  },
  Atanh: { since: 9, derivative: (x) => reciprocal(sub(1, square(x))), singular: true },
});

export const tan = (x: Value): Value => apply("Tan", [x])[0];
export const asin = (x: Value): Value => apply("Asin", [x])[0];
export const acos = (x: Value): Value => apply("Acos", [x])[0];
export const atan = (x: Value): Value => apply("Atan", [x])[0];
export const sinh = (x: Value): Value => apply("Sinh", [x])[0];
export const cosh = (x: Value): Value => apply("Cosh", [x])[0];
export const asinh = (x: Value): Value => apply("Asinh", [x])[0];
export const acosh = (x: Value): Value => apply("Acosh", [x])[0];
export const atanh = (x: Value): Value => apply("Atanh", [x])[0];
