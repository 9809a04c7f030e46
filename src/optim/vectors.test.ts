import { describe, test } from "node:test";
import { tensorData } from "../graph/constants.ts";
import type { Tensors } from "../runtime/engine.ts";
import { assertClose, compileForTest } from "../testing/numeric.ts";
import {
  buildProblem,
  type Float,
  type OptimizerFixture,
  type ProblemName,
  readFixture,
} from "../testing/problems.ts";
import { bilateralSam } from "./bilateral-sam.ts";
import type { Optimizer } from "./optimizer.ts";
import { sam } from "./sam.ts";
import { sgd } from "./sgd.ts";
import { stateNames, trainingStep } from "./training-step.ts";

// Four steps of every optimizer on three problems against numbers of an independent float64 program: every loss,
// norm, sharpness, ς and cosine of every step, the final weights, and BatchNorm's running statistics.

type Case = OptimizerFixture["cases"][number];

const tolerances = { float64: 1e-9, float32: 1e-4 };

/** The fixtures' optimizers that exist here so far. */
function optimizerOf({ base, method }: Case): Optimizer | undefined {
  if (!("m" in base)) return undefined;
  const update = sgd({ momentum: base.m, nesterov: base.nes, weightDecay: base.wd });
  const [rhoMax, rhoMin] = [method.rho_max, method.rho_min];
  if ("adaptive" in method) return undefined;
  if (method.method === "sgd") return update;
  if (method.method === "sam") return sam(update, { rho: rhoMax });
  if (method.method === "bsam") return bilateralSam(update, { rhoMax, rhoMin });
  if (method.method === "bsam-released") return bilateralSam(update, { rhoMax, rhoMin, variant: "released" });
  return undefined;
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
  const state: Tensors = {};
  for (const [name, { shape }] of objective.parameters) {
    for (const key of stateNames(optimizer, name))
      state[key] = tensorData(new Float64Array(shape.reduce((a, b) => a * b, 1)), shape, type);
  }
  await program.engine.write({ ...start, ...state });
  const scalar = (value: number) => tensorData([value], [], type);
  const feeds = () => ({
    learning_rate: scalar(expected.base.lr),
    rho_max: scalar(expected.method.rho_max ?? 0),
    rho_min: scalar(expected.method.rho_min ?? 0),
  });
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
        const optimizer = optimizerOf(expected);
        if (optimizer) test(expected.name, () => runCase(problem, expected, optimizer, type));
      }
    });
  }
}
