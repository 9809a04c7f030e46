import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { sgd } from "../optim/sgd.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { noiseSample, type Problem, quadraticProblem } from "./problems.ts";
import { type BilateralStep, loadSteps, runSteps } from "./steps.ts";
import { limitOfRhoMin } from "./study.ts";

// What is proved of ς on convex quadratics (limitOfRhoMin), at points, spectra, radii and noise of every size.

const engine = new OnnxRuntimeEngine({ threads: 1 });
after(() => engine.close());
const rounding = 1e-12;

const random = randomStream(1, "test of the limit of ρ_min");
const anySize = (from: number, to: number) => 10 ** (from + (to - from) * random.uniform());

interface Case {
  eigenvalues: readonly number[];
  start: readonly number[];
  noise?: readonly number[];
  rhoMax: number;
  /** From ‖g‖ and the limit. */
  rhoMin: (limit: number) => number;
}

/** ς where g is Aw + noise, with A diagonal, and the ρ_min that it was taken at. */
async function scaleAt({ eigenvalues, start, noise = start.map(() => 0), rhoMax, rhoMin }: Case) {
  const problem: Problem = quadraticProblem({
    matrix: eigenvalues.map((value, row) => eigenvalues.map((_, column) => (row === column ? value : 0))),
    ...{ start, variance: 0 },
  });
  const gradNorm = Math.hypot(...start.map((w, index) => eigenvalues[index] * w + noise[index]));
  const limit = limitOfRhoMin(rhoMax, gradNorm, Math.max(...eigenvalues));
  const optimizer = bilateralSam(sgd(), { rhoMax, rhoMin: rhoMin(limit) });
  await loadSteps(engine, "step", problem, optimizer);
  const [step] = await runSteps(engine, "step", problem, optimizer, {
    ...{ steps: 1, learningRate: 0, decay: "constant" },
    sample: () => noiseSample(noise),
  });
  return step.bilateral as BilateralStep;
}

describe("ς on convex quadratics", () => {
  test("is at least 1 wherever ρ_min is at most ρ_max + 2‖g‖/τ", async () => {
    for (let trial = 0; trial < 60; trial++) {
      const size = 1 + random.integer(6);
      const draw = (of: () => number) => Array.from({ length: size }, of);
      const share = trial % 3 === 0 ? 1 : random.uniform();
      const { scale, theoremOne } = await scaleAt({
        // A convex quadratic may be flat in some directions.
        eigenvalues: draw(() => (random.uniform() < 0.2 ? 0 : anySize(-3, 3))).with(0, anySize(-3, 3)),
        start: draw(() => random.normal() * anySize(-3, 3)),
        noise: draw(() => random.normal() * anySize(-3, 3)),
        rhoMax: anySize(-3, 1),
        rhoMin: (limit) => share * limit,
      });
      assert.ok(scale >= 1 - rounding, `trial ${trial}: ς is ${scale}`);
      assert.ok(theoremOne <= rounding, `trial ${trial}: Z₁·τ is ${theoremOne}`);
    }
  });

  test("is 1 at the limit and below it beyond, along the sharpest direction", async () => {
    const point = { eigenvalues: [3, 1], start: [0.7, 0], rhoMax: 0.1 };
    const at = await scaleAt({ ...point, rhoMin: (limit) => limit });
    assert.ok(Math.abs(at.scale - 1) <= rounding, `ς is ${at.scale}`);
    const beyond = await scaleAt({ ...point, rhoMin: (limit) => 1.01 * limit });
    assert.ok(beyond.scale < 1 - 1e-3 && beyond.theoremOne > 0, `ς is ${beyond.scale}`);
    assert.ok(beyond.cosine < 0, "the descent has overshot");
  });

  test("may be above 1 beyond the limit, where other directions make up for the sharpest", async () => {
    const { scale } = await scaleAt({
      eigenvalues: [3, 1],
      start: [0.1, 2],
      rhoMax: 0.1,
      rhoMin: (limit) => 1.01 * limit,
    });
    assert.ok(scale > 1, `ς is ${scale}`);
  });

  test("is below 1 within the limit where the curvature is negative", async () => {
    const { scale } = await scaleAt({
      eigenvalues: [1, -2],
      start: [0.1, 2],
      rhoMax: 0.1,
      rhoMin: () => 0.1,
    });
    assert.ok(scale < 1, `ς is ${scale}`);
  });
});
