import { elementCount, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { and, greaterOrEqual, lessOrEqual, where } from "./comparison.ts";
import { abs, cast, clip, floor, round } from "./elementwise.ts";
import { gather } from "./indexing.ts";
import { reshape, transpose } from "./movement.ts";
import { requireAtMost } from "./operator.ts";

// Images read at places between their elements. Each place is a weighted sum of elements around it: the weights are
// functions of the place, so the gradient for the place comes by itself, and the elements are rows that are gathered, so
// the gradient for the image is a scatter of rows.

export interface Interpolation {
  /** The nearest element, 2 neighbors an axis, or 4 (Keys 1981 with a = −0.75). */
  mode: "nearest" | "linear" | "cubic";
  /** What is outside: 0, the element at the edge, or the image mirrored. */
  padding: "zeros" | "border" | "reflection";
  /** The mirror stands on the outermost elements' centers instead of their outer edges. */
  alignCorners?: boolean;
}

/** A neighbor along one axis: where it is, how much it counts, and whether it is there (where that is a question). */
interface Tap {
  index: Value;
  weight: Value | undefined;
  inside: Value | undefined;
}

/**
 * What each neighbor gives to the images x [N, C, …size] at some places: rows [M·P, C], to be added up. `images`
 * (int64 [M]) says which image each list of P places is of; `places` holds per spatial axis where they are [M, P],
 * counted in elements.
 */
export function interpolationTerms(
  x: Value,
  images: Value,
  places: readonly Value[],
  options: Interpolation,
): Value[] {
  const [count, channels, ...size] = x.shape;
  const points = elementCount(places[0].shape);
  const order = [0, ...size.map((_, axis) => axis + 2), 1];
  const rows = reshape(transpose(x, order), [count * elementCount(size), channels]);
  const taps = places.map((place, axis) => tapsOf(place, size[axis], options));
  const start: Tap[] = [
    { index: reshape(images, [images.shape[0], 1]), weight: undefined, inside: undefined },
  ];
  const combined = taps.reduce<Tap[]>(
    (all, ofAxis, axis) => all.flatMap((before) => ofAxis.map((tap) => combine(before, tap, size[axis]))),
    start,
  );
  return combined.map(({ index, weight, inside }) => {
    const row = gather(rows, reshape(index, [points]));
    const present = inside && cast(inside, x.type);
    const factor = weight && present ? mul(weight, present) : (weight ?? present);
    return factor ? mul(row, reshape(factor, [points, 1])) : row;
  });
}

/** Rows [M·P, C] as [M, C, …size], where P places make up a size. */
export function asImages(rows: Value, count: number, size: readonly number[]): Value {
  const channels = rows.shape[1];
  const separated = reshape(rows, [count, elementCount(size), channels]);
  return reshape(transpose(separated, [0, 2, 1]), [count, channels, ...size]);
}

/** int64 0, 1, …, count − 1. */
export function numbered(x: Value, count: number): Value {
  requireAtMost("Interpolation", x, count, "images");
  const numbers = Array.from({ length: count }, (_, index) => index);
  return x.graph.constant(tensorData(numbers, [count], "int64"));
}

function combine(before: Tap, tap: Tap, length: number): Tap {
  const both = (join: (a: Value, b: Value) => Value, a: Value | undefined, b: Value | undefined) =>
    a && b ? join(a, b) : (a ?? b);
  return {
    index: add(mul(before.index, length), tap.index),
    weight: both(mul, before.weight, tap.weight),
    inside: both(and, before.inside, tap.inside),
  };
}

function tapsOf(given: Value, length: number, options: Interpolation): Tap[] {
  const unfolded = options.padding === "reflection" ? reflected(given, length, options) : given;
  const bounded = options.mode === "linear" && options.padding !== "zeros";
  const place = bounded ? withinEdges(unfolded, length - 1) : unfolded;
  const at = (position: Value, weight: Value | undefined): Tap => {
    const last = length - 1;
    const mirrored = options.padding === "reflection" ? reflected(position, length, options) : position;
    return {
      index: cast(clip(mirrored, 0, last), "int64"),
      weight,
      inside:
        options.padding === "zeros"
          ? and(greaterOrEqual(position, 0), lessOrEqual(position, last))
          : undefined,
    };
  };
  if (options.mode === "nearest") return [at(round(place), undefined)];
  const first = floor(place);
  const part = sub(place, first);
  if (options.mode === "linear") return [at(first, sub(1, part)), at(add(first, 1), part)];
  return [far(add(part, 1)), near(part), near(sub(1, part)), far(sub(2, part))].map((weight, offset) =>
    at(add(first, offset - 1), weight),
  );
}

/** A place outside brought to the edge. On the edge itself its gradient is 0, as in PyTorch. */
function withinEdges(place: Value, last: number): Value {
  return where(lessOrEqual(place, 0), 0, where(greaterOrEqual(place, last), last, place));
}

const slope = -0.75;

/** ((a + 2)d − (a + 3))·d² + 1, for distances up to 1. */
function near(d: Value): Value {
  return add(mul(mul(sub(mul(d, slope + 2), slope + 3), d), d), 1);
}

/** ((a·d − 5a)·d + 8a)·d − 4a, for distances from 1 to 2. */
function far(d: Value): Value {
  return sub(mul(add(mul(sub(mul(d, slope), 5 * slope), d), 8 * slope), d), 4 * slope);
}

/** A place outside brought to where its mirror image is: the zigzag low + range − |((x − low) mod 2·range) − range|. */
function reflected(place: Value, length: number, { alignCorners = false }: Interpolation): Value {
  const [low, range] = alignCorners ? [0, length - 1] : [-0.5, length];
  if (range === 0) return mul(place, 0);
  const moved = sub(place, low);
  const within = sub(moved, mul(floor(mul(moved, 1 / (2 * range))), 2 * range));
  return sub(low + range, abs(sub(within, range)));
}
