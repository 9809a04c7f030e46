import type { Value } from "../graph/graph.ts";
import { apply, defineOperator, int } from "./operator.ts";

// `src/lower` makes an input of what reads the result depend on the other value.
defineOperator("After", {
  since: 1,
  domain: "training",
  infer: ([x]) => [x!],
  gradient: ({ gradient }) => [gradient, undefined],
});

/**
 * The numbers of x, but not before `other` is computed: a program that would run what reads them earlier has to wait.
 * @param hint whether the order is of use only where it saves memory
 */
export function after(x: Value, other: Value, { hint = false }: { hint?: boolean } = {}): Value {
  return apply("After", [x, other], { hint: int(hint ? 1 : 0) })[0];
}
