import type { Shape } from "../../graph/graph.ts";
import type { AttributeValue } from "../../onnx/attributes.ts";
import type { DataType } from "../../onnx/types.ts";
import { dataTypeNumber } from "../../onnx/types.ts";
import { float, int } from "../../ops/operator.ts";
import type { Drawing, Drawn } from "./drawing.ts";

/** Draws a node of an operator, with whatever it needs around it. What is returned later nodes may read. */
export interface Template {
  /** The opsets in which the operator has been. */
  readonly since: number;
  readonly until?: number;
  readonly draw: (g: Drawing) => Drawn | readonly Drawn[];
}

interface Unary {
  since?: number;
  /** Where the function is defined, or does not grow too fast. */
  domain?: "all" | "positive" | "bounded" | "small" | "above one";
  attributes?: (g: Drawing) => Record<string, AttributeValue>;
  size?: number;
  type?: DataType;
}

const some = (g: Drawing, attributes: Record<string, AttributeValue>) =>
  Object.fromEntries(Object.entries(attributes).filter(() => g.chance(0.6)));

const unaries: Readonly<Record<string, Unary>> = {
  Abs: {},
  Acos: { domain: "bounded", size: 3 },
  Acosh: { since: 9, domain: "above one" },
  Asin: { domain: "bounded", size: 1.5 },
  Asinh: { since: 9 },
  Atan: { size: 1.5 },
  Atanh: { since: 9, domain: "bounded", size: 1.5 },
  Ceil: {},
  Celu: { since: 12, attributes: (g) => some(g, { alpha: float(0.7) }) },
  Cos: { size: 1 },
  Cosh: { since: 9, domain: "small", size: 4 },
  Elu: { attributes: (g) => some(g, { alpha: float(1.3) }) },
  Erf: { since: 9, size: 1 },
  Exp: { domain: "small", size: 5 },
  Floor: {},
  Gelu: { since: 20, attributes: (g) => some(g, { approximate: { string: g.pick(["none", "tanh"]) } }) },
  HardSigmoid: { size: 1, attributes: (g) => some(g, { alpha: float(0.3), beta: float(0.4) }) },
  HardSwish: { since: 14 },
  Identity: {},
  LeakyRelu: { attributes: (g) => some(g, { alpha: float(0.2) }) },
  Log: { domain: "positive", size: 2 },
  Mish: { since: 18 },
  Neg: {},
  Reciprocal: { domain: "positive", size: 3 },
  Relu: {},
  Round: { since: 11 },
  Selu: { attributes: (g) => some(g, { alpha: float(1.5), gamma: float(1.1) }) },
  Shrink: { since: 9, attributes: (g) => some(g, { bias: float(0.2), lambd: float(0.3) }) },
  Sigmoid: { size: 1 },
  Sign: { since: 9, size: 1 },
  Sin: { size: 1 },
  Sinh: { since: 9, domain: "small", size: 4 },
  Softplus: {},
  Softsign: { size: 1 },
  Sqrt: { domain: "positive" },
  Tan: { domain: "bounded", size: 1.5 },
  Tanh: { size: 1 },
  ThresholdedRelu: { since: 10, attributes: (g) => some(g, { alpha: float(0.4) }) },
  IsNaN: { since: 9, type: "bool" },
  IsInf: { since: 10, type: "bool", attributes: (g) => some(g, { detect_negative: int(0) }) },
};

function drawUnary(g: Drawing, operator: string): Drawn {
  const { domain = "all", attributes, size, type } = unaries[operator];
  const x = g.ofRank(1, 4);
  const inside = {
    all: () => x,
    positive: () => g.positive(x),
    bounded: () => g.bounded(x),
    small: () => g.tame(x, 2),
    "above one": () => g.positive(x, 1.2),
  }[domain]();
  const y = g.node(operator, [inside], attributes?.(g) ?? {}, { size: size ?? inside.size, type });
  return type === "bool" ? asFloat(g, y) : y;
}

/** What numbers of another type are used for: read as floating-point ones. */
export function asFloat(g: Drawing, x: Drawn): Drawn {
  if (x.type === g.float) return x;
  if (x.type === "bool" && g.opset >= 9 && g.chance(0.5)) {
    const [yes, no] = [g.chance(0.5) ? g.parameter(lastAxis(x.shape)) : g.scalar(1), g.scalar(-0.5)];
    return g.node("Where", [x, yes, no], {}, { type: g.float, shape: x.shape, size: 1 });
  }
  return g.node("Cast", [x], { to: int(dataTypeNumber(g.float)) }, { type: g.float });
}

function lastAxis(shape: Shape): number[] {
  return shape.slice(-1);
}

/** A shape that broadcasts with another one. */
function against(g: Drawing, shape: Shape): number[] {
  const cut = g.between(0, shape.length);
  return shape.slice(cut).map((size) => (g.chance(0.25) ? 1 : size));
}

/** A second operand: a tensor of the pool, a parameter or a constant number. */
function operand(g: Drawing, x: Drawn): Drawn {
  const other = g.pool.filter(
    ({ name, type, shape, blocked, size }) =>
      name !== x.name && type === x.type && !blocked && size < 8 && shape.join() === x.shape.join(),
  );
  if (other.length > 0 && g.chance(0.6)) return g.pick(other);
  return g.chance(0.75) ? g.parameter(against(g, x.shape)) : g.scalar(g.pick([0.5, -1.25, 2]));
}

function pair(g: Drawing): [Drawn, Drawn] {
  const x = g.ofRank(1, 4);
  return [x, operand(g, x)];
}

/** With the operands in either order, as both broadcast. */
function either(g: Drawing, operator: string, [x, y]: [Drawn, Drawn], size: number): Drawn {
  return g.node(operator, g.chance(0.5) ? [x, y] : [y, x], {}, { shape: x.shape, size });
}

const binaries: Readonly<Record<string, Template>> = {
  Add: { since: 7, draw: (g) => addition(g, "Add") },
  Sub: { since: 7, draw: (g) => addition(g, "Sub") },
  Mul: {
    since: 7,
    draw: (g) => {
      const [x, y] = pair(g);
      return either(g, "Mul", [x, y], x.size * Math.max(0.5, y.size));
    },
  },
  Div: {
    since: 7,
    draw: (g) => {
      const [x, y] = pair(g);
      return g.node("Div", [x, g.positive(y)], {}, { size: x.size * 3 });
    },
  },
  Pow: {
    since: 7,
    draw: (g) => {
      const [x, y] = pair(g);
      if (g.chance(0.5)) {
        const exponent = g.pick([2, 3, 1, 0, 0.5, -1, -2, 1.5]);
        const base = Number.isInteger(exponent) && exponent >= 0 ? g.tame(x, 3) : g.positive(x, 0.5);
        const whole = Number.isInteger(exponent) && exponent >= 0 && g.opset >= 12 && g.chance(0.3);
        const stored = whole
          ? g.store([], [exponent], { type: g.pick(["int64", "int32"] as const) })
          : g.scalar(exponent);
        return g.node("Pow", [base, stored], {}, { size: 10 });
      }
      return g.node("Pow", [g.positive(g.tame(x, 2), 0.5), g.bounded(y)], {}, { shape: x.shape, size: 4 });
    },
  },
  Mod: {
    since: 10,
    draw: (g) => {
      if (g.chance(0.4)) return asFloat(g, integerPair(g, "Mod"));
      const [x, y] = pair(g);
      const shifted = g.positive(y, 0.5);
      const divisor = g.chance(0.5) ? shifted : g.node("Neg", [shifted], {});
      return g.node("Mod", [x, divisor], { fmod: int(1) }, { size: 3 });
    },
  },
  PRelu: {
    since: 7,
    draw: (g) => {
      const x = g.ofRank(2, 4);
      const shapes = [[1], x.shape, [...x.shape.slice(1)], [x.shape[1], ...x.shape.slice(2).map(() => 1)]];
      return g.node("PRelu", [x, g.parameter(g.pick(shapes), 0.3)], {}, {});
    },
  },
  Where: {
    since: 9,
    draw: (g) => {
      const [x, y] = pair(g);
      const condition = truth(g, x);
      return g.node("Where", [condition, x, y], {}, { type: x.type, shape: x.shape, size: x.size + y.size });
    },
  },
};

function addition(g: Drawing, operator: "Add" | "Sub"): Drawn {
  const [x, y] = pair(g);
  return either(g, operator, [x, y], x.size + y.size);
}

/** A condition of the shape of a tensor, computed from it, fed or stored. */
function truth(g: Drawing, x: Drawn): Drawn {
  const kind = g.pick(["compared", "compared", "stored", "fed"] as const);
  const bits = Array.from({ length: x.shape.reduce((a, b) => a * b, 1) }, () => g.between(0, 1));
  if (kind === "stored") return g.store(x.shape, bits, { type: "bool" });
  if (kind === "fed") return g.input(x.shape, bits, "bool");
  return compared(g, g.pick(["Greater", "Less"] as const), x);
}

function compared(g: Drawing, operator: string, x: Drawn): Drawn {
  const other = g.chance(0.5) ? g.scalar(0.1) : operand(g, x);
  return g.node(
    operator,
    g.chance(0.5) ? [x, other] : [other, x],
    {},
    { type: "bool", shape: x.shape, size: 1 },
  );
}

const comparisons = Object.fromEntries(
  (
    [
      ["Greater", 7],
      ["Less", 7],
      ["GreaterOrEqual", 12],
      ["LessOrEqual", 12],
    ] as const
  ).map(([operator, since]): [string, Template] => [
    operator,
    { since, draw: (g) => asFloat(g, compared(g, operator, g.ofRank(1, 4))) },
  ]),
);

const logic: Readonly<Record<string, Template>> = {
  Equal: {
    since: 7,
    draw: (g) => {
      if (g.opset >= 11 && g.chance(0.5)) {
        const x = g.ofRank(1, 3);
        const signs = g.opset >= 9 ? g.node("Sign", [x], {}, { size: 1 }) : x;
        return asFloat(g, g.node("Equal", [signs, g.scalar(1)], {}, { type: "bool", size: 1 }));
      }
      return asFloat(g, { ...integerPair(g, "Equal", "bool"), type: "bool" });
    },
  },
  Not: { since: 7, draw: (g) => asFloat(g, g.node("Not", [truth(g, g.ofRank(1, 3))], {})) },
  ...Object.fromEntries(
    ["And", "Or", "Xor"].map((operator): [string, Template] => [
      operator,
      {
        since: 7,
        draw: (g) => {
          const x = g.ofRank(1, 3);
          return asFloat(g, g.node(operator, [truth(g, x), truth(g, x)], {}));
        },
      },
    ]),
  ),
};

/** Two tensors of integers, one of them perhaps stored, and a node on them. */
function integerPair(
  g: Drawing,
  operator: string,
  type?: DataType,
  inner: DataType = "int64",
  attributes: Record<string, AttributeValue> = {},
): Drawn {
  const shape = g.shape(g.between(1, 3));
  const count = shape.reduce((a, b) => a * b, 1);
  const isSigned = inner.startsWith("int");
  const numbers = () => Array.from({ length: count }, () => g.between(isSigned ? -7 : 0, 7));
  const divisors = numbers().map((value) => value || 3);
  const [a, b] = [g.indices(shape, numbers(), inner), g.indices(shape, divisors, inner)];
  const fmod = operator === "Mod" && g.chance(0.5) ? { fmod: int(1) } : {};
  return g.node(operator, [a, b], { ...attributes, ...fmod }, { type, size: 7 });
}

const bits: Readonly<Record<string, Template>> = {
  BitShift: {
    since: 11,
    draw: (g) => {
      const direction = { direction: { string: g.pick(["LEFT", "RIGHT"]) } };
      return asFloat(
        g,
        integerPair(g, "BitShift", undefined, g.pick(["uint8", "uint32", "uint64"] as const), direction),
      );
    },
  },
  ...Object.fromEntries(
    ["BitwiseAnd", "BitwiseOr", "BitwiseXor"].map((operator): [string, Template] => [
      operator,
      {
        since: 18,
        draw: (g) =>
          asFloat(g, integerPair(g, operator, undefined, g.pick(["int32", "int64", "uint8"] as const))),
      },
    ]),
  ),
  BitwiseNot: {
    since: 18,
    draw: (g) => {
      const shape = g.shape(2);
      const values = Array.from({ length: shape[0] * shape[1] }, () => g.between(0, 7));
      return asFloat(g, g.node("BitwiseNot", [g.indices(shape, values, "int64")], {}));
    },
  },
};

const variadic = Object.fromEntries(
  ["Max", "Min", "Mean", "Sum"].map((operator): [string, Template] => [
    operator,
    {
      since: 8,
      draw: (g) => {
        const x = g.ofRank(1, 4);
        const more = Array.from({ length: g.between(0, 2) }, () => operand(g, x));
        const size = [x, ...more].reduce((sum, one) => sum + one.size, 0);
        return g.node(operator, [x, ...more], {}, { shape: x.shape, size });
      },
    },
  ]),
);

const others: Readonly<Record<string, Template>> = {
  Clip: {
    since: 7,
    draw: (g) => {
      const x = g.ofRank(1, 4);
      const [low, high] = [g.chance(0.7), g.chance(0.7)];
      if (g.opset < 11) {
        const attributes = { ...(low && { min: float(-0.6) }), ...(high && { max: float(0.8) }) };
        return g.node("Clip", [x], attributes, {});
      }
      return g.node("Clip", [x, low ? g.scalar(-0.6) : undefined, high ? g.scalar(0.8) : undefined], {}, {});
    },
  },
  Dropout: {
    since: 7,
    draw: (g) => {
      const x = g.ofRank(1, 4);
      const withMask = g.opset >= 10 && g.chance(0.3);
      const outputs = withMask ? [{}, { type: "bool" as const }] : [{}];
      if (g.opset < 12) {
        const [y, mask] = g.nodeOf("Dropout", [x], some(g, { ratio: float(0.3) }), outputs);
        return mask ? [y, asFloat(g, mask)] : y;
      }
      const mode = g.chance(0.3) ? g.store([], [0], { type: "bool" }) : undefined;
      const ratio = mode || g.chance(0.6) ? g.scalar(0.3) : undefined;
      const [y, mask] = g.nodeOf("Dropout", [x, ratio, mode], {}, outputs);
      return mask ? [y, asFloat(g, mask)] : y;
    },
  },
  Cast: {
    since: 9,
    draw: (g) => {
      const x = g.ofRank(1, 4);
      const other = g.pick(["float32", "float64", "float16", "int32", "int64", "bool", "uint8"] as const);
      const source = other === "uint8" ? g.node("Abs", [x], {}) : x;
      const cast = g.node("Cast", [source], { to: int(dataTypeNumber(other)) }, { type: other });
      return g.node("Cast", [cast], { to: int(dataTypeNumber(g.float)) }, { type: g.float });
    },
  },
  CastLike: {
    since: 15,
    draw: (g) => {
      const like = g.store([1], [1], { type: g.pick(["int32", "float32", "float64"] as const) });
      const cast = g.node("CastLike", [g.ofRank(1, 4), like], {}, { type: like.type });
      return g.node("CastLike", [cast, g.scalar(0)], {}, { type: g.float });
    },
  },
};

export const elementwiseTemplates: Readonly<Record<string, Template>> = {
  ...Object.fromEntries(
    Object.entries(unaries).map(([operator, { since = 7 }]): [string, Template] => [
      operator,
      { since, draw: (g) => drawUnary(g, operator) },
    ]),
  ),
  ...binaries,
  ...comparisons,
  ...logic,
  ...bits,
  ...variadic,
  ...others,
};
