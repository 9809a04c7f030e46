import { describe, type TensorType, type Value } from "../graph/graph.ts";
import { expand, reshape } from "./movement.ts";
import { apply, defineOperator, operatorError, requireSameType, stringAttribute } from "./operator.ts";

// Sums of products, by an equation: "bij,bjk->bik" is a batched matrix product. The gradient for one operand is the
// Einsum of dy and the other operands with the operand's own letters as its result. Letters that only this operand
// has were summed over, so there the gradient is repeated.

defineOperator("Einsum", {
  since: 12,
  infer: (operands, attributes): TensorType[] => {
    const inputs = operands as readonly Value[];
    const type = requireSameType("Einsum", inputs);
    const { result, sizes } = readEquation(inputs, stringAttribute(attributes, "equation", ""));
    return [{ type, shape: [...result].map((letter) => sizes.get(letter)!) }];
  },
  gradient: ({ inputs, attributes, gradient, wanted }) => {
    const { terms, result, sizes } = readEquation(inputs, stringAttribute(attributes, "equation", ""));
    return inputs.map((input, index) => {
      if (!wanted[index]) return undefined;
      const others = inputs.flatMap((other, at) => (at === index ? [] : [{ value: other, term: terms[at] }]));
      const factors = [{ value: gradient, term: result }, ...others];
      const seen = new Set(factors.flatMap(({ term }) => [...term]));
      const kept = [...terms[index]].filter((letter) => seen.has(letter)).join("");
      const equation = `${factors.map(({ term }) => term).join(",")}->${kept}`;
      const part = einsum(
        equation,
        factors.map(({ value }) => value),
      );
      const wide = [...terms[index]].map((letter) => (seen.has(letter) ? sizes.get(letter)! : 1));
      return expand(reshape(part, wide), input.shape);
    });
  },
});

/**
 * The sum of products that an equation names: each operand's axes by letters, the result's after `->`. Without `->`
 * the result has the letters that stand once, in alphabetical order. `...` are leading axes that all operands with
 * it have in common.
 */
export function einsum(equation: string, operands: readonly Value[]): Value {
  return apply("Einsum", operands, { equation: { string: equation } })[0];
}

/** Letters of every operand and of the result, `...` written out as letters of its own, and the size of each letter. */
function readEquation(inputs: readonly Value[], equation: string) {
  const [left, right] = equation.replaceAll(" ", "").split("->");
  const written = left.split(",");
  if (written.length !== inputs.length) {
    throw operatorError(
      "Einsum",
      inputs[0],
      `"${equation}" has ${written.length} operands, got ${inputs.length}`,
    );
  }
  const free = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"].filter((letter) => !equation.includes(letter));
  const width = Math.max(
    0,
    ...written.map((term, index) =>
      term.includes("...") ? inputs[index].shape.length - (term.length - 3) : 0,
    ),
  );
  const dots = free.slice(0, width).join("");
  const terms = written.map((term) => term.replace("...", dots));
  const sizes = new Map<string, number>();
  for (const [index, term] of terms.entries()) {
    const { shape } = inputs[index];
    const fits =
      term.length === shape.length &&
      new Set(term).size === term.length &&
      [...term].every((letter, axis) => (sizes.get(letter) ?? shape[axis]) === shape[axis]);
    if (!fits) {
      throw operatorError(
        "Einsum",
        inputs[index],
        `${describe(inputs[index])} does not fit "${written[index]}" of "${equation}"; each letter needs one axis and one size`,
      );
    }
    for (const [axis, letter] of [...term].entries()) sizes.set(letter, shape[axis]);
  }
  const result = right === undefined ? dots + lettersOnce(left) : right.replace("...", dots);
  if ([...result].some((letter) => !sizes.has(letter))) {
    throw operatorError("Einsum", inputs[0], `the result of "${equation}" has a letter that no operand has`);
  }
  return { terms, result, sizes };
}

function lettersOnce(left: string): string {
  const letters = [...left].filter((letter) => /[A-Za-z]/.test(letter));
  return letters
    .filter((letter) => letters.indexOf(letter) === letters.lastIndexOf(letter))
    .sort()
    .join("");
}
