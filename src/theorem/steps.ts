import { gradients } from "../autodiff/gradients.ts";
import type { Graph } from "../graph/graph.ts";
import { copyInto } from "../graph/walk.ts";
import { compile } from "../lower/compile.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { reduceSumSquare } from "../ops/reduction.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { scalarInputs, scalarsAt } from "../optim/scalars.ts";
import { initialState } from "../optim/state.ts";
import { trainingStep } from "../optim/training-step.ts";
import type { Engine } from "../runtime/engine.ts";
import { inputs, type Problem } from "./problems.ts";

// Steps of an optimizer on a problem: the training step of real runs, with the problem's full loss and gradient beside it.

/** How the learning rate, and with it every radius, changes: as given, or divided by √t at step t (from 1). */
export const decays = ["constant", "1/sqrt(t)"] as const;
export type Decay = (typeof decays)[number];

/** What is known of one step. All of it is of the weights before the step. */
export interface ProblemStep {
  /** L(w). */
  loss: number;
  /** ‖∇L(w)‖². */
  squaredGradient: number;
  /** ‖g‖ of the step's sample. */
  gradNorm: number;
  /** Of bilateral SAM, on the step's sample; absent where ‖g⁻‖ = 0. */
  bilateral?: BilateralStep;
}

export interface BilateralStep {
  /** ς = ‖g⁺‖ / ‖g⁻‖. */
  scale: number;
  /** Z₁·τ = (1 − ς)/(1 + ς²). */
  theoremOne: number;
  /** cos(g, g⁻). */
  cosine: number;
  rhoMax: number;
  rhoMin: number;
}

export interface StepsOptions {
  steps: number;
  learningRate: number;
  decay: Decay;
  /** What step `step`, from 0, sees. */
  sample: (step: number) => TensorData;
  /** Sees the engine's tensors after each step, of which `w` are the weights. */
  onStep?: (step: number, engine: Engine) => Promise<void>;
}

/** Loads the program of an optimizer's steps on a problem. */
export async function loadSteps(
  engine: Engine,
  program: string,
  problem: Problem,
  optimizer: Optimizer,
): Promise<void> {
  await engine.load(program, compile(stepGraph(problem, optimizer)));
}

/** Runs a loaded program from the problem's start. */
export async function runSteps(
  engine: Engine,
  program: string,
  { objective, start }: Problem,
  optimizer: Optimizer,
  { steps, learningRate, decay, sample, onStep }: StepsOptions,
): Promise<ProblemStep[]> {
  const weights = { [inputs.weights]: tensorData(start, [start.length], "float64") };
  await engine.write({ ...weights, ...initialState(objective, optimizer, weights) });
  const found: ProblemStep[] = [];
  for (let step = 0; step < steps; step++) {
    const now = decay === "constant" ? learningRate : learningRate / Math.sqrt(step + 1);
    const values = scalarsAt(optimizer, {
      step,
      totalSteps: steps,
      stepsPerEpoch: steps,
      learningRate: { now, high: learningRate, low: 0 },
    });
    const feeds = { [inputs.sample]: sample(step), ...scalarInputs(values, "float64") };
    const { outputs } = await engine.run(program, feeds, { advance: true });
    const value = (name: string) => Number(outputs[name].data[0]);
    const { rhoMax, rhoMin } = values.scalars;
    found.push({
      loss: value("full_loss"),
      squaredGradient: value("full_squared_gradient"),
      gradNorm: value("grad_norm"),
      ...(outputs.scale &&
        value("grad_norm_min") > 0 && {
          bilateral: {
            scale: value("scale"),
            theoremOne: value("theorem_one"),
            cosine: value("cos_grad_min"),
            rhoMax,
            rhoMin,
          },
        }),
    });
    await onStep?.(step, engine);
  }
  return found;
}

function stepGraph({ objective, loss }: Problem, optimizer: Optimizer): Graph {
  const graph = trainingStep(objective, optimizer);
  const w = graph.inputs.get(inputs.weights)!;
  const [full] = copyInto(graph, [loss], new Map([[objective.parameters.get(inputs.weights)!, w]]));
  graph.output("full_loss", full);
  graph.output("full_squared_gradient", reduceSumSquare(gradients(full, [w])[0]));
  return graph;
}
