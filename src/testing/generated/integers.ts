import { int } from "../../ops/operator.ts";
import type { Drawing, Drawn } from "./drawing.ts";

// Sizes, axes and the like: vectors of int64 that are known before a run, stored, or computed by a chain of nodes from
// stored ones and from shapes. Every way has an opset from which on it is there.

type Way = readonly [since: number, draw: (g: Drawing, values: readonly number[]) => Drawn | undefined];

export function knownIntegers(g: Drawing, values: readonly number[], depth = 0): Drawn {
  if (depth < 2 && g.chance(depth === 0 ? 0.25 : 0.4)) {
    const [since, draw] = g.pick(ways);
    const drawn = g.opset >= since ? draw(g, values) : undefined;
    if (drawn) return drawn;
  }
  return stored(g, values);
}

function stored(g: Drawing, values: readonly number[], shape: readonly number[] = [values.length]): Drawn {
  return g.store(shape, values, { type: "int64" });
}

const inner = (g: Drawing, values: readonly number[]) => knownIntegers(g, values, 1);
const same = (shape: readonly number[]) => ({ shape, type: "int64" as const });
const like = (values: readonly number[]) => same([values.length]);

/** A vector of other numbers, one for each. */
const others = (g: Drawing, values: readonly number[], most = 5) => values.map(() => g.between(1, most));

/** Whether a number times a small one is beyond what numbers hold exactly, as the end of what is to be cut only at its front. */
const isHuge = (value: number) => Math.abs(value) >= 2 ** 31;

const ways: readonly Way[] = [
  [
    7,
    (g, values) => {
      const summands = others(g, values);
      const rest = values.map((value, at) => value - summands[at]);
      return g.node("Add", [inner(g, rest), stored(g, summands)], {}, like(values));
    },
  ],
  [
    7,
    (g, values) => {
      const taken = others(g, values);
      const from = values.map((value, at) => value + taken[at]);
      return g.node("Sub", [inner(g, from), stored(g, taken)], {}, like(values));
    },
  ],
  [
    7,
    (g, values) => {
      const one = g.pick([1, -1]);
      const factors = values.map((value) => one * value);
      return g.node("Mul", [inner(g, factors), stored(g, [one], [])], {}, like(values));
    },
  ],
  [
    7,
    // Division of integers rounds toward zero.
    (g, values) => {
      if (values.some(isHuge)) return undefined;
      const divisors = others(g, values).map((value) => value * g.pick([1, -1]));
      const numerators = values.map((value, at) => {
        const rest = value === 0 ? 0 : g.between(0, Math.abs(divisors[at]) - 1);
        return value * divisors[at] + Math.sign(value * divisors[at]) * rest;
      });
      return g.node("Div", [stored(g, numerators), stored(g, divisors)], {}, like(values));
    },
  ],
  [
    10,
    // The remainder has the sign of the divisor, or with fmod that of what is divided.
    (g, values) => {
      if (values.some(isHuge)) return undefined;
      const fmod = g.chance(0.5);
      const moduli = values.map((value) => Math.abs(value) + g.between(1, 4));
      const signed = values.map((value, at) => {
        const negative = fmod ? g.chance(0.5) : value < 0 || (value === 0 && g.chance(0.5));
        return negative ? -moduli[at] : moduli[at];
      });
      const dividends = values.map((value, at) => {
        const turns = g.between(0, 3);
        if (!fmod) return value + (turns - 2) * moduli[at];
        return value + (value < 0 ? -turns : turns) * moduli[at];
      });
      const attributes = fmod ? { fmod: int(1) } : {};
      return g.node("Mod", [stored(g, dividends), stored(g, signed)], attributes, like(values));
    },
  ],
  [
    8,
    (g, values) => {
      const [a, b] = [others(g, values), others(g, values)];
      const operator = g.pick(["Max", "Min"] as const);
      if (g.opset < 12) return undefined;
      const sign = operator === "Max" ? -1 : 1;
      const [left, right] = [a, b].map((list, at) =>
        values.map((value, index) => (index % 2 === at ? value : value + sign * list[index])),
      );
      return g.node(operator, [stored(g, left), stored(g, right)], {}, like(values));
    },
  ],
  [
    9,
    (g, values) => {
      const holds = values.map(() => g.between(0, 1));
      const condition = g.store([values.length], holds, { type: "bool" });
      const [yes, no] = [1, 0].map((side) =>
        stored(
          g,
          values.map((value, at) => (holds[at] === side ? value : value + 1)),
        ),
      );
      return g.node("Where", [condition, yes, no], {}, like(values));
    },
  ],
  [
    8,
    (g, values) => {
      const negated = values.map((value) => -value || 0);
      return g.node("Neg", [inner(g, negated)], {}, like(values));
    },
  ],
  [
    7,
    (g, values) => {
      if (values.some((value) => value < 0)) return undefined;
      return g.node(
        "Abs",
        [
          stored(
            g,
            values.map((value) => value * g.pick([1, -1]) || 0),
          ),
        ],
        {},
        like(values),
      );
    },
  ],
  [
    7,
    (g, values) => {
      if (values.length < 2) return undefined;
      const at = g.between(1, values.length - 1);
      const parts = [values.slice(0, at), values.slice(at)].map((part) => inner(g, part));
      return g.node("Concat", parts, { axis: int(g.chance(0.3) && g.opset >= 11 ? -1 : 0) }, like(values));
    },
  ],
  [
    7,
    (g, values) => {
      const [before, after] = [g.between(0, 2), g.between(0, 2)];
      const junk = (count: number) => Array.from({ length: count }, () => g.between(1, 9));
      const all = [...junk(before), ...values, ...junk(after)];
      return g.sliced(stored(g, all), [0], [before], [before + values.length]);
    },
  ],
  [
    10,
    (g, values) => {
      if (values.length === 0) return undefined;
      const backward = stored(g, values.toReversed());
      const [from, to, axes, step] = [[-1], [Number.MIN_SAFE_INTEGER], [0], [-1]].map((each) =>
        stored(g, each),
      );
      return g.node("Slice", [backward, from, to, axes, step], {}, like(values));
    },
  ],
  [
    7,
    (g, values) => {
      const order = [...g.random.permutation(values.length)];
      const source = order.map((_, at) => values[order.indexOf(at)]);
      const positions = stored(
        g,
        order.map((at) => (g.opset >= 11 && g.chance(0.3) ? at - order.length : at)),
      );
      return values.length === 0
        ? undefined
        : g.node("Gather", [stored(g, source), positions], {}, like(values));
    },
  ],
  [
    7,
    // The first, or another, of the parts that a Split makes: by the number of outputs, by sizes, as of each opset.
    (g, values) => {
      const equal = g.chance(0.5);
      if (values.length === 0) return undefined;
      const count = g.between(2, 3);
      const place = g.between(0, count - 1);
      const sizes = Array.from({ length: count }, (_, at) =>
        at === place || equal ? values.length : g.between(1, 3),
      );
      const all = sizes.flatMap((size, at) =>
        at === place ? values : Array.from({ length: size }, () => g.between(1, 9)),
      );
      const outputs = sizes.map((size) => same([size]));
      if (equal) {
        const attributes: Record<string, ReturnType<typeof int>> = g.opset >= 18
          ? { num_outputs: int(count) }
          : {};
        return g.nodeOf("Split", [stored(g, all)], attributes, outputs)[place];
      }
      const [input, attributes] = g.setting("split", 13, sizes);
      return g.nodeOf("Split", [stored(g, all), input], attributes, outputs)[place];
    },
  ],
  [
    7,
    (g, values) => {
      const shape = [values.length, 1];
      return g.chance(0.5)
        ? g.squeezed(stored(g, values, shape), [1])
        : g.node("Reshape", [stored(g, values, shape), stored(g, [-1])], {}, like(values));
    },
  ],
  [
    7,
    (g, values) => {
      if (values.length !== 1) return undefined;
      return g.unsqueezed(stored(g, values, []), [0]);
    },
  ],
  [
    9,
    (g, values) => {
      const largest = { int32: 2 ** 31, float32: 2 ** 24, float64: 2 ** 53 };
      const type = g.pick(["int32", "float32", "float64"] as const);
      if (values.some((value) => Math.abs(value) >= largest[type])) return undefined;
      const source = g.store([values.length], values, { type, fixedType: true });
      return g.node("Cast", [source], { to: int(7) }, like(values));
    },
  ],
  [
    7,
    // A sum, product or extreme of rows.
    (g, values) => {
      const operator = g.pick(["ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"] as const);
      const rows = values.map((value): [number, number] => {
        const other = g.between(1, 5);
        if (operator === "ReduceSum") return [value - other, other];
        if (operator === "ReduceProd") return [-value, -1];
        return [value, operator === "ReduceMax" ? value - other : value + other];
      });
      if (values.length === 0) return undefined;
      const keepdims = g.chance(0.5);
      const y = g.reduced(operator, stored(g, rows.flat(), [values.length, 2]), [1], keepdims);
      return keepdims ? g.squeezed(y, [1]) : y;
    },
  ],
  [
    7,
    (g, values) => {
      const [a, b] = [g.between(1, 3), values.length];
      if (b < 2) return undefined;
      const table = Array.from({ length: a * b }, () => g.between(0, 5));
      const row = g.between(0, a - 1);
      for (const [at, value] of values.entries()) table[at * a + row] = value;
      const columns = g.transposed(stored(g, table, [b, a]), [1, 0]);
      return g.node(
        "Gather",
        [columns, g.store([], [row], { type: "int64" })],
        { axis: int(0) },
        like(values),
      );
    },
  ],
  [
    8,
    (g, values) => {
      if (values.length === 0 || values.some((value) => value !== values[0])) return undefined;
      return g.node("Expand", [stored(g, [values[0]]), stored(g, [values.length])], {}, like(values));
    },
  ],
  [
    7,
    // Sizes of a tensor that is there: Shape, then one number of it, put together again.
    (g, values) => {
      const parts = values.map((value) => {
        const source = g.pool.find(({ shape }) => shape.includes(value));
        if (!source || g.chance(0.3)) return inner(g, [value]);
        const { shape } = source;
        const axis = shape.indexOf(value);
        if (g.opset >= 15 && g.chance(0.3)) {
          const [start, end] = g.chance(0.5) ? [axis, axis + 1] : [axis - shape.length, axis + 1];
          return g.node("Shape", [source], { start: int(start), end: int(end) }, same([1]));
        }
        const sizes = g.node("Shape", [source], {}, same([shape.length]));
        if (g.chance(0.3)) return g.sliced(sizes, [0], [axis], [axis + 1]);
        const one = g.node(
          "Gather",
          [sizes, g.store([], [axis], { type: "int64" })],
          { axis: int(0) },
          same([]),
        );
        return g.unsqueezed(one, [0]);
      });
      if (parts.length === 0) return undefined;
      return parts.length === 1 ? parts[0] : g.node("Concat", parts, { axis: int(0) }, like(values));
    },
  ],
  [
    9,
    (g, values) => {
      if (values.length === 0 || values.some((value) => value !== values[0])) return undefined;
      const value = { type: "int64", shape: [1], data: BigInt64Array.of(BigInt(values[0])) } as const;
      return g.node(
        "ConstantOfShape",
        [stored(g, [values.length])],
        { value: { tensor: value } },
        like(values),
      );
    },
  ],
  [
    11,
    (g, values) => {
      const step = values.length > 1 ? values[1] - values[0] : 1;
      const regular = values.every((value, at) => value === values[0] + at * step);
      if (values.length === 0 || step === 0 || !regular) return undefined;
      const limits = [values[0], values[0] + values.length * step, step];
      return g.node(
        "Range",
        limits.map((value) => stored(g, [value], [])),
        {},
        like(values),
      );
    },
  ],
  [
    11,
    (g, values) => {
      const differences = values.map((value, at) => value - (at === 0 ? 0 : values[at - 1]));
      if (values.length === 0) return undefined;
      return g.node(
        "CumSum",
        [stored(g, differences), g.store([], [0], { type: "int64" })],
        {},
        like(values),
      );
    },
  ],
  [
    9,
    (g, values) => {
      if (values.length === 0) return undefined;
      const zero = values.map(() => g.between(0, 1));
      const condition = g.node(
        "Equal",
        [stored(g, zero), stored(g, [0], [1])],
        {},
        { type: "bool", shape: [values.length] },
      );
      const [yes, no] = [0, 1].map((side) =>
        stored(
          g,
          values.map((value, at) => (zero[at] === side ? value : value - 2)),
        ),
      );
      return g.node("Where", [condition, yes, no], {}, like(values));
    },
  ],
  [
    7,
    (g, values) => {
      const half = values.length / 2;
      if (values.length < 2 || values.some((value, at) => value !== values[at % half])) return undefined;
      return g.node("Tile", [stored(g, values.slice(0, half)), stored(g, [2])], {}, like(values));
    },
  ],
  [
    7,
    (g, values) => {
      if (values.some((value) => value < 0) || values.length === 0) return undefined;
      const source = g.store(
        [values.length],
        values.map((value) => value + 0.25),
        { type: "float32", fixedType: true },
      );
      const floor = g.node(g.pick(["Floor", "Identity"] as const), [source], {}, { type: "float32" });
      return g.node("Cast", [floor], { to: int(7) }, like(values));
    },
  ],
  [7, (g, values) => g.node("Identity", [inner(g, values)], {}, like(values))],
  [
    11,
    (g, values) => {
      if (values.length === 0) return undefined;
      const table = values.flatMap((value) => [g.between(0, 5), value]);
      const places = stored(
        g,
        values.flatMap((_, at) => [at, 1]),
        [values.length, 2],
      );
      return g.node("GatherND", [stored(g, table, [values.length, 2]), places], {}, like(values));
    },
  ],
  [
    11,
    (g, values) => {
      if (values.length === 0) return undefined;
      const at = g.between(0, values.length - 1);
      const data = values.with(at, 99);
      const inputs = [stored(g, data), stored(g, [at]), stored(g, [values[at]])];
      return g.node("ScatterElements", inputs, { axis: int(0) }, like(values));
    },
  ],
  [
    13,
    (g, values) => {
      if (values.length !== 1 || values[0] < 1) return undefined;
      const size = g.node("Size", [stored(g, Array<number>(values[0]).fill(1))], {}, same([]));
      return g.unsqueezed(size, [0]);
    },
  ],
];
