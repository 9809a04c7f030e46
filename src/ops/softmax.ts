import type { TensorType, Value } from "../graph/graph.ts";
import { mul, sub } from "./arithmetic.ts";
import { exp } from "./elementwise.ts";
import { apply, defineOperator, int, intAttribute, normalizeAxes } from "./operator.ts";
import { reduceSum } from "./reduction.ts";

defineOperator("Softmax", {
  since: 13,
  infer: ([x]): TensorType[] => [x!],
  // y·(dy − ⟨dy, y⟩)
  gradient: ({ outputs: [y], attributes, gradient }) => {
    const weighted = reduceSum(mul(gradient, y), [intAttribute(attributes, "axis", -1)], true);
    return [mul(y, sub(gradient, weighted))];
  },
});

defineOperator("LogSoftmax", {
  since: 13,
  infer: ([x]): TensorType[] => [x!],
  // dy − eʸ·Σdy
  gradient: ({ outputs: [y], attributes, gradient }) => {
    const total = reduceSum(gradient, [intAttribute(attributes, "axis", -1)], true);
    return [sub(gradient, mul(exp(y), total))];
  },
});

// 1 at the first largest element along an axis, 0 elsewhere.
defineOperator("Hardmax", { since: 13, infer: ([x]): TensorType[] => [x!], gradient: "zero" });

/** eˣ / Σ eˣ along an axis. */
export function softmax(x: Value, axis = -1): Value {
  return apply("Softmax", [x], { axis: int(normalizeAxes("Softmax", x, [axis])[0]) })[0];
}

/** ln of softmax, without overflow. */
export function logSoftmax(x: Value, axis = -1): Value {
  return apply("LogSoftmax", [x], { axis: int(normalizeAxes("LogSoftmax", x, [axis])[0]) })[0];
}
