import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { assertClose } from "../testing/numeric.ts";
import { parseTheorem, type TheoremSettings } from "./configuration.ts";
import { logLogSlope, runningMeans, runningMinima } from "./rates.ts";
import { theoremStudy } from "./study.ts";

const engine = new OnnxRuntimeEngine({ threads: 1 });
after(() => engine.close());
const study = (settings: TheoremSettings) =>
  theoremStudy(engine, parseTheorem({ steps: 20, draws: 2, ...settings }));

describe("a study", () => {
  test("of SGD without noise in one dimension is the closed form (1 − ηλ)ᵗ", async () => {
    const { problems, runs } = await study({ problems: ["quadratic"], spectrum: [3], variance: 0 });
    const [{ smoothness, learningRate, start }] = problems;
    assertClose([smoothness, learningRate], [3, 0.4 / 3], 1e-12);
    const sgd = runs.find(({ method, decay }) => method === "sgd" && decay === "constant")!;
    const squares = Array.from({ length: 20 }, (_, t) => (3 * start[0] * (1 - 0.4) ** t) ** 2);
    assertClose(sgd.squaredGradient.mean as number[], squares, 1e-9);
    assertClose(sgd.meanSquaredGradient.mean as number[], runningMeans(squares), 1e-9);
    assertClose(sgd.minSquaredGradient.mean as number[], squares, 1e-9);
    assertClose([sgd.meanSlope.mean], [logLogSlope(runningMeans(squares), 2)], 1e-9);
    assert.deepEqual(sgd.squaredGradient.low, sgd.squaredGradient.high, "draws without noise are alike");
  });

  test("has every method see the same noise: with radii of 0 all are SGD", async () => {
    const { runs } = await study({ rhoMax: 0, rhoMin: 0 });
    for (const run of runs) {
      const sgd = runs.find(
        ({ problem, method, decay }) => method === "sgd" && problem === run.problem && decay === run.decay,
      )!;
      assertClose(
        run.squaredGradient.high as number[],
        sgd.squaredGradient.high as number[],
        1e-12,
        run.name,
      );
      if (run.scale)
        assertClose(
          run.scale.scale.mean as number[],
          run.scale.scale.mean.map(() => 1),
          1e-12,
        );
    }
    assert.deepEqual(
      runs.slice(0, 6).map(({ name, decay }) => `${name} ${decay}`),
      ["sgd", "sam, ρ 0", "bilateral-sam, ρmax 0, ρmin 0"].flatMap((name) =>
        ["constant", "1/sqrt(t)"].map((decay) => `${name} ${decay}`),
      ),
    );
  });

  test("of a noisy quadratic has ς ≥ 1 at every step within the limit, and below only beyond", async () => {
    const settings = { problems: ["quadratic"], draws: 4, steps: 60, variance: 4 } as const;
    const within = await study({ ...settings, problems: ["quadratic"] });
    for (const { scale } of within.runs) {
      if (!scale) continue;
      assert.deepEqual([scale.steps, scale.withinLimit], [240, { steps: 240, belowOne: 0 }]);
      assert.equal(scale.shareAtLeastOne.mean, 1);
      assert.ok(scale.theoremOne.high.every((value) => Number(value) <= 0));
    }
    const beyond = await study({ ...settings, problems: ["quadratic"], rhoMin: 3 });
    const { scale } = beyond.runs.find((run) => run.scale && run.decay === "constant")!;
    assert.equal(scale!.withinLimit.belowOne, 0);
    assert.ok(scale!.beyondLimit.belowOne > 0 && scale!.overshot > 0);
    assert.equal(scale!.withinLimit.steps + scale!.beyondLimit.steps, 240);
  });

  test("of the non-convex loss has steps with ς < 1 within that limit", async () => {
    const { runs } = await study({ problems: ["non-convex"], seed: 1 });
    const { scale } = runs.find((run) => run.scale && run.decay === "1/sqrt(t)")!;
    assert.ok(scale!.withinLimit.belowOne > 0);
  });

  test("repeats to the last bit, and ends where it is told to", async () => {
    const settings: TheoremSettings = { problems: ["logistic"] };
    assert.deepEqual(await study(settings), await study(settings));
    const { signal } = { signal: AbortSignal.abort(new Error("stopped")) };
    await assert.rejects(theoremStudy(engine, parseTheorem(settings), { signal }), /stopped/);
  });
});

test("slopes, means and minima", () => {
  const power = Array.from({ length: 100 }, (_, index) => 3 / Math.sqrt(index + 1));
  assertClose([logLogSlope(power, 1), logLogSlope(power, 40)], [-0.5, -0.5], 1e-12);
  const bent = power.map((value, index) => (index < 9 ? 7 : value));
  assertClose([logLogSlope(bent, 10)], [-0.5], 1e-12, "the window begins at its first step");
  assert.deepEqual(runningMeans([4, 2, 0]), [4, 3, 2]);
  assert.deepEqual(runningMinima([4, 2, 3]), [4, 2, 2]);
});

test("settings that do not fit are refused in a sentence", () => {
  assert.throws(() => parseTheorem({ fitFrom: 195 }), {
    message: /^fitFrom: the window from step 195 to 200 is too short/,
  });
  assert.throws(() => parseTheorem({ rhoMin: -1 }), { message: /^rhoMin is -1; it has to be at least 0/ });
  assert.equal(parseTheorem({ steps: 200 }).fitFrom, 20);
});
