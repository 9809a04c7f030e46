import { elementCount } from "../../graph/graph.ts";
import type { AttributeValue } from "../../onnx/attributes.ts";
import { float, int, ints } from "../../ops/operator.ts";
import type { Drawing, Drawn } from "./drawing.ts";
import { asFloat, type Template } from "./elementwise.ts";

const epsilon = (g: Drawing) => (g.chance(0.5) ? { epsilon: float(1e-3) } : {});

function batchNormalization(g: Drawing): Drawn {
  const x = g.tensor(
    (shape) => shape.length >= 2 && shape.length <= 4,
    () => g.shape(g.between(2, 4), 4),
  );
  const count = x.shape[1];
  const [scale, bias] = [g.parameter([count]), g.parameter([count])];
  const mean = g.store([count], g.normals([count], 0.5));
  const variance = g.store(
    [count],
    Array.from({ length: count }, () => 0.5 + g.random.uniform()),
  );
  const momentum = g.chance(0.5) ? { momentum: float(0.8) } : {};
  return g.node(
    "BatchNormalization",
    [x, scale, bias, mean, variance],
    { ...epsilon(g), ...momentum },
    { size: 4 },
  );
}

function layerNormalization(g: Drawing, operator: "LayerNormalization" | "RMSNormalization"): Drawn {
  const x = g.ofRank(2, 4);
  const axis = g.between(1, x.shape.length - 1);
  const shape = x.shape.slice(axis);
  const bias = operator === "LayerNormalization" && g.chance(0.6) ? g.parameter(shape) : undefined;
  const leave = axis === x.shape.length - 1 && g.chance(0.5);
  const attributes = leave ? {} : { axis: int(g.written(axis, x.shape.length, 7)) };
  return g.node(
    operator,
    [x, g.parameter(shape), bias],
    { ...attributes, epsilon: float(0.01) },
    { size: 4 },
  );
}

function groupNormalization(g: Drawing): Drawn {
  const x = g.images(g.between(1, 2), g.pick([2, 4]));
  const groups = g.pick([1, 2]);
  // Scale and bias are of each group before opset 21 and of each channel from then on.
  const shape = [g.opset < 21 ? groups : x.shape[1]];
  const inputs = [x, g.parameter(shape), g.parameter(shape)];
  return g.node("GroupNormalization", inputs, { num_groups: int(groups), epsilon: float(0.01) }, { size: 4 });
}

const gates = { LSTM: 4, GRU: 3, RNN: 1 } as const;

function recurrent(g: Drawing, operator: keyof typeof gates): readonly Drawn[] {
  const x = g.tensor(
    (shape) => shape.length === 3 && shape[0] <= 4,
    () => [g.between(1, 3), g.between(1, 2), g.between(1, 3)],
  );
  const [times, batch, width] = x.shape;
  const hidden = g.between(1, 3);
  const direction = g.pick(["forward", "reverse", "bidirectional"]);
  const directions = direction === "bidirectional" ? 2 : 1;
  const rows = gates[operator] * hidden;
  const bias = g.chance(0.6) ? g.parameter([directions, 2 * rows]) : undefined;
  const lengths = g.chance(0.25)
    ? g.indices(
        [batch],
        Array.from({ length: batch }, () => g.between(1, times)),
        "int32",
      )
    : undefined;
  const start = g.chance(0.3) ? g.parameter([directions, batch, hidden]) : undefined;
  const cell = operator === "LSTM" && g.chance(0.3) ? g.parameter([directions, batch, hidden]) : undefined;
  const peepholes = operator === "LSTM" && g.chance(0.2) ? g.parameter([directions, 3 * hidden]) : undefined;
  const attributes: Record<string, AttributeValue> = {
    hidden_size: int(hidden),
    ...((direction !== "forward" || g.chance(0.3)) && { direction: { string: direction } }),
    ...(operator === "GRU" && g.chance(0.5) && { linear_before_reset: int(1) }),
    ...(g.chance(0.2) && { clip: float(1.5) }),
  };
  const inputs = [
    x,
    g.parameter([directions, rows, width]),
    g.parameter([directions, rows, hidden]),
    bias,
    lengths,
    start,
    ...(operator === "LSTM" ? [cell, peepholes] : []),
  ];
  const all = { shape: [times, directions, batch, hidden], size: 1 };
  const last = { shape: [directions, batch, hidden], size: 1 };
  const wanted = [g.chance(0.7), g.chance(0.5), operator === "LSTM" && g.chance(0.4)];
  if (!wanted.includes(true)) wanted[0] = true;
  const outputs = [all, last, last].map((output, at) => (wanted[at] ? output : undefined));
  while (outputs.at(-1) === undefined) outputs.pop();
  return g.nodeOf(operator, inputs, attributes, outputs).filter(({ name }) => name !== "");
}

function attention(g: Drawing): Drawn {
  const [n, heads, length, width] = [g.between(1, 2), g.between(1, 2), g.between(1, 3), g.pick([2, 4])];
  const x = g.tensor(
    (shape) => shape.length === 4 && shape[3] % 2 === 0 && elementCount(shape) < 100,
    () => [n, heads, length, width],
  );
  const [batch, h, queries, inner] = x.shape;
  const keys = g.between(1, 4);
  const inputs = [x, g.parameter([batch, h, keys, inner]), g.parameter([batch, h, keys, inner])];
  // A mask that hides nothing, one that hides the last key, and what is learned for relative positions.
  const mask = g.pick([
    () => undefined,
    () => g.store([queries, keys], Array<number>(queries * keys).fill(0)),
    () =>
      g.store(
        [queries, keys],
        Array.from({ length: queries * keys }, (_, at) => (keys > 1 && at % keys === keys - 1 ? -1000 : 0)),
      ),
    () => g.parameter([queries, keys]),
  ])();
  const attributes = {
    ...(g.chance(0.3) && { is_causal: int(1) }),
    ...(g.chance(0.3) && { scale: float(0.4) }),
    ...(g.chance(0.2) && { softcap: float(2) }),
  };
  return g.node("Attention", [...inputs, mask], attributes, { size: 2 });
}

/** Attention of products and a softmax, with a mask that hides places or without. */
function attentionOfProducts(g: Drawing): Drawn {
  const x = g.ofRank(3, 3);
  const [, length, width] = x.shape;
  const [q, k, v] = [0, 1, 2].map(() =>
    g.node("Add", [g.node("MatMul", [x, g.parameter([width, width])], {}, {}), g.parameter([width])], {}, {}),
  );
  const turned = g.transposed(k, [0, 2, 1]);
  const square = [...x.shape.slice(0, 1), length, length];
  let scores = g.node("MatMul", [g.tame(q), g.tame(turned)], {}, { shape: square });
  scores = g.node("Div", [scores, g.scalar(Math.sqrt(width))], {}, {});
  if (g.chance(0.5)) {
    const mask = Array.from({ length: length * length }, (_, at) =>
      at % length > Math.floor(at / length) ? -10000 : 0,
    );
    scores = g.node("Add", [scores, g.store([length, length], mask)], {}, {});
  }
  const shares = g.node("Softmax", [scores], { axis: int(2) }, { size: 1 });
  return g.node("MatMul", [shares, v], {}, { shape: x.shape });
}

function rotary(g: Drawing): Drawn {
  const x = g.tensor(
    (shape) => shape.length === 4 && shape[3] % 2 === 0,
    () => [g.between(1, 2), g.between(1, 2), g.between(1, 3), g.pick([2, 4])],
  );
  const [n, , length, width] = x.shape;
  const rows = length + g.between(0, 2);
  const tables = [Math.cos, Math.sin].map((f) =>
    g.store(
      [rows, width / 2],
      Array.from({ length: (rows * width) / 2 }, (_, at) => f(at * 0.7 + 0.2)),
    ),
  );
  const at = g.indices(
    [n, length],
    Array.from({ length: n * length }, () => g.between(0, rows - 1)),
  );
  const interleaved = g.chance(0.5) ? { interleaved: int(g.between(0, 1)) } : {};
  const y = g.node("RotaryEmbedding", [x, ...tables, at], interleaved, {});
  // ONNX Runtime has Swish in this opset alone.
  return g.opset === 24 ? g.node("Swish", [y], g.chance(0.5) ? { alpha: float(0.7) } : {}, {}) : y;
}

function likelihood(g: Drawing, operator: "SoftmaxCrossEntropyLoss" | "NegativeLogLikelihoodLoss"): Drawn {
  const x = g.tensor(
    (shape) => shape.length >= 2 && shape.length <= 4 && shape[1] > 1,
    () => [g.between(1, 3), g.between(2, 4), ...g.shape(g.pick([0, 0, 1]), 3)],
  );
  const classes = x.shape[1];
  const shape = [x.shape[0], ...x.shape.slice(2)];
  const targets = Array.from({ length: elementCount(shape) }, () => g.between(0, classes - 1));
  const type = g.pick(["int64", "int32"] as const);
  const target = g.indices(shape, targets, type);
  const weight = g.chance(0.3)
    ? g.store(
        [classes],
        Array.from({ length: classes }, () => 0.5 + g.random.uniform()),
      )
    : undefined;
  const reduction = g.pick(["mean", "sum", "none", undefined]);
  const attributes: Record<string, AttributeValue> = {
    ...(reduction && { reduction: { string: reduction } }),
    ...(g.chance(0.3) && { ignore_index: int(0) }),
  };
  if (attributes.ignore_index && targets.every((label) => label === 0)) delete attributes.ignore_index;
  const given =
    operator === "SoftmaxCrossEntropyLoss" || x.shape.length < 2
      ? x
      : g.node("LogSoftmax", [x], { axis: int(1) }, { size: 3 });
  return g.node(operator, [given, target, weight], attributes, {
    shape: reduction === "none" ? shape : [],
    size: 5,
  });
}

/** A block of layers as networks have them. */
const blocks: Readonly<Record<string, (g: Drawing) => Drawn>> = {
  attention: attentionOfProducts,
  /** The shape of one tensor is what another is reshaped to. */
  shapes: (g) => {
    const x = g.ofRank(2, 4);
    const sizes = g.node("Shape", [x], {}, { type: "int64", shape: [x.shape.length] });
    const first = g.node(
      "Gather",
      [sizes, g.store([], [0], { type: "int64" })],
      { axis: int(0) },
      { type: "int64", shape: [] },
    );
    const row = g.unsqueezed(first, [0]);
    const rest = g.store([1], [-1], { type: "int64" });
    const to = g.node("Concat", [row, rest], { axis: int(0) }, { type: "int64", shape: [2] });
    const width = elementCount(x.shape.slice(1));
    return g.node("Reshape", [x, to], {}, { shape: [x.shape[0], width] });
  },
  residual: (g) => {
    const x = g.ofRank(2, 3);
    const width = x.shape[x.shape.length - 1];
    const y = g.node("MatMul", [x, g.parameter([width, width])], {}, {});
    return g.node(
      "Add",
      [x, g.node(g.pick(["Relu", "Sigmoid", "Tanh"]), [y], {}, {})],
      {},
      { size: x.size * 3 },
    );
  },
  normalized: (g) => {
    const x = g.ofRank(2, 4);
    const axes = [x.shape.length - 1];
    const centered = g.node("Sub", [x, g.reduced("ReduceMean", x, axes, true)], {}, { shape: x.shape });
    const squared = g.node("Mul", [centered, centered], {}, { size: x.size ** 2 });
    const variance = g.reduced("ReduceMean", squared, axes, true);
    const deviation = g.node("Sqrt", [g.node("Add", [variance, g.scalar(0.01)], {}, {})], {}, {});
    const normal = g.node("Div", [centered, deviation], {}, { shape: x.shape, size: 2 });
    const scaled = g.node("Mul", [normal, g.parameter(x.shape.slice(-1))], {}, {});
    return g.node("Add", [scaled, g.parameter(x.shape.slice(-1))], {}, {});
  },
};

export const layerTemplates: Readonly<Record<string, Template>> = {
  BatchNormalization: { since: 7, draw: batchNormalization },
  InstanceNormalization: {
    since: 7,
    draw: (g) => {
      const x = g.images(g.between(1, 2));
      const [scale, bias] = [g.parameter([x.shape[1]]), g.parameter([x.shape[1]])];
      return g.node("InstanceNormalization", [x, scale, bias], { epsilon: float(0.01) }, { size: 4 });
    },
  },
  LayerNormalization: { since: 17, draw: (g) => layerNormalization(g, "LayerNormalization") },
  RMSNormalization: { since: 23, draw: (g) => layerNormalization(g, "RMSNormalization") },
  GroupNormalization: { since: 18, draw: groupNormalization },
  MeanVarianceNormalization: {
    since: 9,
    draw: (g) => {
      const x = g.images();
      return g.node("MeanVarianceNormalization", [x], g.chance(0.5) ? { axes: ints([1, 2, 3]) } : {}, {
        size: 3,
      });
    },
  },
  LpNormalization: {
    since: 7,
    draw: (g) => {
      const x = g.ofRank(1, 3);
      const attributes = {
        ...(g.chance(0.6) && { axis: int(g.written(g.axis(x), x.shape.length, 7)) }),
        ...(g.chance(0.6) && { p: int(g.between(1, 2)) }),
      };
      return g.node("LpNormalization", [x], attributes, { size: 1 });
    },
  },
  LSTM: { since: 7, draw: (g) => recurrent(g, "LSTM") },
  GRU: { since: 7, draw: (g) => recurrent(g, "GRU") },
  RNN: { since: 7, draw: (g) => recurrent(g, "RNN") },
  Attention: { since: 23, draw: attention },
  RotaryEmbedding: { since: 23, draw: rotary },
  SoftmaxCrossEntropyLoss: { since: 12, draw: (g) => likelihood(g, "SoftmaxCrossEntropyLoss") },
  NegativeLogLikelihoodLoss: { since: 12, draw: (g) => likelihood(g, "NegativeLogLikelihoodLoss") },
  FakeQuantize: {
    // A tensor quantized and taken back, as in training that knows of it.
    since: 10,
    draw: (g) => {
      const x = g.ofRank(1, 3);
      if (g.float !== "float32") return g.node("Identity", [x], {}, {});
      const [scale, zero] = [
        g.store([], [0.05], { type: "float32", fixedType: true }),
        g.store([], [120], { type: "uint8" }),
      ];
      const q = g.node("QuantizeLinear", [x, scale, zero], {}, { type: "uint8" });
      g.quantized.push(x.name);
      return {
        ...g.node("DequantizeLinear", [q, scale, zero], {}, { type: "float32" }),
        size: 6,
        blocked: false,
      };
    },
  },
  ...Object.fromEntries(
    Object.entries(blocks).map(([name, draw]): [string, Template] => [
      `block: ${name}`,
      { since: 7, draw: (g) => asFloat(g, draw(g)) },
    ]),
  ),
};
