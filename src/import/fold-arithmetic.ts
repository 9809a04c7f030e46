import { UserError } from "../common/errors.ts";
import { elementCount } from "../graph/graph.ts";
import type { DataType } from "../onnx/tensor.ts";
import { dataTypeName, dataTypes, isFloat } from "../onnx/types.ts";
import { intAttribute } from "../ops/operator.ts";
import type { Evaluator } from "./evaluator.ts";
import {
  broadcastShapes,
  type Element,
  frontAxes,
  indexOf,
  isComputed,
  numbersOf,
  placeOf,
  type SmallTensor,
  stretched,
} from "./small-tensor.ts";

// Operators that compute numbers, in the arithmetic of their types: integers wrap around as two's complement does, and
// every float32 is rounded to one. (A sum, difference, product, quotient or root of float32 that is computed in float64
// and then rounded is the nearest float32.)

/** What an operator computes with whole numbers and with fractions. Undefined, or left out: not computed here. */
export interface Arithmetic {
  readonly whole?: (...values: bigint[]) => bigint | undefined;
  readonly fraction?: (...values: number[]) => number | undefined;
}

/** Elements of one shape, one after another, in a type's own arithmetic. */
export function computed(
  type: DataType,
  columns: readonly (readonly Element[])[],
  { whole, fraction }: Arithmetic,
): Element[] | undefined {
  const results = columns[0].map((_, index) => {
    const values = columns.map((column) => column[index]);
    if (!isInteger(type)) return fraction && rounded(fraction(...values.map(Number)), type);
    const result = whole?.(...values.map(BigInt));
    return result === undefined ? undefined : wrapped(result, type);
  });
  return results.includes(undefined) ? undefined : (results as Element[]);
}

/** All inputs broadcast together, of one type. */
const elementwise = (inputs: number, arithmetic: Arithmetic): Evaluator => ({
  inputs: [inputs, inputs],
  attributes: [],
  evaluate: (tensors) => broadcasting(tensors, arithmetic),
});

function broadcasting(tensors: readonly SmallTensor[], arithmetic: Arithmetic): SmallTensor[] | undefined {
  const [{ type }] = tensors;
  const shape = broadcastShapes(tensors.map((tensor) => tensor.shape));
  if (!shape || type === "bool" || tensors.some((tensor) => tensor.type !== type)) return undefined;
  const columns = tensors.map((tensor) => stretched(tensor, shape));
  const data = computed(type, columns, arithmetic);
  return data && [{ type, shape, data }];
}

/** One input after another. */
const variadic = (arithmetic: Arithmetic): Evaluator => ({
  inputs: [1, Number.POSITIVE_INFINITY],
  attributes: [],
  evaluate: ([first, ...others]) =>
    others.reduce<readonly SmallTensor[] | undefined>(
      (result, next) => result && next && broadcasting([result[0], next], arithmetic),
      [first],
    ),
});

const comparing = (holds: (a: Element, b: Element) => boolean): Evaluator => ({
  inputs: [2, 2],
  attributes: [],
  evaluate: ([a, b]) => truths([a, b], a.type === b.type, ([left, right]) => holds(left, right)),
});

const logical = (inputs: number, holds: (...values: boolean[]) => boolean): Evaluator => ({
  inputs: [inputs, inputs],
  attributes: [],
  evaluate: (tensors) =>
    truths(
      tensors,
      tensors.every(({ type }) => type === "bool"),
      (values) => holds(...values.map(Boolean)),
    ),
});

function truths(
  tensors: readonly SmallTensor[],
  fits: boolean,
  holds: (values: readonly Element[]) => boolean,
): SmallTensor[] | undefined {
  const shape = broadcastShapes(tensors.map((tensor) => tensor.shape));
  if (!shape || !fits) return undefined;
  const columns = tensors.map((tensor) => stretched(tensor, shape));
  const data = columns[0].map((_, index) => Number(holds(columns.map((column) => column[index]))));
  return [{ type: "bool", shape, data }];
}

/** `combine` over the named axes; over all when none are named, unless the node says that this means none. */
const reducing = (start: bigint | undefined, combine: Required<Arithmetic>): Evaluator => ({
  inputs: [1, 2],
  attributes: ["keepdims", "noop_with_empty_axes"],
  evaluate: ([x, axes], attributes) => {
    const given = axes ? numbersOf(axes) : [];
    const all = given.length === 0 && intAttribute(attributes, "noop_with_empty_axes", 0) === 0;
    const reduced = all ? x.shape.map((_, axis) => axis) : frontAxes(given, x.shape.length);
    // Booleans have extremes, and no sums.
    if (!reduced || (x.type === "bool" && start !== undefined)) return undefined;
    const kept = x.shape.map((size, axis) => (reduced.includes(axis) ? 1 : size));
    const groups = Array.from({ length: elementCount(kept) }, () => [] as Element[]);
    for (const [index, value] of x.data.entries()) {
      const place = placeOf(index, x.shape).map((at, axis) => (reduced.includes(axis) ? 0 : at));
      groups[indexOf(place, kept)].push(value);
    }
    const data = groups.map((group) => {
      if (isInteger(x.type)) {
        const values = group.map(BigInt);
        const result = values.length > 0 ? values.reduce((a, b) => combine.whole(a, b) ?? a) : start;
        // ONNX Runtime does not wrap all of these around.
        return result !== undefined && isWithin(result, x.type) ? wrapped(result, x.type) : undefined;
      }
      const values = group.map(Number);
      if (values.some(Number.isNaN)) return undefined;
      const result = values.length > 0 ? values.reduce((a, b) => combine.fraction(a, b) ?? a) : start;
      return result === undefined ? undefined : rounded(Number(result), x.type);
    });
    if (data.includes(undefined)) return undefined;
    const shape = intAttribute(attributes, "keepdims", 1)
      ? kept
      : kept.filter((_, axis) => !reduced.includes(axis));
    return [{ type: x.type, shape, data: data as Element[] }];
  },
});

export const sum = { whole: (a: bigint, b: bigint) => a + b, fraction: (a: number, b: number) => a + b };
export const product = { whole: (a: bigint, b: bigint) => a * b, fraction: (a: number, b: number) => a * b };
export const greatest = {
  whole: (a: bigint, b: bigint) => (a > b ? a : b),
  fraction: (a: number, b: number) => Math.max(a, b),
};
export const least = {
  whole: (a: bigint, b: bigint) => (a < b ? a : b),
  fraction: (a: number, b: number) => Math.min(a, b),
};

export const arithmeticEvaluators: Readonly<Record<string, Evaluator>> = {
  Add: elementwise(2, sum),
  Sub: elementwise(2, { whole: (a, b) => a - b, fraction: (a, b) => a - b }),
  Mul: elementwise(2, product),
  Div: elementwise(2, { whole: (a, b) => a / divisor(b), fraction: (a, b) => a / b }),
  Mod: {
    inputs: [2, 2],
    attributes: ["fmod"],
    evaluate: (tensors, attributes) => {
      // With fmod the result has the sign of the dividend, without that of the divisor.
      const like = intAttribute(attributes, "fmod", 0) === 1;
      return broadcasting(tensors, {
        whole: (a, b) => {
          const rest = a % divisor(b);
          // ONNX Runtime takes this remainder in float64.
          if (like && ![a, b].every(isSafe)) return undefined;
          return like || rest === 0n || rest > 0n === b > 0n ? rest : rest + b;
        },
        fraction: (a, b) => {
          const rest = a % b;
          return like || Math.sign(rest) * Math.sign(b) >= 0 ? rest : rest + b;
        },
      });
    },
  },
  Pow: {
    inputs: [2, 2],
    attributes: [],
    evaluate: ([base, exponent]) => {
      if (isInteger(base.type) && !isInteger(exponent.type)) return undefined;
      const alike = inType(exponent, base.type);
      // ONNX Runtime takes powers of integers in float64, where large ones are not exact.
      return alike && broadcasting([base, alike], { whole: smallPower, fraction: (a, b) => a ** b });
    },
  },
  Sum: variadic(sum),
  Max: variadic(greatest),
  Min: variadic(least),
  Clip: {
    inputs: [1, 3],
    attributes: [],
    evaluate: ([x, low, high]: readonly (SmallTensor | undefined)[]) => {
      const lower = low && x && broadcasting([x, low], greatest);
      const bounded = low ? lower?.[0] : x;
      return high && bounded ? broadcasting([bounded, high], least) : bounded && [bounded];
    },
  },
  Neg: elementwise(1, { whole: (x) => -x, fraction: (x) => -x }),
  Abs: elementwise(1, { whole: (x) => (x < 0n ? -x : x), fraction: Math.abs }),
  Sign: elementwise(1, { whole: (x) => (x > 0n ? 1n : x < 0n ? -1n : 0n), fraction: Math.sign }),
  Relu: elementwise(1, { whole: (x) => (x > 0n ? x : 0n), fraction: (x) => Math.max(x, 0) }),
  Sqrt: elementwise(1, { fraction: Math.sqrt }),
  Reciprocal: elementwise(1, { fraction: (x) => 1 / x }),
  Floor: elementwise(1, { fraction: Math.floor }),
  Ceil: elementwise(1, { fraction: Math.ceil }),
  Round: elementwise(1, { fraction: roundedToEven }),
  Not: logical(1, (a) => !a),
  And: logical(2, (a, b) => a && b),
  Or: logical(2, (a, b) => a || b),
  Xor: logical(2, (a, b) => a !== b),
  Equal: comparing((a, b) => a === b),
  Less: comparing((a, b) => a < b),
  LessOrEqual: comparing((a, b) => a <= b),
  Greater: comparing((a, b) => a > b),
  GreaterOrEqual: comparing((a, b) => a >= b),
  Where: {
    inputs: [3, 3],
    attributes: [],
    evaluate: (tensors) => {
      const [condition, a, b] = tensors;
      const shape = broadcastShapes(tensors.map((tensor) => tensor.shape));
      if (!shape || condition.type !== "bool" || a.type !== b.type) return undefined;
      const [test, yes, no] = tensors.map((tensor) => stretched(tensor, shape));
      return [{ type: a.type, shape, data: test.map((holds, index) => (holds ? yes[index] : no[index])) }];
    },
  },
  ReduceSum: reducing(0n, sum),
  ReduceProd: reducing(1n, product),
  ReduceMax: reducing(undefined, greatest),
  ReduceMin: reducing(undefined, least),
  Cast: {
    inputs: [1, 1],
    // Saturation and rounding modes are of 8-bit floats, which are not cast here.
    attributes: ["to", "saturate", "round_mode"],
    evaluate: ([x], attributes) => {
      const type = dataTypeName(intAttribute(attributes, "to", 0), "Cast");
      const y = isComputed(type) ? inType(x, type) : undefined;
      return y && [y];
    },
  },
};

/** A tensor in another type; undefined where ONNX leaves open what an element becomes. */
function inType(x: SmallTensor, type: DataType): SmallTensor | undefined {
  const data = x.data.map((value) => converted(value, x.type, type));
  return data.includes(undefined) ? undefined : { type, shape: x.shape, data: data as Element[] };
}

function converted(value: Element, from: DataType, to: DataType): Element | undefined {
  if (to === "bool") return Number(Boolean(value) || Number.isNaN(value));
  if (!isInteger(to)) {
    const near = Number(value);
    return typeof value === "bigint" && BigInt(near) !== value ? undefined : rounded(near, to);
  }
  if (typeof value === "number" && !Number.isFinite(value)) return undefined;
  const whole = typeof value === "bigint" ? value : BigInt(Math.trunc(value));
  // Integers beyond the type wrap around; what a fraction beyond it becomes is not defined.
  return isFloat(from) && !isWithin(whole, to) ? undefined : wrapped(whole, to);
}

function smallPower(base: bigint, exponent: bigint): bigint | undefined {
  if (exponent < 0n || exponent > 31n) return undefined;
  const power = base ** exponent;
  return BigInt.asIntN(32, power) === power ? power : undefined;
}

function divisor(value: bigint): bigint {
  if (value !== 0n) return value;
  throw new UserError("it divides a known integer by 0; export the model without that");
}

function roundedToEven(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  if (rest !== 0.5) return Object.is(x, -0) || (x < 0 && rest > 0.5 && down === -1) ? -0 : Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

function isSafe(value: bigint): boolean {
  return BigInt.asIntN(54, value) === value;
}

function isInteger(type: DataType): boolean {
  return /^u?int/.test(type);
}

function wrapped(value: bigint, type: DataType): Element {
  const { bits } = dataTypes[type];
  const within = type.startsWith("u") ? BigInt.asUintN(bits, value) : BigInt.asIntN(bits, value);
  return bits === 64 ? within : Number(within);
}

function isWithin(value: bigint, type: DataType): boolean {
  return BigInt(wrapped(value, type)) === value;
}

function rounded(value: number | undefined, type: DataType): number | undefined {
  return value !== undefined && type === "float32" ? Math.fround(value) : value;
}
