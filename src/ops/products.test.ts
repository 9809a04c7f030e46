import type { Random } from "../common/random.ts";
import type { Value } from "../graph/graph.ts";
import { awayFromZero, type Case, pick, shapeOf, size, testGradients } from "../testing/gradient-cases.ts";
import { square } from "./arithmetic.ts";
import { einsum } from "./einsum.ts";
import { matMul } from "./linear.ts";
import { apply, int, ints } from "./operator.ts";
import { averagePool, globalMaxPool, maxPool } from "./pooling.ts";
import { convTranspose } from "./transposed-convolution.ts";

// Sums of products and windows, in the forms that ONNX files have them.

const listOf = (count: number, draw: () => number) => Array.from({ length: count }, draw);

const equations = [
  "ij,jk->ik",
  "bhqd,bhkd->bhqk",
  "ij,kj",
  "...ij,...jk->...ik",
  "abc->ca",
  "ij->",
  "ijk,k->ij",
  "i,j->ij",
  "ij,jk,kl->il",
  "ab,ab->b",
];

const einsumOf =
  (equation: string): Case =>
  (random) => {
    const sizes = new Map<string, number>();
    const of = (letter: string) => sizes.get(letter) ?? sizes.set(letter, size(random, 3)).get(letter)!;
    const terms = equation.split("->")[0].replaceAll("...", "XY").split(",");
    return {
      shapes: terms.map((term) => [...term].map(of)),
      build: (values) => square(einsum(equation, values)),
    };
  };

const autoPad = (random: Random) => ({
  auto_pad: { string: pick(random, ["SAME_UPPER", "SAME_LOWER", "VALID"]) },
});

function window(random: Random) {
  const axes = 1 + random.integer(2);
  const kernel = listOf(axes, () => size(random, 3));
  const strides = listOf(axes, () => size(random, 3));
  const dilations = listOf(axes, () => size(random, 2));
  const input = kernel.map((taps, axis) => dilations[axis] * (taps - 1) + 1 + random.integer(4));
  return { axes, kernel, strides, dilations, input };
}

function pool(
  build: (
    x: Value,
    kernel: number[],
    options: { strides: number[]; dilations: number[]; pads: number[] },
  ) => Value,
): Case {
  return (random) => {
    const { kernel, strides, dilations, input } = window(random);
    const pads = [...kernel, ...kernel].map((taps) => random.integer(taps));
    return {
      shapes: [[size(random, 2), size(random, 2), ...input]],
      build: ([x]) => square(build(x, kernel, { strides, dilations, pads })),
    };
  };
}

function rawPool(operator: string, settings: Record<string, ReturnType<typeof int>> = {}): Case {
  return (random) => {
    const { kernel, strides, input } = window(random);
    const attributes = {
      ...autoPad(random),
      ...settings,
      kernel_shape: ints(kernel),
      strides: ints(strides),
    };
    return {
      shapes: [[size(random, 2), size(random, 2), ...input]],
      build: ([x]) => square(apply(operator, [x], attributes)[0]),
      draw: awayFromZero,
    };
  };
}

testGradients({
  "MatMul (vector by matrices)": (random) => {
    const [batch, k, n] = shapeOf(random, 3);
    return { shapes: [[k], [batch, k, n]], build: ([a, b]) => matMul(a, b) };
  },
  "MatMul (matrices by vector)": (random) => {
    const [batch, m, k] = shapeOf(random, 3);
    return { shapes: [[batch, m, k], [k]], build: ([a, b]) => matMul(a, b) };
  },
  "MatMul (vectors)": (random) => {
    const [k] = shapeOf(random, 1);
    return { shapes: [[k], [k]], build: ([a, b]) => square(matMul(a, b)) };
  },
  ...Object.fromEntries(equations.map((equation) => [`Einsum ${equation}`, einsumOf(equation)])),
  ConvTranspose: (random) => {
    const { axes, kernel, strides, dilations } = window(random);
    const group = size(random, 2);
    const pads = listOf(2 * axes, () => random.integer(2));
    const outputPadding = strides.map((stride) => random.integer(stride));
    const input = listOf(axes, () => 2 + size(random, 2));
    const [inputs, outputs] = [group * size(random, 2), size(random, 2)];
    return {
      shapes: [[size(random, 2), inputs, ...input], [inputs, outputs, ...kernel], [outputs * group]],
      build: ([x, weight, bias]) =>
        convTranspose(x, weight, random.uniform() < 0.5 ? bias : undefined, {
          strides,
          dilations,
          pads,
          group,
          outputPadding,
        }),
    };
  },
  "ConvTranspose (auto_pad)": (random) => {
    const { axes, kernel, strides } = window(random);
    const input = listOf(axes, () => 2 + size(random, 2));
    const attributes = { ...autoPad(random), kernel_shape: ints(kernel), strides: ints(strides) };
    return {
      shapes: [
        [1, 2, ...input],
        [2, 2, ...kernel],
      ],
      build: ([x, weight]) => apply("ConvTranspose", [x, weight], attributes)[0],
    };
  },
  "Conv (auto_pad)": (random) => {
    const { kernel, strides, input } = window(random);
    const attributes = { ...autoPad(random), kernel_shape: ints(kernel), strides: ints(strides) };
    return {
      shapes: [
        [size(random, 2), 2, ...input],
        [size(random, 2), 2, ...kernel],
      ],
      build: ([x, weight]) => apply("Conv", [x, weight], attributes)[0],
    };
  },
  "MaxPool (ceil mode)": pool((x, kernel, options) => maxPool(x, kernel, { ...options, ceilMode: true })),
  "MaxPool (auto_pad)": rawPool("MaxPool"),
  "AveragePool (ceil mode)": pool((x, kernel, options) =>
    averagePool(x, kernel, { ...options, ceilMode: true, countIncludePad: false }),
  ),
  "AveragePool (ceil mode, padding counts)": pool((x, kernel, options) =>
    averagePool(x, kernel, { ...options, ceilMode: true }),
  ),
  "AveragePool (padding counts)": pool((x, kernel, options) => averagePool(x, kernel, options)),
  "AveragePool (auto_pad)": rawPool("AveragePool"),
  LpPool: rawPool("LpPool"),
  "LpPool (p = 3)": rawPool("LpPool", { p: int(3) }),
  GlobalMaxPool: (random) => ({
    shapes: [[size(random), size(random), ...shapeOf(random, 2)]],
    build: ([x]) => square(globalMaxPool(x)),
  }),
});
