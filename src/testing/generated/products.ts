import { elementCount } from "../../graph/graph.ts";
import type { AttributeValue } from "../../onnx/attributes.ts";
import { float, int } from "../../ops/operator.ts";
import type { Drawing, Drawn } from "./drawing.ts";
import { asFloat, type Template } from "./elementwise.ts";

function matrixProduct(g: Drawing): Drawn {
  const x = g.ofRank(1, 4);
  const inner = x.shape[x.shape.length - 1];
  const width = g.between(1, 4);
  const size = x.size * Math.sqrt(inner);
  const batch = x.shape.slice(0, -1);
  const kind = g.pick(["matrix", "matrix", "matrix", "vector", "batched"] as const);
  if (kind === "vector") return g.node("MatMul", [x, g.parameter([inner])], {}, { shape: batch, size });
  if (kind === "batched" && x.shape.length > 2) {
    const outer = x.shape.slice(0, -2).map((each) => (g.chance(0.5) ? each : 1));
    return g.node(
      "MatMul",
      [x, g.parameter([...outer, inner, width])],
      {},
      { shape: [...batch, width], size },
    );
  }
  return g.node("MatMul", [x, g.parameter([inner, width])], {}, { shape: [...batch, width], size });
}

function gemm(g: Drawing): Drawn {
  const x = g.ofRank(2, 2);
  const [transA, transB] = [g.chance(0.3), g.chance(0.5)];
  const [rows, inner] = transA ? x.shape.toReversed() : x.shape;
  const width = g.between(1, 5);
  const weight = g.parameter(transB ? [width, inner] : [inner, width]);
  const shapes = [[width], [1, width], [rows, 1], [rows, width], [1]];
  const bias = g.opset < 11 || g.chance(0.8) ? g.parameter(g.pick(shapes)) : undefined;
  const attributes: Record<string, AttributeValue> = {
    ...(transA && { transA: int(1) }),
    ...(transB && { transB: int(1) }),
    ...(g.chance(0.3) && { alpha: float(0.7) }),
    ...(g.chance(0.3) && { beta: float(1.3) }),
  };
  return g.node("Gemm", [x, weight, bias], attributes, {
    shape: [rows, width],
    size: x.size * Math.sqrt(inner),
  });
}

const equations: readonly [equation: string, ranks: readonly string[], result: string][] = [
  ["ij,jk->ik", ["ij", "jk"], "ik"],
  ["bij,bjk->bik", ["bij", "bjk"], "bik"],
  ["bij,kj->bik", ["bij", "kj"], "bik"],
  ["ij->ji", ["ij"], "ji"],
  ["ij->i", ["ij"], "i"],
  ["ij,ij->", ["ij", "ij"], ""],
  ["i,j->ij", ["i", "j"], "ij"],
  ["bij,bij->bj", ["bij", "bij"], "bj"],
  ["bhid,bhjd->bhij", ["bhid", "bhjd"], "bhij"],
  ["ij,jk", ["ij", "jk"], "ik"],
];

function einsum(g: Drawing): Drawn {
  const [equation, terms, result] = g.pick(equations);
  const x = g.ofRank(terms[0].length, terms[0].length);
  const sizes = new Map([...terms[0]].map((letter, at) => [letter, x.shape[at]]));
  const sizeOf = (letter: string) => {
    if (!sizes.has(letter)) sizes.set(letter, g.between(1, 4));
    return sizes.get(letter)!;
  };
  const others = terms.slice(1).map((term) => g.parameter([...term].map(sizeOf)));
  return g.node(
    "Einsum",
    [x, ...others],
    { equation: { string: equation } },
    {
      shape: [...result].map(sizeOf),
      size: x.size * 4,
    },
  );
}

/** Small integers, fed or stored. */
function small(g: Drawing, shape: readonly number[], type: "uint8" | "int8"): Drawn {
  const [low, high] = type === "uint8" ? [0, 9] : [-6, 6];
  return g.indices(
    shape,
    Array.from({ length: elementCount(shape) }, () => g.between(low, high)),
    type,
  );
}

const stored = (g: Drawing, value: number, type: "uint8" | "int8") => g.store([], [value], { type });
const scaleOf = (g: Drawing, value: number) => g.store([], [value], { type: "float32", fixedType: true });

function quantized(g: Drawing): Drawn {
  // From a fed tensor alone: no loss goes through.
  const shape = g.shape(2);
  const x = g.input(shape, g.normals(shape, 1, "float32"), "float32");
  const type = g.pick(["uint8", "int8"] as const);
  const [scale, zero] = [
    scaleOf(g, 0.05),
    g.chance(0.7) ? stored(g, type === "uint8" ? 120 : 3, type) : undefined,
  ];
  const q = g.node("QuantizeLinear", [x, scale, zero], {}, { type: zero ? type : "uint8" });
  return asFloat(g, g.node("DequantizeLinear", [q, scale, zero], {}, { type: "float32", size: 4 }));
}

export const productTemplates: Readonly<Record<string, Template>> = {
  MatMul: { since: 7, draw: matrixProduct },
  Gemm: { since: 7, draw: gemm },
  Einsum: { since: 12, draw: einsum },
  Det: {
    since: 11,
    draw: (g) => {
      const n = g.between(1, 3);
      const x = g.tensor(
        (shape) => shape.length >= 2 && shape.at(-1) === shape.at(-2) && shape[shape.length - 1] <= 3,
        () => [...g.shape(g.between(0, 1), 3), n, n],
      );
      return g.node("Det", [x], {}, { shape: x.shape.slice(0, -2), size: 10 });
    },
  },
  QuantizeLinear: { since: 10, draw: quantized },
  DequantizeLinear: {
    since: 10,
    draw: (g) => {
      const shape = [g.between(1, 3), g.between(1, 3)];
      const type = g.pick(["uint8", "int8"] as const);
      const q = small(g, shape, type);
      if (g.opset >= 13 && g.chance(0.5)) {
        const axis = g.between(0, 1);
        const count = shape[axis];
        const scale = g.store(
          [count],
          Array.from({ length: count }, (_, at) => 0.05 * (at + 1)),
          {
            type: "float32",
            fixedType: true,
          },
        );
        const zero = g.chance(0.5) ? g.store([count], Array<number>(count).fill(1), { type }) : undefined;
        const y = g.node("DequantizeLinear", [q, scale, zero], axis === 1 ? {} : { axis: int(0) }, {
          type: "float32",
        });
        return asFloat(g, y);
      }
      const zero = g.chance(0.5) ? stored(g, 2, type) : undefined;
      return asFloat(
        g,
        g.node("DequantizeLinear", [q, scaleOf(g, 0.1), zero], {}, { type: "float32", size: 1 }),
      );
    },
  },
  DynamicQuantizeLinear: {
    since: 11,
    draw: (g) => {
      const shape = g.shape(2);
      const x = g.input(shape, g.normals(shape, 1, "float32"), "float32");
      const [q, scale, zero] = g.nodeOf("DynamicQuantizeLinear", [x], {}, [
        { type: "uint8", size: 255 },
        { type: "float32", shape: [], size: 1 },
        { type: "uint8", shape: [], size: 255 },
      ]);
      return asFloat(g, g.node("DequantizeLinear", [q, scale, zero], {}, { type: "float32", size: 4 }));
    },
  },
  MatMulInteger: {
    since: 10,
    draw: (g) => {
      const [m, k, n] = g.shape(3);
      const [a, b] = [small(g, [m, k], "uint8"), small(g, [k, n], g.pick(["uint8", "int8"] as const))];
      const zero = g.chance(0.5) ? stored(g, 2, "uint8") : undefined;
      return asFloat(
        g,
        g.node("MatMulInteger", [a, b, zero], {}, { type: "int32", shape: [m, n], size: 100 }),
      );
    },
  },
  ConvInteger: {
    since: 10,
    draw: (g) => {
      const [c, f] = [g.between(1, 3), g.between(1, 3)];
      const [x, w] = [small(g, [1, c, 4, 4], "uint8"), small(g, [f, c, 2, 2], "uint8")];
      const zero = g.chance(0.5) ? stored(g, 2, "uint8") : undefined;
      return asFloat(
        g,
        g.node("ConvInteger", [x, w, zero], {}, { type: "int32", shape: [1, f, 3, 3], size: 100 }),
      );
    },
  },
  QLinearMatMul: {
    since: 10,
    draw: (g) => {
      const [m, k, n] = g.shape(3);
      const inputs = [
        small(g, [m, k], "uint8"),
        scaleOf(g, 0.1),
        stored(g, 2, "uint8"),
        small(g, [k, n], "uint8"),
        scaleOf(g, 0.2),
        stored(g, 1, "uint8"),
        scaleOf(g, 0.05),
        stored(g, 5, "uint8"),
      ];
      return asFloat(g, g.node("QLinearMatMul", inputs, {}, { type: "uint8", shape: [m, n], size: 100 }));
    },
  },
  QLinearConv: {
    since: 10,
    draw: (g) => {
      const [c, f] = [g.between(1, 3), g.between(1, 3)];
      const inputs = [
        small(g, [1, c, 4, 4], "uint8"),
        scaleOf(g, 0.1),
        stored(g, 2, "uint8"),
        small(g, [f, c, 2, 2], "uint8"),
        scaleOf(g, 0.2),
        stored(g, 1, "uint8"),
        scaleOf(g, 0.3),
        stored(g, 5, "uint8"),
      ];
      return asFloat(g, g.node("QLinearConv", inputs, {}, { type: "uint8", shape: [1, f, 3, 3], size: 100 }));
    },
  },
};
