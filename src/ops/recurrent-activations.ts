import type { Attributes, Value } from "../graph/graph.ts";
import { softsign } from "./activations.ts";
import { add, mul } from "./arithmetic.ts";
import { elu, hardSigmoid, leakyRelu, relu, sigmoid, softplus, tanh } from "./elementwise.ts";
import { apply, float, floatsAttribute, operatorError, stringsAttribute } from "./operator.ts";

// The activations that LSTM, GRU and RNN may name, with the numbers that belong to them.

export type Activation = (x: Value) => Value;

interface Kind {
  /** ONNX's defaults, or that the node has to give it; one that is missing is not taken from the list. */
  alpha?: number | "given";
  beta?: number | "given";
  build: (x: Value, alpha: number, beta: number) => Value;
}

const kinds: Readonly<Record<string, Kind>> = {
  relu: { build: relu },
  tanh: { build: tanh },
  sigmoid: { build: sigmoid },
  affine: { alpha: "given", beta: "given", build: (x, alpha, beta) => add(mul(x, alpha), beta) },
  leakyrelu: { alpha: 0.01, build: (x, alpha) => leakyRelu(x, alpha) },
  thresholdedrelu: {
    alpha: 1,
    build: (x, alpha) => apply("ThresholdedRelu", [x], { alpha: float(alpha) })[0],
  },
  scaledtanh: { alpha: "given", beta: "given", build: (x, alpha, beta) => mul(tanh(mul(x, beta)), alpha) },
  hardsigmoid: { alpha: 0.2, beta: 0.5, build: hardSigmoid },
  elu: { alpha: 1, build: (x, alpha) => elu(x, alpha) },
  softsign: { build: softsign },
  softplus: { build: softplus },
};

/**
 * The activations of each direction of a layer: those that the node names, or the defaults. As in ONNX Runtime, each
 * activation that has an alpha or beta takes the next one of the node's list.
 */
export function activationsOf(
  operator: string,
  x: Value,
  attributes: Attributes,
  defaults: readonly string[],
  directions: number,
): readonly (readonly Activation[])[] {
  const all = Array.from({ length: directions }, () => defaults).flat();
  const names = stringsAttribute(attributes, "activations", all);
  if (names.length !== all.length) {
    throw operatorError(
      operator,
      x,
      `${all.length} activations are wanted, ${defaults.length} for each of ${directions} directions; got ${names.join(", ") || "none"}`,
    );
  }
  const alphas = [...floatsAttribute(attributes, "activation_alpha", [])];
  const betas = [...floatsAttribute(attributes, "activation_beta", [])];
  const built = names.map((name): Activation => {
    const kind = kinds[name.toLowerCase()];
    if (!kind) {
      throw operatorError(
        operator,
        x,
        `activation ${name} is not known, ${Object.keys(kinds).join(", ")} are`,
      );
    }
    const next = (setting: "alpha" | "beta", list: number[]) => {
      const value = kind[setting] === undefined ? 0 : (list.shift() ?? kind[setting]);
      if (value !== "given") return value;
      throw operatorError(operator, x, `activation ${name} wants a number in activation_${setting}`);
    };
    const [alpha, beta] = [next("alpha", alphas), next("beta", betas)];
    return (value) => kind.build(value, alpha, beta);
  });
  return Array.from({ length: directions }, (_, index) =>
    built.slice(index * defaults.length, (index + 1) * defaults.length),
  );
}
