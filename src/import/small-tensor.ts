import { elementCount, type Shape, type Value } from "../graph/graph.ts";
import type { DataType, TensorData } from "../onnx/tensor.ts";
import { dataTypes, wideType } from "../onnx/types.ts";

// Small constant tensors, as the evaluators of `fold.ts` compute with them.

/** Constants of more elements are left to ONNX Runtime. */
const largest = 1 << 16;

/** An element as its type holds it: a bigint in integers of 64 bits, a number in all others. */
export type Element = number | bigint;

export interface SmallTensor {
  readonly type: DataType;
  readonly shape: Shape;
  readonly data: readonly Element[];
}

/** A constant as a small tensor; undefined for what is computed, large, or no tensor of numbers. */
export function smallTensor(value: Value): SmallTensor | undefined {
  const { type, shape, origin } = value;
  if (origin.kind !== "constant" || !isComputed(type) || !isSmall(shape)) return undefined;
  return { type, shape, data: Array.from(origin.data.data as ArrayLike<Element>) };
}

/** The tensor in the array of its type, which takes elements of the type as they are. */
export function constantData({ type, shape, data }: SmallTensor): TensorData {
  const array = dataTypes[type].array as unknown as { from(values: readonly Element[]): unknown };
  return { type, shape, data: array.from(data) } as TensorData;
}

/** Whether tensors of a type hold one number for each element, in that type. */
export function isComputed(type: DataType): boolean {
  return type !== "string" && wideType(type) === type && !("parts" in dataTypes[type]);
}

export function isSmall(shape: Shape): boolean {
  return elementCount(shape) <= largest;
}

/** The elements as numbers: those of 64 bits that a number does not hold are rounded. */
export function numbersOf({ data }: SmallTensor): number[] {
  return data.map(Number);
}

/** An axis counted from the front; undefined if there is no such axis. */
export function frontAxis(axis: number, rank: number): number | undefined {
  const front = axis < 0 ? axis + rank : axis;
  return Number.isInteger(front) && front >= 0 && front < rank ? front : undefined;
}

/** Axes counted from the front; undefined if one does not exist or is named twice. */
export function frontAxes(axes: readonly number[], rank: number): number[] | undefined {
  const front = axes.flatMap((axis) => frontAxis(axis, rank) ?? []);
  return front.length === axes.length && new Set(front).size === axes.length ? front : undefined;
}

/** The shape that all of some shapes broadcast to; undefined if they do not, or if the result is large. */
export function broadcastShapes(shapes: readonly Shape[]): Shape | undefined {
  const rank = Math.max(...shapes.map(({ length }) => length));
  const shape = Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((each) => each[axis - rank + each.length] ?? 1);
    return sizes.find((size) => size !== 1) ?? 1;
  });
  const fits = shapes.every((each) =>
    each.every((size, axis) => size === 1 || size === shape[axis + rank - each.length]),
  );
  return fits && isSmall(shape) ? shape : undefined;
}

/** The elements of a tensor repeated to a shape that it broadcasts to. */
export function stretched(x: SmallTensor, shape: Shape): readonly Element[] {
  const missing = shape.length - x.shape.length;
  return Array.from({ length: elementCount(shape) }, (_, index) => {
    const place = placeOf(index, shape).slice(missing);
    return x.data[
      indexOf(
        place.map((at, axis) => (x.shape[axis] === 1 ? 0 : at)),
        x.shape,
      )
    ];
  });
}

/** Where the element of an index stands: one position for each axis. */
export function placeOf(index: number, shape: Shape): number[] {
  const place: number[] = [];
  for (let axis = shape.length - 1, rest = index; axis >= 0; axis--) {
    place.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return place;
}

/** The index of the element at a place. */
export function indexOf(place: readonly number[], shape: Shape): number {
  return place.reduce((sum, at, axis) => sum * shape[axis] + at, 0);
}
