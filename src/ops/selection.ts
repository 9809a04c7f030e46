import { type Attributes, describe, elementCount, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { gather } from "./indexing.ts";
import { reshape } from "./movement.ts";
import {
  composeOperator,
  intAttribute,
  normalizeAxes,
  operatorError,
  requireAtMost,
  requireConstant,
} from "./operator.ts";

// Operators whose results have as many elements as their inputs' numbers say. Sizes are known before a graph runs, so
// those numbers have to be constants, and the results are constants, or a gather at constant places.

composeOperator("Compress", {
  since: 11,
  build: ([x, condition], attributes) => {
    const kept = requireConstant("Compress", x!, condition, "conditions").flatMap((holds, index) =>
      holds ? [index] : [],
    );
    const flat = attributes.axis === undefined;
    const source = flat ? reshape(x!, [elementCount(x!.shape)]) : x!;
    const [axis] = normalizeAxes("Compress", source, [intAttribute(attributes, "axis", 0)]);
    return [gather(source, vector(x!, kept), axis)];
  },
});

composeOperator("NonZero", {
  since: 13,
  gradient: "zero",
  build: ([x]) => {
    const numbers = requireConstant("NonZero", x!, x, "numbers");
    const found = numbers.flatMap((value, index) => (value !== 0 ? [index] : []));
    const { shape } = x!;
    const coordinates = shape.flatMap((size, axis) => {
      const step = elementCount(shape.slice(axis + 1));
      return found.map((index) => Math.floor(index / step) % size);
    });
    return [x!.graph.constant(tensorData(coordinates, [shape.length, found.length], "int64"))];
  },
});

composeOperator("Unique", {
  since: 11,
  gradient: "zero",
  build: ([x], attributes) => unique(x!, attributes),
});

/** The different slices along an axis (or numbers), where each stood first, which each slice is, and how many there are. */
function unique(x: Value, attributes: Attributes): Value[] {
  const numbers = requireConstant("Unique", x, x, "numbers");
  const flat = attributes.axis === undefined;
  const shape = flat ? [numbers.length] : x.shape;
  const [axis] = normalizeAxes("Unique", { ...x, shape }, [intAttribute(attributes, "axis", 0)]);
  const [step, size] = [elementCount(shape.slice(axis + 1)), shape[axis]];
  const slices = Array.from({ length: size }, (): number[] => []);
  for (const [index, value] of numbers.entries()) slices[Math.floor(index / step) % size].push(value);
  const keys = slices.map((values) => values.join());
  const counted = new Map<string, { first: number; count: number }>();
  for (const [place, key] of keys.entries()) {
    const known = counted.get(key);
    if (known) known.count++;
    else counted.set(key, { first: place, count: 1 });
  }
  const found = [...counted.values()].map(({ first }) => first);
  const sorted = intAttribute(attributes, "sorted", 1) === 1;
  const firsts = sorted ? found.toSorted((a, b) => inOrder(slices[a], slices[b])) : found;
  const places = new Map(firsts.map((first, place) => [keys[first], place]));
  const inverse = keys.map((key) => places.get(key)!);
  const counts = firsts.map((first) => counted.get(keys[first])!.count);
  const source = flat ? reshape(x, shape) : x;
  return [gather(source, vector(x, firsts), axis), vector(x, firsts), vector(x, inverse), vector(x, counts)];
}

function inOrder(a: readonly number[], b: readonly number[]): number {
  const place = a.findIndex((value, index) => value !== b[index]);
  return place < 0 ? 0 : a[place] - b[place];
}

composeOperator("NonMaxSuppression", {
  since: 11,
  gradient: "zero",
  build: ([boxes, scores, most, overlap, least], attributes) => {
    const limit = (value: Value | undefined, name: string, fallback: number) =>
      value ? requireConstant("NonMaxSuppression", boxes!, value, name)[0] : fallback;
    if (boxes!.shape.length !== 3 || boxes!.shape[1] !== scores!.shape[2]) {
      throw operatorError(
        "NonMaxSuppression",
        boxes!,
        `boxes ${describe(boxes!)} [N, boxes, 4] do not go with scores ${describe(scores!)} [N, classes, boxes]`,
      );
    }
    requireAtMost("NonMaxSuppression", boxes!, elementCount(scores!.shape), "scores", 2 ** 20);
    const selected = suppress({
      boxes: corners(
        requireConstant("NonMaxSuppression", boxes!, boxes, "boxes"),
        intAttribute(attributes, "center_point_box", 0) === 1,
      ),
      scores: requireConstant("NonMaxSuppression", boxes!, scores, "scores"),
      shape: scores!.shape,
      most: limit(most, "max_output_boxes_per_class", 0),
      overlap: limit(overlap, "iou_threshold", 0),
      least: limit(least, "score_threshold", Number.NEGATIVE_INFINITY),
    });
    return [boxes!.graph.constant(tensorData(selected.flat(), [selected.length, 3], "int64"))];
  },
});

type Box = readonly [top: number, left: number, bottom: number, right: number];

function corners(numbers: readonly number[], centered: boolean): Box[] {
  return Array.from({ length: numbers.length / 4 }, (_, index): Box => {
    const [a, b, c, d] = numbers.slice(4 * index, 4 * index + 4);
    if (centered) return [b - d / 2, a - c / 2, b + d / 2, a + c / 2];
    return [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];
  });
}

interface Suppression {
  boxes: readonly Box[];
  scores: readonly number[];
  /** Of the scores: images, classes, boxes. */
  shape: readonly number[];
  most: number;
  overlap: number;
  least: number;
}

/** Of each image and class the best boxes, each overlapping no better one by more than `overlap`: image, class, box. */
function suppress({ boxes, scores, shape, most, overlap, least }: Suppression): number[][] {
  const [images, classes, count] = shape;
  const selected: number[][] = [];
  for (let image = 0; image < images; image++) {
    for (let label = 0; label < classes; label++) {
      const of = scores.slice((image * classes + label) * count, (image * classes + label + 1) * count);
      const order = of.map((_, index) => index).filter((index) => of[index] > least);
      order.sort((a, b) => of[b] - of[a] || a - b);
      const kept: number[] = [];
      for (const index of order) {
        if (kept.length >= most) break;
        const box = boxes[image * count + index];
        if (kept.every((other) => sharedArea(boxes[image * count + other], box) <= overlap)) kept.push(index);
      }
      selected.push(...kept.map((index) => [image, label, index]));
    }
  }
  return selected;
}

/** Intersection over union. */
function sharedArea(a: Box, b: Box): number {
  const side = (low: number, high: number) =>
    Math.max(0, Math.min(a[high], b[high]) - Math.max(a[low], b[low]));
  const shared = side(0, 2) * side(1, 3);
  const area = (box: Box) => (box[2] - box[0]) * (box[3] - box[1]);
  const both = area(a) + area(b) - shared;
  return both > 0 ? shared / both : 0;
}

function vector(x: Value, numbers: readonly number[]): Value {
  return x.graph.constant(tensorData(numbers, [numbers.length], "int64"));
}
