import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { gradients } from "../../autodiff/gradients.ts";
import { randomStream } from "../../common/random.ts";
import { Graph } from "../../graph/graph.ts";
import { assertClose, checkGradient, evaluate, tensor } from "../../testing/numeric.ts";
import { type HeatMapLoss, heatMapLoss } from "./heat-map-loss.ts";
import { heatMapTargets } from "./targets.ts";

const vectors = JSON.parse(
  readFileSync(new URL("../../../fixtures/tasks/heat-maps.json", import.meta.url), "utf8"),
);
const kinds = ["half-mean", "mean", "labelled-mean", "gaussian"] as const satisfies HeatMapLoss[];
const [shape, weightShape] = [
  [2, 3, 4, 5],
  [2, 3],
];

/** The losses of all kinds and their gradients for the prediction, in float64. */
async function losses(prediction: readonly number[], target: readonly number[], weights: readonly number[]) {
  const graph = new Graph();
  const [p, t] = ["prediction", "target"].map((name) => graph.input(name, "float64", shape));
  const w = graph.input("weights", "float64", weightShape);
  const built = Object.fromEntries(kinds.map((kind) => [kind, heatMapLoss(p, t, w, { kind, sigma: 2 })]));
  const slopes = kinds.map((kind) => [`${kind}'`, gradients(built[kind], [p])[0]] as const);
  return evaluate(
    { ...built, ...Object.fromEntries(slopes) },
    {
      prediction: tensor(prediction, shape),
      target: tensor(target, shape),
      weights: tensor(weights, weightShape),
    },
  );
}

for (const {
  name,
  prediction,
  target,
  weights,
  half,
  gradientOfHalf,
  plain,
  perLabelledJoint,
} of vectors.loss) {
  test(name, async () => {
    const found = await losses(prediction.data, target.data, weights.data);
    assertClose(found["half-mean"], [half], 1e-12);
    assertClose(found["half-mean'"], gradientOfHalf.data, 1e-12);
    assertClose(found.mean, [plain], 1e-12);
    assertClose(found["labelled-mean"], [perLabelledJoint], 1e-12);
    // The sum per labelled joint over πσ² instead of over its 20 pixels.
    assertClose(found.gaussian, [(perLabelledJoint * 20) / (Math.PI * 4)], 1e-12);
  });
}

describe("gradients against finite differences", () => {
  for (const kind of kinds) {
    for (const order of [1, 2] as const) {
      test(`${kind}, order ${order}`, () =>
        checkGradient({
          shapes: [shape, shape],
          build: ([p, t]) => {
            const weights = p.graph.constant(tensor([1, 0, 1, 0, 1, 0.5], weightShape));
            return heatMapLoss(p, t, weights, { kind, sigma: 1.5 });
          },
          random: randomStream(2, kind),
          order,
        }));
    }
  }
});

test("without labelled joints the loss and its gradient are 0", async () => {
  const values = Array.from({ length: 120 }, (_, at) => Math.sin(at));
  const found = await losses(
    values,
    values.map((value) => 1 - value),
    new Array(6).fill(0),
  );
  for (const values of Object.values(found)) assert.ok(values.every((value) => value === 0));
});

test("a network that gives zeros has the loss 1 per labelled joint by gaussian", async () => {
  for (const sigma of [1, 2]) {
    const map = [40, 44] as const;
    const { maps } = heatMapTargets([82, 91, 2, 70, 64, 0], {
      kind: "exact",
      input: [160, 176],
      map,
      sigma,
    });
    const graph = new Graph();
    const [p, t] = ["p", "t"].map((name) => graph.input(name, "float64", [1, 2, 44, 40]));
    const loss = heatMapLoss(p, t, graph.input("w", "float64", [1, 2]), { kind: "gaussian", sigma });
    const found = await evaluate(
      { loss },
      {
        p: tensor(new Float64Array(maps.length), [1, 2, 44, 40]),
        t: tensor(Float64Array.from(maps), [1, 2, 44, 40]),
        w: tensor([1, 0], [1, 2]),
      },
    );
    // The sum over pixels of a Gaussian far from the border is its integral to 1e-4 and better.
    assertClose(found.loss, [1], 2e-4);
  }
});

test("shapes that do not belong together are refused", () => {
  const graph = new Graph();
  const [p, t] = [graph.input("p", "float32", [2, 3, 4, 5]), graph.input("t", "float32", [2, 3, 5, 4])];
  const w = graph.input("w", "float32", [2, 3]);
  assert.throws(() => heatMapLoss(p, t, w, { kind: "mean", sigma: 1 }), /takes \[N, joints, height, width\]/);
});
