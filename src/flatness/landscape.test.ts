import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { Graph } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reduceSum } from "../ops/reduction.ts";
import { assertClose } from "../testing/numeric.ts";
import {
  centresSurface,
  problemSurface,
  quadraticSurface,
  singleBatch,
  usingSurface,
} from "../testing/surfaces.ts";
import {
  evenlySpaced,
  filterNormalizedDirection,
  interpolation,
  landscape,
  principalPlane,
} from "./landscape.ts";
import type { SavedState } from "./progress.ts";
import { spectrum } from "./spectrum.ts";
import { confidenceInterval } from "./statistics.ts";

const H = [
  [3, 1],
  [1, -1],
];
const b = [0.5, -2];
const w = [1, 2];
const lossAt = ([x, y]: number[]) => (3 * x * x + 2 * x * y - y * y) / 2 + 0.5 * x - 2 * y;

test("a plane of a quadratic is the quadratic", async () => {
  await usingSurface(quadraticSurface(H, b, w), async (surface) => {
    const [one, other] = [Float64Array.of(1, -1), Float64Array.of(0.5, 2)];
    const coordinates = [evenlySpaced(-1, 1, 5), evenlySpaced(0, 3, 4)];
    const found = await landscape(surface, { directions: [one, other], coordinates });
    const expected = coordinates[0].flatMap((p) =>
      coordinates[1].map((q) => lossAt([0, 1].map((i) => w[i] + p * one[i] + q * other[i]))),
    );
    assertClose(found.loss, expected, 1e-12);
    assert.deepEqual(found.coordinates, [
      [-1, -0.5, 0, 0.5, 1],
      [0, 1, 2, 3],
    ]);
  });
});

test("along an eigenvector the loss bends by its eigenvalue", async () => {
  await usingSurface(problemSurface("mlp", "float64"), async (surface) => {
    const { largest, vectors } = await spectrum(surface, { largest: 1, vectors: true, tolerance: 1e-8 });
    const step = 1e-3;
    const { loss } = await landscape(surface, {
      directions: vectors!.largest,
      coordinates: [[-step, 0, step]],
    });
    assertClose([(loss[0] - 2 * loss[1] + loss[2]) / step ** 2], [largest[0].value], 1e-4);
  });
});

test("filter-normalized directions: each filter as long as the weights', nothing for biases, drawn by the seed", async () => {
  await usingSurface(problemSurface("cnn", "float64"), async (surface) => {
    const direction = filterNormalizedDirection(surface, 1);
    for (const { name, shape, offset, length } of surface.layout.parts) {
      const rows = shape.length < 2 ? 1 : shape[0];
      for (let row = 0; row < rows; row++) {
        const range = [offset + (row * length) / rows, offset + ((row + 1) * length) / rows];
        const expected = shape.length < 2 ? 0 : Math.hypot(...surface.weights.slice(...range));
        assertClose([Math.hypot(...direction.slice(...range))], [expected], 1e-12, name);
      }
    }
    assert.deepEqual(filterNormalizedDirection(surface, 1), direction);
    assert.notDeepEqual(filterNormalizedDirection(surface, 1, 1), direction);
    assert.notDeepEqual(filterNormalizedDirection(surface, 2), direction);
  });
});

test("between two models, weights and running statistics are interpolated, and metrics come along", async () => {
  // loss = Σw + Σs, metric = Σw, with w a parameter and s a statistic.
  const build = () => {
    const graph = new Graph();
    const weights = graph.input("w", "float64", [2]);
    const sum = reduceSum(weights);
    const loss = add(sum, reduceSum(graph.input("s", "float64", [2])));
    return { loss, parameters: new Map([["w", weights]]), metrics: new Map([["twice", mul(2, sum)]]) };
  };
  const vector = (...values: number[]) => tensorData(values, [values.length], "float64");
  const surface = singleBatch(build, { w: vector(1, 2), s: vector(10, 20) });
  await usingSurface(surface, async (opened) => {
    const other = { w: vector(5, 6), s: vector(110, 20) };
    const found = await interpolation(opened, other, { coordinates: [0, 0.25, 1] });
    assertClose(found.loss, [33, 60, 141], 1e-12);
    assertClose(found.metrics.twice, [6, 10, 22], 1e-12);
    await assert.rejects(
      interpolation(opened, { s: other.s }, { coordinates: [0] }),
      new UserError('parameter "w" has no numbers; the model wants 2'),
    );
  });
});

test("points in a plane are found in it, with the shares of their variance", () => {
  // 3, −1, 0 along u and 1, 2, 0 along v: u and v are orthonormal and not along the axes.
  const [u, v] = [
    [2 / 3, 2 / 3, 1 / 3],
    [-2 / 3, 1 / 3, 2 / 3],
  ];
  const points = [
    [3, 1],
    [-1, 2],
    [0, 0],
  ].map(([a, b]) => Float64Array.from(u, (x, i) => a * x + b * v[i]));
  const { directions, coordinates, explained } = principalPlane(points);
  for (const [index, point] of points.entries()) {
    const [a, b] = coordinates[index];
    const back = directions[0].map((x, i) => a * x + b * directions[1][i]);
    assertClose(back, point, 1e-12);
  }
  const inner = (a: Float64Array, b: Float64Array) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  assertClose([inner(directions[0], directions[0]), inner(directions[1], directions[1])], [1, 1], 1e-12);
  assert.ok(Math.abs(inner(directions[0], directions[1])) < 1e-12);
  // The Gram matrix [[10, −1], [−1, 5]] has the eigenvalues (15 ± √29)/2.
  const [first, second] = [(15 + Math.sqrt(29)) / 30, (15 - Math.sqrt(29)) / 30];
  assertClose(explained, [first, second], 1e-12);
  assert.throws(
    () => principalPlane([Float64Array.of(1, 1), Float64Array.of(2, 2)]),
    new UserError(
      "the weights of the trajectory lie on one line, so there is no plane through them; keep the weights of more epochs",
    ),
  );
});

test("the error is that of the rise above the weights, from batch to batch", async () => {
  const points = [
    [3, 4],
    [0, 2],
    [1, 0],
  ];
  await usingSurface(centresSurface(points), async (surface) => {
    const found = await landscape(surface, {
      directions: [Float64Array.of(1, 0)],
      coordinates: [[-1, 0, 2]],
    });
    const rises = (a: number) => points.map(([x]) => ((a - x) ** 2 - x ** 2) / 2);
    const expected = [-1, 0, 2].map((a) => confidenceInterval(rises(a)));
    assertClose(
      found.standardError,
      expected.map(({ standardError }) => standardError),
      1e-12,
    );
    const [start] = found.loss.slice(1);
    assertClose(
      found.loss.map((loss) => loss - start),
      expected.map(({ mean }) => mean),
      1e-12,
    );
  });
});

test("an aborted landscape goes on from its state to the same numbers", async () => {
  await usingSurface(problemSurface("mlp", "float32"), async (surface) => {
    const options = {
      directions: [filterNormalizedDirection(surface, 1), filterNormalizedDirection(surface, 1, 1)],
      coordinates: [evenlySpaced(-1, 1, 3), evenlySpaced(-1, 1, 3)],
    };
    const whole = await landscape(surface, options);
    const abort = new AbortController();
    let state: SavedState | undefined;
    const aborted = landscape(surface, {
      ...options,
      signal: abort.signal,
      onProgress: ({ done, total, save }) => {
        assert.equal(total, 10);
        if (done !== 4) return;
        state = structuredClone(save());
        abort.abort(new Error("enough"));
      },
    });
    await assert.rejects(aborted, /^Error: enough$/);
    const seen: number[] = [];
    const resumed = await landscape(surface, {
      ...options,
      state,
      onProgress: ({ done }) => void seen.push(done),
    });
    assert.deepEqual(resumed, whole);
    assert.deepEqual(seen, [5, 6, 7, 8, 9, 10]);
  });
});

test("impossible landscapes are refused in one sentence", async () => {
  await usingSurface(quadraticSurface(H, b, w), async (surface) => {
    const direction = Float64Array.of(1, 0);
    for (const [directions, coordinates, message] of [
      [
        [direction],
        [[0], [1]],
        "a landscape has one or two directions with coordinates for each; got 1 and 2",
      ],
      [[Float64Array.of(1)], [[0]], "a direction has 1 numbers, but there are 2 parameters"],
      [[direction], [[]], "a landscape of no points was asked for; give coordinates"],
    ] as [Float64Array[], number[][], string][]) {
      await assert.rejects(landscape(surface, { directions, coordinates }), new UserError(message));
    }
    assert.throws(
      () => evenlySpaced(0, 1, 1),
      new UserError("the number of points is 1; choose a whole number of at least 2"),
    );
  });
});
