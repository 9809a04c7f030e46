import type { Random } from "../common/random.ts";
import type { Attributes, Shape } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { pick, size } from "../testing/gradient-cases.ts";
import { type NodeCase, type NodeCases, testNodes } from "../testing/kernel-cases.ts";
import { float, int } from "./operator.ts";

// Recurrent layers against ONNX Runtime's kernels.

const gateCounts = { RNN: 1, GRU: 3, LSTM: 4 };
const activationCounts = { RNN: 1, GRU: 2, LSTM: 3 };

/** Activations and what they take of the lists of alphas and betas. Softplus is missing: the kernel gives NaN with it. */
const kinds: readonly (readonly [name: string, alphas: number, betas: number])[] = [
  ["Tanh", 0, 0],
  ["Sigmoid", 0, 0],
  ["Relu", 0, 0],
  ["Softsign", 0, 0],
  ["LeakyRelu", 1, 0],
  ["ThresholdedRelu", 1, 0],
  ["Elu", 1, 0],
  ["Affine", 1, 1],
  ["ScaledTanh", 1, 1],
  ["HardSigmoid", 1, 1],
];

function layer(
  operator: keyof typeof gateCounts,
  settings: (random: Random, directions: number) => Attributes = () => ({}),
): NodeCases {
  return {
    operator,
    opset: 14,
    draw: (random): NodeCase => {
      const [times, count, inputs, hidden] = [
        size(random),
        size(random, 3),
        size(random, 3),
        size(random, 3),
      ];
      const direction = pick(random, ["forward", "reverse", "bidirectional"]);
      const directions = direction === "bidirectional" ? 2 : 1;
      const rows = gateCounts[operator] * hidden;
      const maybe = <T>(value: T): T | undefined => (random.uniform() < 0.5 ? value : undefined);
      const lengths = Array.from({ length: count }, () => 1 + random.integer(times));
      const state: Shape = [directions, count, hidden];
      const bias = maybe([directions, 2 * rows]);
      const known = maybe(tensorData(lengths, [count], "int32"));
      const start = maybe(state);
      const memory = operator === "LSTM" && start ? [state, maybe([directions, 3 * hidden])] : [];
      return {
        attributes: {
          hidden_size: int(hidden),
          direction: { string: direction },
          ...settings(random, directions),
        },
        inputs: [
          [times, count, inputs],
          [directions, rows, inputs],
          [directions, rows, hidden],
          bias,
          known,
          start,
          ...memory,
        ],
        outputs: operator === "LSTM" ? 3 : 2,
      };
    },
  };
}

const activations =
  (count: number) =>
  (random: Random, directions: number): Attributes => {
    const chosen = Array.from({ length: directions * count }, () => pick(random, kinds));
    const settings = (place: 1 | 2) => ({
      floats: chosen.flatMap((kind) =>
        Array.from({ length: kind[place] }, () => 0.25 + random.integer(3) / 4),
      ),
    });
    return {
      activations: { strings: chosen.map(([name]) => name) },
      activation_alpha: settings(1),
      activation_beta: settings(2),
    };
  };

testNodes({
  LSTM: layer("LSTM"),
  "LSTM, other activations": layer("LSTM", activations(activationCounts.LSTM)),
  "LSTM, clipped": layer("LSTM", () => ({ clip: float(0.75) })),
  "LSTM, coupled": layer("LSTM", () => ({ input_forget: int(1) })),
  GRU: layer("GRU"),
  "GRU, linear before reset": layer("GRU", () => ({ linear_before_reset: int(1) })),
  "GRU, other activations": layer("GRU", (random, directions) => ({
    ...activations(activationCounts.GRU)(random, directions),
    linear_before_reset: int(random.integer(2)),
  })),
  "GRU, clipped": layer("GRU", () => ({ clip: float(0.75) })),
  RNN: layer("RNN"),
  "RNN, other activations": layer("RNN", activations(activationCounts.RNN)),
  "RNN, clipped": layer("RNN", () => ({ clip: float(0.75) })),
});
