import { describe, test } from "node:test";
import { assertClose, compileForTest } from "../testing/numeric.ts";
import {
  buildProblem,
  type Float,
  type OptimizerFixture,
  type ProblemName,
  readFixture,
} from "../testing/problems.ts";
import { adam, adamw } from "./adam.ts";
import { bilateralSam } from "./bilateral-sam.ts";
import type { Optimizer } from "./optimizer.ts";
import { asam, gsam, sam } from "./sam.ts";
import { scalarInputs } from "./scalars.ts";
import { sgd } from "./sgd.ts";
import { initialState } from "./state.ts";
import { trainingStep } from "./training-step.ts";

// Four steps of every optimizer on three problems against numbers of an independent float64 program: every loss,
// norm, sharpness, ς and cosine of every step, the final weights, and BatchNorm's running statistics.

type Case = OptimizerFixture["cases"][number];

const tolerances = { float64: 1e-9, float32: 1e-4 };

/** The optimizer that a case's settings describe. */
function optimizerOf({ base: update, method: { method, adaptive, ...settings } }: Case): Optimizer {
  const base =
    "m" in update
      ? sgd({ momentum: update.m, nesterov: update.nes, weightDecay: update.wd })
      : (update.dec ? adamw : adam)({
          beta1: update.b1,
          beta2: update.b2,
          epsilon: update.eps,
          weightDecay: update.wd,
        });
  const { rho_max: rhoMax, rho_min: rhoMin, gsam_alpha: alpha } = settings;
  const methods: Record<string, () => Optimizer> = {
    sgd: () => base,
    sam: () => (adaptive ? asam : sam)(base, { rho: rhoMax }),
    gsam: () => gsam(base, { rho: rhoMax, alpha }),
    bsam: () => bilateralSam(base, { rhoMax, rhoMin, adaptive }),
    "bsam-released": () => bilateralSam(base, { rhoMax, rhoMin, variant: "released" }),
    "two-pass": () => bilateralSam(base, { rhoMax, rhoMin, variant: "two-pass" }),
  };
  return methods[method]();
}

const inGraph = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

async function runCase(
  problem: ProblemName,
  expected: Case,
  optimizer: Optimizer,
  type: Float,
): Promise<void> {
  const { objective, start } = buildProblem(problem, type);
  const program = await compileForTest(trainingStep(objective, optimizer));
  await program.engine.write({ ...start, ...initialState(objective, optimizer, start) });
  const { rho_max: rhoMax = 0, rho_min: rhoMin = 0 } = expected.method;
  const feeds = () =>
    scalarInputs({ learningRate: expected.base.lr, scalars: { rho: rhoMax, rhoMax, rhoMin } }, type);
  const tolerance = tolerances[type];
  for (const [index, step] of expected.steps.entries()) {
    const { outputs } = await program.engine.run("test", feeds(), { advance: true });
    for (const [quantity, value] of Object.entries(step)) {
      assertClose(
        [Number(outputs[inGraph(quantity)].data[0])],
        [value],
        tolerance,
        `step ${index} ${quantity}`,
      );
    }
  }
  const final = await program.engine.read();
  for (const [name, { data }] of Object.entries({ ...expected.final, ...expected.runningStats })) {
    assertClose(final[name].data as ArrayLike<number>, data, tolerance, name);
  }
  await program.close();
}

for (const problem of ["surface", "mlp", "cnn"] as const) {
  for (const type of ["float64", "float32"] as const) {
    describe(`${problem} in ${type}`, () => {
      for (const expected of readFixture<OptimizerFixture>(`optimizers-${problem}`).cases) {
        test(expected.name, () => runCase(problem, expected, optimizerOf(expected), type));
      }
    });
  }
}
