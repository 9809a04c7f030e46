import { type Attributes, elementCount, type Shape } from "../graph/graph.ts";
import { intAttribute, stringAttribute } from "../ops/operator.ts";
import type { Evaluator } from "./evaluator.ts";
import { type Arithmetic, computed, greatest, least, product, sum } from "./fold-arithmetic.ts";
import {
  type Element,
  frontAxes,
  frontAxis,
  indexOf,
  isSmall,
  numbersOf,
  placeOf,
  type SmallTensor,
} from "./small-tensor.ts";

// Operators that take elements which other elements name, put them there, or tell where they are.

const reductions: Readonly<Record<string, Arithmetic>> = {
  add: sum,
  mul: product,
  max: greatest,
  min: least,
};

/** A tensor with updates put in at some indices; undefined where their order would matter. */
function scattered(
  x: SmallTensor,
  places: readonly (number | undefined)[],
  updates: SmallTensor,
  attributes: Attributes,
): SmallTensor[] | undefined {
  const reduction = stringAttribute(attributes, "reduction", "none");
  const data: (Element | undefined)[] = [...x.data];
  if (places.length !== updates.data.length || updates.type !== x.type || places.includes(undefined))
    return undefined;
  if (reduction === "none" && new Set(places).size < places.length) return undefined;
  if (reduction !== "none" && (x.type === "bool" || [...x.data, ...updates.data].some(Number.isNaN)))
    return undefined;
  for (const [index, place] of (places as readonly number[]).entries()) {
    const before = data[place];
    if (before === undefined) return undefined;
    const [after] =
      reduction === "none"
        ? [updates.data[index]]
        : (computed(x.type, [[before], [updates.data[index]]], reductions[reduction]) ?? []);
    data[place] = after;
  }
  return data.includes(undefined) ? undefined : [{ ...x, data: data as Element[] }];
}

/** Where in a tensor each of some indices along an axis is, which stand at the places of their own shape otherwise. */
function placesAlong(shape: Shape, indices: SmallTensor, attributes: Attributes): (number | undefined)[] {
  const axis = frontAxis(intAttribute(attributes, "axis", 0), shape.length);
  const fits = indices.shape.length === shape.length;
  return numbersOf(indices).map((given, index) => {
    const at = axis === undefined || !fits ? undefined : frontAxis(given, shape[axis]);
    if (at === undefined || axis === undefined) return undefined;
    const place = placeOf(index, indices.shape).with(axis, at);
    return place.every((one, along) => one < shape[along]) ? indexOf(place, shape) : undefined;
  });
}

/** For each point [..., n] of the first n axes behind the batch, the places of all that it names. */
function placesOfPoints(shape: Shape, points: SmallTensor, batch: number): (number | undefined)[] {
  const depth = points.shape.at(-1) ?? 0;
  const rows = points.shape.slice(0, -1);
  const inner = elementCount(shape.slice(batch + depth));
  const numbers = numbersOf(points);
  return Array.from({ length: elementCount(rows) }, (_, row) => {
    const given = numbers.slice(row * depth, (row + 1) * depth);
    const at = given.map((one, axis) => frontAxis(one, shape[batch + axis]));
    if (batch + depth > shape.length || at.includes(undefined)) return [undefined];
    const place = [...placeOf(row, rows).slice(0, batch), ...(at as number[])];
    const start = indexOf(place, shape) * inner;
    return Array.from({ length: inner }, (_, offset) => start + offset);
  }).flat();
}

function takenAt(
  x: SmallTensor,
  places: readonly (number | undefined)[],
  shape: Shape,
): SmallTensor[] | undefined {
  if (places.includes(undefined) || !isSmall(shape)) return undefined;
  return [{ type: x.type, shape, data: (places as number[]).map((place) => x.data[place]) }];
}

/** What is in a line of elements along an axis, by the position of the line. */
function linesAlong(x: SmallTensor, axis: number): { values: Element[]; places: number[] }[] {
  const outer = x.shape.with(axis, 1);
  return Array.from({ length: elementCount(outer) }, (_, line) => {
    const place = placeOf(line, outer);
    const places = Array.from({ length: x.shape[axis] }, (_, at) => indexOf(place.with(axis, at), x.shape));
    return { values: places.map((at) => x.data[at]), places };
  });
}

/** The position of the greatest or least element of each line. */
const extremeAt = (sign: 1 | -1): Evaluator => ({
  inputs: [1, 1],
  attributes: ["axis", "keepdims", "select_last_index"],
  evaluate: ([x], attributes) => {
    const axis = frontAxis(intAttribute(attributes, "axis", 0), x.shape.length);
    if (axis === undefined || x.shape[axis] === 0 || isUnordered(x)) return undefined;
    const last = intAttribute(attributes, "select_last_index", 0) === 1;
    const data = linesAlong(x, axis).map(({ values }) => {
      const best = values.reduce((a, b) => (ordered(b, a) * sign > 0 ? b : a));
      return BigInt(last ? values.lastIndexOf(best) : values.indexOf(best));
    });
    const kept = intAttribute(attributes, "keepdims", 1) === 1;
    return [{ type: "int64", shape: kept ? x.shape.with(axis, 1) : x.shape.toSpliced(axis, 1), data }];
  },
});

export const indexingEvaluators: Readonly<Record<string, Evaluator>> = {
  GatherElements: {
    inputs: [2, 2],
    attributes: ["axis"],
    evaluate: ([x, indices], attributes) =>
      takenAt(x, placesAlong(x.shape, indices, attributes), indices.shape),
  },
  GatherND: {
    inputs: [2, 2],
    attributes: ["batch_dims"],
    evaluate: ([x, indices], attributes) => {
      const batch = intAttribute(attributes, "batch_dims", 0);
      const rest = x.shape.slice(batch + (indices.shape.at(-1) ?? 0));
      return takenAt(x, placesOfPoints(x.shape, indices, batch), [...indices.shape.slice(0, -1), ...rest]);
    },
  },
  ScatterElements: {
    inputs: [3, 3],
    attributes: ["axis", "reduction"],
    evaluate: ([x, indices, updates], attributes) =>
      scattered(x, placesAlong(x.shape, indices, attributes), updates, attributes),
  },
  ScatterND: {
    inputs: [3, 3],
    attributes: ["reduction"],
    evaluate: ([x, indices, updates], attributes) =>
      scattered(x, placesOfPoints(x.shape, indices, 0), updates, attributes),
  },
  CumSum: {
    inputs: [2, 2],
    attributes: ["exclusive", "reverse"],
    evaluate: ([x, along], attributes) => {
      const axis = frontAxis(numbersOf(along)[0], x.shape.length);
      if (axis === undefined || along.data.length !== 1 || x.type === "bool") return undefined;
      const backward = intAttribute(attributes, "reverse", 0) === 1;
      const exclusive = intAttribute(attributes, "exclusive", 0) === 1;
      const data: (Element | undefined)[] = [...x.data];
      for (const { values, places } of linesAlong(x, axis)) {
        const order = backward ? values.map((_, at) => values.length - 1 - at) : values.map((_, at) => at);
        let total: Element | undefined = typeof values[0] === "bigint" ? 0n : 0;
        for (const at of order) {
          if (exclusive) data[places[at]] = total;
          total = total === undefined ? undefined : computed(x.type, [[total], [values[at]]], sum)?.[0];
          if (!exclusive) data[places[at]] = total;
        }
      }
      return data.includes(undefined) ? undefined : [{ ...x, data: data as Element[] }];
    },
  },
  Compress: {
    inputs: [2, 2],
    attributes: ["axis"],
    evaluate: ([x, condition], attributes) => {
      const source = attributes.axis === undefined ? { ...x, shape: [x.data.length] } : x;
      const axis = frontAxis(intAttribute(attributes, "axis", 0), source.shape.length);
      if (axis === undefined || condition.data.length > source.shape[axis]) return undefined;
      const kept = condition.data.flatMap((holds, at) => (holds ? [at] : []));
      const shape = source.shape.with(axis, kept.length);
      const places = Array.from({ length: elementCount(shape) }, (_, index) => {
        const place = placeOf(index, shape);
        return indexOf(place.with(axis, kept[place[axis]]), source.shape);
      });
      return takenAt(source, places, shape);
    },
  },
  Pad: {
    inputs: [2, 4],
    attributes: ["mode"],
    evaluate: ([x, pads, value, axes], attributes) => {
      const along = axes ? frontAxes(numbersOf(axes), x.shape.length) : x.shape.map((_, axis) => axis);
      const amounts = numbersOf(pads);
      const isConstant = stringAttribute(attributes, "mode", "constant") === "constant";
      if (!along || !isConstant || amounts.length !== 2 * along.length) return undefined;
      if (amounts.some((amount) => amount < 0) || (value && value.type !== x.type)) return undefined;
      const amountAt = (axis: number, side: 0 | 1) => {
        const index = along.indexOf(axis);
        return index < 0 ? 0 : amounts[index + side * along.length];
      };
      const shape = x.shape.map((size, axis) => amountAt(axis, 0) + size + amountAt(axis, 1));
      if (!isSmall(shape)) return undefined;
      const filling = value?.data[0] ?? (x.type === "int64" || x.type === "uint64" ? 0n : 0);
      const data = Array.from({ length: elementCount(shape) }, (_, index) => {
        const place = placeOf(index, shape).map((at, axis) => at - amountAt(axis, 0));
        return place.every((at, axis) => at >= 0 && at < x.shape[axis])
          ? x.data[indexOf(place, x.shape)]
          : filling;
      });
      return [{ type: x.type, shape, data }];
    },
  },
  ArgMax: extremeAt(1),
  ArgMin: extremeAt(-1),
  TopK: {
    inputs: [2, 2],
    attributes: ["axis", "largest", "sorted"],
    evaluate: ([x, count], attributes) => {
      const axis = frontAxis(intAttribute(attributes, "axis", -1), x.shape.length);
      const [k] = numbersOf(count);
      // What is not sorted has no order that is stated.
      const sorted = intAttribute(attributes, "sorted", 1) === 1;
      if (axis === undefined || isUnordered(x) || !sorted || !(k >= 0 && k <= x.shape[axis]))
        return undefined;
      const sign = intAttribute(attributes, "largest", 1) === 1 ? -1 : 1;
      const shape = x.shape.with(axis, k);
      const [values, indices]: Element[][] = [new Array(elementCount(shape)), new Array(elementCount(shape))];
      for (const [line, { values: all }] of linesAlong(x, axis).entries()) {
        const order = all.map((_, at) => at).sort((a, b) => sign * ordered(all[a], all[b]) || a - b);
        const place = placeOf(line, x.shape.with(axis, 1));
        for (const [rank, at] of order.slice(0, k).entries()) {
          const index = indexOf(place.with(axis, rank), shape);
          values[index] = all[at];
          indices[index] = BigInt(at);
        }
      }
      return [
        { type: x.type, shape, data: values },
        { type: "int64", shape, data: indices },
      ];
    },
  },
};

function isUnordered({ type, data }: SmallTensor): boolean {
  return type === "bool" || data.some(Number.isNaN);
}

function ordered(a: Element, b: Element): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
