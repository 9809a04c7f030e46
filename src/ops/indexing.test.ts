import type { Random } from "../common/random.ts";
import { randomStream } from "../common/random.ts";
import { int64Vector } from "../graph/constants.ts";
import type { Value } from "../graph/graph.ts";
import {
  awayFromZero,
  type Case,
  indices,
  pick,
  shapeOf,
  size,
  testGradients,
} from "../testing/gradient-cases.ts";
import { mul, square } from "./arithmetic.ts";
import { gather, oneHot, topK } from "./indexing.ts";
import { depthToSpace, spaceToDepth, split, tile, triangle } from "./layout.ts";
import { reshape } from "./movement.ts";
import { apply, int, ints } from "./operator.ts";
import { pad } from "./padding.ts";

// Operators that move numbers, in the forms that ONNX files have them.

const listOf = (count: number, draw: () => number) => Array.from({ length: count }, draw);
const product = (shape: readonly number[]) => shape.reduce((total, length) => total * length, 1);

/** Values apart from each other, so that no step of a finite difference changes their order. */
function distinct(): (random: Random) => number {
  let count = 0;
  const order = randomStream(1, "distinct").permutation(512);
  return (random) => 0.1 * order[count++ % 512] - 5 + 0.02 * random.uniform();
}

const scatter =
  (operator: "ScatterElements" | "ScatterND", reduction: string): Case =>
  (random) => {
    const [rows, columns, added] = [size(random), size(random) + 1, size(random)];
    const elements = operator === "ScatterElements";
    // Without a reduction no place may be named twice.
    const once = reduction === "none";
    const many = once ? Math.min(added, elements ? columns : rows) : added;
    const places = elements
      ? listOf(rows, () => 0).flatMap(() => taken(random, many, columns, once))
      : taken(random, many, rows, once);
    const signed = places.map((place) =>
      random.uniform() < 0.3 ? place - (elements ? columns : rows) : place,
    );
    return {
      shapes: [[rows, columns], elements ? [rows, many] : [many, columns]],
      build: ([x, updates]) =>
        square(
          apply(operator, [x, indices(x, signed, elements ? [rows, many] : [many, 1]), updates], {
            ...(elements ? { axis: int(-1) } : {}),
            reduction: { string: reduction },
          })[0],
        ),
      draw: reduction === "mul" ? awayFromZero : distinct(),
    };
  };

function taken(random: Random, count: number, from: number, once: boolean): number[] {
  return once ? [...random.permutation(from)].slice(0, count) : listOf(count, () => random.integer(from));
}

const resized =
  (build: (x: Value) => Value, draw: (random: Random) => number[]): Case =>
  (random) => ({ shapes: [draw(random)], build: ([x]) => square(build(x)) });

const padding =
  (mode: "reflect" | "edge" | "wrap"): Case =>
  (random) => {
    const shape = [size(random) + 1, size(random) + 1, size(random) + 1];
    const amounts = () => shape.map((length) => random.integer(Math.min(3, length)));
    const [before, after] = [amounts(), amounts()];
    return { shapes: [shape], build: ([x]) => square(pad(x, before, after, mode)) };
  };

testGradients({
  Gather: (random) => {
    const shape = shapeOf(random, 1 + random.integer(3));
    const axis = random.integer(shape.length);
    const places = shapeOf(random, random.integer(3));
    const named = listOf(product(places), () => random.integer(2 * shape[axis]) - shape[axis]);
    return { shapes: [shape], build: ([x]) => square(gather(x, indices(x, named, places), axis)) };
  },
  GatherND: (random) => {
    const shape = shapeOf(random, 3);
    const batch = random.integer(2);
    const named = 1 + random.integer(2);
    const places = [...shape.slice(0, batch), ...shapeOf(random, 1), named];
    const values = listOf(product(places), () => 0).map((_, index) =>
      random.integer(shape[batch + (index % named)]),
    );
    return {
      shapes: [shape],
      build: ([x]) =>
        square(apply("GatherND", [x, indices(x, values, places)], { batch_dims: int(batch) })[0]),
    };
  },
  ...Object.fromEntries(
    (["ScatterElements", "ScatterND"] as const).flatMap((operator) =>
      ["none", "add", "mul", "max", "min"].map((reduction) => [
        `${operator} (${reduction})`,
        scatter(operator, reduction),
      ]),
    ),
  ),
  TopK: (random) => {
    const shape = shapeOf(random, 3);
    const axis = random.integer(3);
    const k = 1 + random.integer(shape[axis]);
    const largest = random.uniform() < 0.5;
    return { shapes: [shape], build: ([x]) => square(topK(x, k, axis, largest).values), draw: distinct() };
  },
  OneHot: (random) => {
    const [count, classes] = [size(random), size(random)];
    const named = listOf(count, () => random.integer(classes));
    const axis = pick(random, [-1, 0]);
    return {
      shapes: [[2], [count * classes]],
      build: ([values, x]) => {
        const places = indices(x, named, [count]);
        const [hot] = apply("OneHot", [places, x.graph.scalar(classes, "int64"), square(values)], {
          axis: int(axis),
        });
        return mul(
          mul(reshape(hot, x.shape), reshape(oneHot(places, classes, x.type as "float32"), x.shape)),
          x,
        );
      },
    };
  },
  Squeeze: resized(
    (x) => apply("Squeeze", [x, int64Vector(x.graph, [-2])])[0],
    (random) => [size(random), 1, size(random)],
  ),
  "Squeeze of all": resized(
    (x) => apply("Squeeze", [x])[0],
    (random) => [1, size(random), 1],
  ),
  Unsqueeze: resized(
    (x) => apply("Unsqueeze", [x, int64Vector(x.graph, [-1, 1])])[0],
    (random) => [size(random), size(random)],
  ),
  Split: (random) => {
    const sizes = listOf(1 + random.integer(3), () => size(random));
    const total = sizes.reduce((sum, each) => sum + each, 0);
    return {
      shapes: [[size(random), total]],
      build: ([x]) => square(pick(random, split(x, sizes, -1))),
    };
  },
  "Split into equal parts": (random) => ({
    shapes: [[5 + random.integer(2), size(random)]],
    build: ([x]) => square(apply("Split", [x], { num_outputs: int(3) })[random.integer(3)]),
  }),
  Tile: (random) => {
    const shape = shapeOf(random, 1 + random.integer(3));
    const times = shape.map(() => size(random, 3));
    return { shapes: [shape], build: ([x]) => square(tile(x, times)) };
  },
  Trilu: (random) => ({
    shapes: [shapeOf(random, 2 + random.integer(2))],
    build: ([x]) => square(triangle(x, pick(random, ["upper", "lower"]), random.integer(4) - 2)),
  }),
  CumSum: (random) => {
    const settings = { exclusive: int(random.integer(2)), reverse: int(random.integer(2)) };
    return {
      shapes: [shapeOf(random, 3)],
      build: ([x]) =>
        square(apply("CumSum", [x, x.graph.scalar(random.integer(3) - 3, "int64")], settings)[0]),
    };
  },
  CumProd: (random) => {
    const settings = { exclusive: int(random.integer(2)), reverse: int(random.integer(2)) };
    return {
      shapes: [shapeOf(random, 3)],
      build: ([x]) => apply("CumProd", [x, x.graph.scalar(random.integer(3) - 3, "int64")], settings)[0],
    };
  },
  DepthToSpace: (random) => ({
    shapes: [[size(random, 2), 4 * size(random, 2), size(random), size(random)]],
    build: ([x]) => square(depthToSpace(x, 2, pick(random, ["DCR", "CRD"]))),
  }),
  SpaceToDepth: (random) => ({
    shapes: [[size(random, 2), size(random), 2 * size(random, 2), 2 * size(random, 2)]],
    build: ([x]) => square(spaceToDepth(x, 2, pick(random, ["DCR", "CRD"]))),
  }),
  "Pad (reflect)": padding("reflect"),
  "Pad (edge)": padding("edge"),
  "Pad (wrap)": padding("wrap"),
  "Pad (some axes, with a number)": (random) => ({
    shapes: [shapeOf(random, 3), []],
    build: ([x, value]) =>
      square(apply("Pad", [x, int64Vector(x.graph, [1, 0, 2, 1]), value, int64Vector(x.graph, [-1, 0])])[0]),
  }),
  "Slice (negative steps and bounds)": (random) => {
    const shape = shapeOf(random, 2).map((length) => length + 2);
    // Starts, ends, axes and steps, as exporters write them.
    const bounds = [
      [-1, random.integer(2)],
      [-100, 2 ** 40],
      [1, -2],
      [pick(random, [-1, -2, -3]), 2],
    ];
    return {
      shapes: [shape],
      build: ([x]) =>
        square(apply("Slice", [x, ...bounds.map((numbers) => int64Vector(x.graph, numbers))])[0]),
    };
  },
  "Reshape (0 and −1)": (random) => ({
    shapes: [[size(random), size(random), 2]],
    build: ([x]) => square(apply("Reshape", [x, int64Vector(x.graph, [0, -1])])[0]),
  }),
  "Expand (both ways)": (random) => ({
    shapes: [[size(random) + 1, size(random)]],
    build: ([x]) => square(apply("Expand", [x, int64Vector(x.graph, [3, 1, 1])])[0]),
  }),
  "Transpose and Flatten without attributes": (random) => ({
    shapes: [shapeOf(random, 3)],
    build: ([x]) =>
      square(apply("Flatten", [apply("Transpose", [x], { perm: ints([2, 0, 1]) })[0]], { axis: int(-1) })[0]),
  }),
});
