import type { Value } from "../graph/graph.ts";
import { apply, defineOperator } from "./operator.ts";

// `src/lower` makes an input of what reads the result depend on the other value.
defineOperator("After", {
  since: 1,
  domain: "training",
  infer: ([x]) => [x!],
  gradient: ({ gradient }) => [gradient, undefined],
});

/** The numbers of x, but not before `other` is computed: a program that would run what reads them earlier has to wait. */
export function after(x: Value, other: Value): Value {
  return apply("After", [x, other])[0];
}
