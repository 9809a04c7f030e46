import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul } from "../ops/arithmetic.ts";
import { relu } from "../ops/elementwise.ts";
import { linear } from "../ops/linear.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { reduceMean, reduceSum } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import { assertClose } from "../testing/numeric.ts";
import {
  centresSurface,
  problemSurface,
  product,
  quadraticSurface,
  singleBatch,
  usingSurface,
} from "../testing/surfaces.ts";
import type { SavedState } from "./progress.ts";
import { type Radius, radii, radiusScale } from "./radius.ts";
import { randomSharpness } from "./random-sharpness.ts";
import { confidenceInterval } from "./statistics.ts";
import type { LossSurface } from "./surface.ts";
import { batchSharpness, layerSharpness, type WorstCaseOptions, worstCaseSharpness } from "./worst-case.ts";

// A diagonal quadratic L(w) = ½ Σ hᵢwᵢ² + bᵢwᵢ. With a radius of units T, in δ = T⁻¹ε it is again one, of slope
// s = T·(Hw + b) and curvature T²H. Its extremes over ‖δ‖ ≤ ρ solve a trust-region problem.

const h = [3, 1.5, 0.7, 0.2];
const b = [0.3, -1, 0.5, 2];
const w = [0.5, -0.4, 1.2, -2];
const diagonal = h.map((value, i) => h.map((_, j) => (i === j ? value : 0)));
const surfaceOfQuadratic = quadraticSurface(diagonal, b, w);

function inUnits(radius: Radius) {
  // One axis only: filters are single numbers, and measured by their magnitudes.
  const units = radius === "plain" ? [1, 1, 1, 1] : w.map(Math.abs);
  return {
    slope: units.map((unit, i) => unit * (h[i] * w[i] + b[i])),
    curvature: units.map((unit, i) => unit ** 2 * h[i]),
  };
}

/** max (sign 1) or min (sign −1) of ½δᵀCδ + sᵀδ over ‖δ‖ ≤ ρ: δ = (λ − sign·C)⁻¹·sign·s with ‖δ‖ = ρ, or inside. */
function extreme(sign: 1 | -1, rho: number, { slope, curvature }: ReturnType<typeof inUnits>): number {
  const value = (delta: number[]) =>
    delta.reduce((sum, x, i) => sum + slope[i] * x + (curvature[i] * x * x) / 2, 0);
  const at = (lambda: number) => slope.map((s, i) => (sign * s) / (lambda - sign * curvature[i]));
  const newton = at(0);
  if (sign < 0 && Math.hypot(...newton) <= rho) return value(newton);
  let [low, high] = [sign > 0 ? Math.max(...curvature) : 0, 1e6];
  for (let halving = 0; halving < 200; halving++) {
    const middle = (low + high) / 2;
    if (Math.hypot(...at(middle)) > rho) low = middle;
    else high = middle;
  }
  return value(at(high));
}

for (const radius of radii) {
  for (const rho of [0.05, 0.6, 5]) {
    test(`one-step and multi-step sharpness of a quadratic at ${radius} radius ${rho} are the closed forms`, async () => {
      const problem = inUnits(radius);
      const norm = Math.hypot(...problem.slope);
      const bend =
        (rho ** 2 *
          product(
            problem.slope.map((s) => s * s),
            problem.curvature,
          )) /
        norm ** 2 /
        2;
      await usingSurface(surfaceOfQuadratic, async (surface) => {
        const found = await worstCaseSharpness(surface, { rho, radius, steps: 150 });
        assertClose([found.gradNorm], [norm], 1e-12, "norm of the gradient");
        assertClose([found.oneStep.maxSharpness], [rho * norm + bend], 1e-10, "one-step MaxS");
        assertClose([found.oneStep.minSharpness], [rho * norm - bend], 1e-10, "one-step MinS");
        assertClose([found.oneStep.bilateralSharpness], [2 * rho * norm], 1e-10, "one-step BilS");
        assertClose([found.multiStep.maxSharpness], [extreme(1, rho, problem)], 1e-6, "multi-step MaxS");
        assertClose([found.multiStep.minSharpness], [-extreme(-1, rho, problem)], 1e-6, "multi-step MinS");
      });
    });
  }
}

test("where the gradient is zero the one step stays, and the ascent still finds the rise", async () => {
  await usingSurface(
    quadraticSurface(
      [
        [2, 0],
        [0, 1],
      ],
      [0, 0],
      [0, 0],
    ),
    async (surface) => {
      const { oneStep, multiStep } = await worstCaseSharpness(surface, { rho: 0.5, steps: 60 });
      assert.deepEqual(oneStep, { maxSharpness: 0, minSharpness: 0, bilateralSharpness: 0 });
      assertClose([multiStep.maxSharpness], [0.25], 1e-6);
      assert.equal(multiStep.minSharpness, 0);
    },
  );
});

for (const problem of ["mlp", "cnn"] as const) {
  for (const radius of radii) {
    test(`multi-step sharpness of ${problem} is at least one-step, by layer too, at ${radius} radii`, async () => {
      await usingSurface(problemSurface(problem, "float32"), async (surface) => {
        for (const rho of [0.01, 0.3, 3]) {
          const all = await worstCaseSharpness(surface, { rho, radius, steps: 5 });
          const layers = await layerSharpness(surface, { rho, radius, steps: 3 });
          for (const { oneStep, multiStep } of [all, ...layers.values()]) {
            assert.ok(multiStep.maxSharpness >= Math.max(0, oneStep.maxSharpness));
            assert.ok(multiStep.minSharpness >= Math.max(0, oneStep.minSharpness));
          }
        }
      });
    });
  }
}

// x·Aᵀ + a, ReLU, ·Bᵀ + b: with A and a times c and B over c it is the same function.
const [count, inputs, hidden, classes] = [10, 4, 6, 3];

function reluNetwork(seed: number, factor: number): LossSurface {
  const random = randomStream(seed, "ReLU network");
  const normal = (shape: number[], times = 1) =>
    tensorData(
      Array.from({ length: shape.reduce((x, y) => x * y, 1) }, () => times * random.normal()),
      shape,
      "float64",
    );
  const tensors: Tensors = {
    "first.weight": normal([hidden, inputs], factor),
    "first.bias": normal([hidden], factor),
    "second.weight": normal([classes, hidden], 1 / factor),
    "second.bias": normal([classes]),
  };
  const feeds = {
    x: normal([count, inputs]),
    target: tensorData(
      Array.from({ length: count }, () => random.integer(classes)),
      [count],
      "int32",
    ),
  };
  const build = () => {
    const graph = new Graph();
    const parameters = new Map(
      Object.entries(tensors).map(([name, { shape }]) => [name, graph.input(name, "float64", shape)]),
    );
    const weight = (name: string) => parameters.get(name)!;
    const inner = linear(
      graph.input("x", "float64", [count, inputs]),
      weight("first.weight"),
      weight("first.bias"),
    );
    const output = linear(relu(inner), weight("second.weight"), weight("second.bias"));
    return { output, parameters, loss: softmaxCrossEntropy(output, graph.input("target", "int32", [count])) };
  };
  return singleBatch(build, tensors, feeds, count);
}

test("property: adaptive and filter-normalized sharpness do not see two layers rescaled by 1e-2 … 1e2", async () => {
  const measure = (seed: number, factor: number, radius: Radius) =>
    usingSurface(reluNetwork(seed, factor), async (surface) => {
      const worst = await worstCaseSharpness(surface, { rho: 0.3, radius, steps: 4 });
      const random = await randomSharpness(surface, { rho: 0.5, radius, directions: 3 });
      return [...Object.values(worst.oneStep), ...Object.values(worst.multiStep), ...random.values];
    });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 50 }),
      fc.double({ min: -2, max: 2, noNaN: true }),
      fc.constantFrom<Radius>("adaptive", "filter"),
      async (seed, exponent, radius) => {
        assertClose(await measure(seed, 10 ** exponent, radius), await measure(seed, 1, radius), 1e-7);
      },
    ),
    { numRuns: 15 },
  );
  const [plain, rescaled] = [await measure(1, 1, "plain"), await measure(1, 100, "plain")];
  assert.ok(Math.abs(plain[0] - rescaled[0]) > 0.1 * plain[0], "plain sharpness does");
});

test("filters are rows of weights, measured by their norms; biases by their magnitudes", () => {
  const layout = {
    type: "float64" as const,
    length: 8,
    parts: [
      { name: "weight", shape: [2, 1, 3], offset: 0, length: 6 },
      { name: "bias", shape: [2], offset: 6, length: 2 },
    ],
  };
  const weights = Float64Array.of(1, 2, 2, 0, -3, 4, -7, 0.5);
  assert.deepEqual(Array.from(radiusScale(layout, weights, "filter")), [3, 3, 3, 5, 5, 5, 7, 0.5]);
  assert.deepEqual(Array.from(radiusScale(layout, weights, "adaptive")), [1, 2, 2, 0, 3, 4, 7, 0.5]);
});

test("random directions: ρ²·tr(H)/(2n) in the mean for a quadratic without slope", async () => {
  const zeros = [0, 0, 0, 0];
  await usingSurface(quadraticSurface(diagonal, zeros, zeros), async (surface) => {
    const { mean, standardError } = await randomSharpness(surface, { rho: 0.4, directions: 400 });
    const expected = (0.4 ** 2 * h.reduce((sum, value) => sum + value, 0)) / 8;
    assert.ok(Math.abs(mean - expected) < 3.5 * standardError, `${mean} ± ${standardError}, not ${expected}`);
    assert.ok(standardError < 0.05 * expected);
  });
});

test("sharpness over batches is each batch's own, with the interval of its mean", async () => {
  const points = [
    [3, 4],
    [0, 2],
    [1, 0],
    [0, -6],
  ];
  const rho = 0.1;
  await usingSurface(centresSurface(points), async (surface) => {
    const { batches, oneStep } = await batchSharpness(surface, { rho, steps: 2, confidence: 0.9 });
    const expected = points.map((point) => rho * Math.hypot(...point) + rho ** 2 / 2);
    assertClose(
      batches.map((batch) => batch.oneStep.maxSharpness),
      expected,
      1e-12,
    );
    const interval = confidenceInterval(expected, 0.9);
    assertClose([oneStep.maxSharpness.low, oneStep.maxSharpness.high], [interval.low, interval.high], 1e-10);
    await assert.rejects(
      batchSharpness(surface.onBatches([0]), { rho }),
      new UserError(
        "an interval over batches needs at least 2 of them, but the 1 examples are one batch; choose a smaller batch size",
      ),
    );
  });
});

test("intervals are of each batch's loss between the points of the whole subset", async () => {
  const points = [
    [3, 4],
    [0, 2],
    [1, 0],
  ];
  const rho = 0.1;
  await usingSurface(centresSurface(points), async (surface) => {
    const { oneStep, intervals } = await worstCaseSharpness(surface, { rho, steps: 3, confidence: 0.9 });
    // The loss is ½‖w − mean of the centers‖² and a constant: the perturbation is along the mean.
    const mean = [-4 / 3, -6 / 3];
    const [a, b] = mean.map((x) => (rho * x) / Math.hypot(...mean));
    const rises = points.map(([x, y]) => ((a - x) ** 2 + (b - y) ** 2 - x ** 2 - y ** 2) / 2);
    const expected = confidenceInterval(rises, 0.9);
    const found = intervals!.oneStep.maxSharpness;
    assertClose([found.mean, found.low, found.high], [expected.mean, expected.low, expected.high], 1e-10);
    assertClose([oneStep.maxSharpness], [expected.mean], 1e-10);
    // Of a quadratic the one step is the worst there is.
    assertClose([intervals!.multiStep.maxSharpness.high], [expected.high], 1e-6);
    const random = await randomSharpness(surface, { rho, directions: 5 });
    assertClose([random.interval!.mean], [random.mean], 1e-10);
    assert.ok(random.interval!.low < random.mean && random.interval!.high > random.mean);
    const { intervals: none } = await worstCaseSharpness(surface.onBatches([1]), { rho, steps: 0 });
    assert.equal(none, undefined, "one batch has no interval");
  });
});

test("an aborted search goes on from its state to the same numbers", async () => {
  await usingSurface(problemSurface("mlp", "float64"), async (surface) => {
    for (const compute of [
      (options: Partial<WorstCaseOptions>) => worstCaseSharpness(surface, { rho: 0.5, steps: 4, ...options }),
      (options: object) => randomSharpness(surface, { rho: 0.5, directions: 11, ...options }),
    ]) {
      const whole = await compute({});
      for (const after of [1, 2, 4, 6, 7, 9, 10]) {
        const abort = new AbortController();
        let state: SavedState | undefined;
        const onProgress = ({ done, save }: { done: number; save: () => SavedState }) => {
          if (done !== after) return;
          state = structuredClone(save());
          abort.abort(new Error("enough"));
        };
        await assert.rejects(compute({ signal: abort.signal, onProgress }), /^Error: enough$/);
        assert.deepEqual(await compute({ state }), whole);
      }
    }
  });
});

test("impossible settings are refused in one sentence", async () => {
  await usingSurface(surfaceOfQuadratic, async (surface) => {
    for (const [options, message] of [
      [{ rho: 0 }, "the radius ρ is 0; choose a number above 0"],
      [{ rho: Number.NaN }, "worstCaseSharpness: rho is NaN; it has to be a number"],
      [{ rho: 1, steps: -1 }, "the number of steps is -1; choose a whole number of at least 0"],
      [
        { rho: 1, radius: "round" as Radius },
        'worstCaseSharpness: radius is "round"; choose one of plain, adaptive, filter',
      ],
    ] as const) {
      await assert.rejects(worstCaseSharpness(surface, options), new UserError(message));
    }
    await assert.rejects(
      layerSharpness(surface, { rho: 1, layers: ["v"] }),
      new UserError('there is no parameter "v"; choose among w'),
    );
  });
});

test("a loss that is not finite within the radius is refused in one sentence", async () => {
  const build = () => {
    const graph = new Graph();
    const weights = graph.input("w", "float64", [2]);
    const huge = mul(weights, 1e200);
    return {
      loss: reduceMean(reduceSum(mul(mul(huge, huge), weights))),
      parameters: new Map([["w", weights]]),
    };
  };
  await usingSurface(singleBatch(build, { w: tensorData([1, 1], [2], "float64") }), async (surface) => {
    await assert.rejects(worstCaseSharpness(surface, { rho: 1 }), {
      name: "UserError",
      message:
        "the loss is not finite: the model has diverged at these weights, so there is no flatness to measure; measure a checkpoint from before",
    });
  });
});
