import { randomStream } from "../common/random.ts";
import { confidenceInterval } from "../flatness/statistics.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { sam } from "../optim/sam.ts";
import { proportionalToLearningRate } from "../optim/schedules.ts";
import { sgd } from "../optim/sgd.ts";
import type { Engine } from "../runtime/engine.ts";
import type { TheoremConfiguration } from "./configuration.ts";
import { drawnProblem } from "./drawn-problems.ts";
import type { Problem } from "./problems.ts";
import { logLogSlope, runningMeans, runningMinima } from "./rates.ts";
import type { AcrossDraws, ProblemRecord, ScaleRecord, TheoremRecord, TheoremRun, Trace } from "./records.ts";
import { type BilateralStep, type Decay, decays, loadSteps, type ProblemStep, runSteps } from "./steps.ts";

// Bilateral SAM, SAM and SGD on problems of known constants: every method at both step sizes, over the same noise draws.

export interface StudyHooks {
  signal?: AbortSignal;
  /** A run begins: a method on a problem at a step size. */
  onRun?: (label: string) => void;
  /** Steps done and steps in all, of every run together. */
  onProgress?: (done: number, total: number) => void;
}

/** Runs everything. Throws the signal's reason where it is aborted. */
export async function theoremStudy(
  engine: Engine,
  configuration: TheoremConfiguration,
  { signal, onRun, onProgress }: StudyHooks = {},
): Promise<TheoremRecord> {
  const { problems: kinds, stepSize, steps, draws, seed, fitFrom } = configuration;
  const methods = methodsOf(configuration);
  const total = kinds.length * methods.length * decays.length * draws * steps;
  let done = 0;
  const problems: ProblemRecord[] = [];
  const runs: TheoremRun[] = [];
  for (const kind of kinds) {
    const problem = drawnProblem(kind, configuration);
    const { smoothness, variance, start } = problem;
    const learningRate = stepSize / smoothness;
    problems.push({ kind, smoothness, variance, start, learningRate });
    for (const { name, optimizer } of methods) {
      const program = `${kind} ${name}`;
      await loadSteps(engine, program, problem, optimizer);
      for (const decay of decays) {
        onRun?.(`${kind}, ${name}, ${decay}`);
        const found: ProblemStep[][] = [];
        for (let draw = 0; draw < draws; draw++) {
          const random = randomStream(seed, `theorem: noise of ${kind}`, draw);
          const options = { steps, learningRate, decay, sample: () => problem.draw(random) };
          found.push(await runSteps(engine, program, problem, optimizer, options));
          signal?.throwIfAborted();
          done += steps;
          onProgress?.(done, total);
        }
        runs.push(runOf({ name, optimizer, decay, problem, draws: found, fitFrom }));
      }
    }
  }
  return { type: "theorem", configuration, problems, runs };
}

/** SGD, SAM at ρ_max and at the total radius, and bilateral SAM; every radius in proportion to the learning rate. */
function methodsOf({ rhoMax, rhoMin }: TheoremConfiguration): { name: string; optimizer: Optimizer }[] {
  const radius = proportionalToLearningRate;
  const total = Number((rhoMax + rhoMin).toPrecision(12));
  return [
    { name: "sgd", optimizer: sgd() },
    ...[...new Set([rhoMax, total])].map((rho) => ({
      name: `sam, ρ ${rho}`,
      optimizer: sam(sgd(), { rho: radius(rho) }),
    })),
    {
      name: `bilateral-sam, ρmax ${rhoMax}, ρmin ${rhoMin}`,
      optimizer: bilateralSam(sgd(), { rhoMax: radius(rhoMax), rhoMin: radius(rhoMin) }),
    },
  ];
}

function runOf(run: {
  name: string;
  optimizer: Optimizer;
  decay: Decay;
  problem: Problem;
  draws: readonly (readonly ProblemStep[])[];
  fitFrom: number;
}): TheoremRun {
  const { name, optimizer, decay, problem, draws, fitFrom } = run;
  const squares = draws.map((steps) => steps.map(({ squaredGradient }) => squaredGradient));
  const [means, minima] = [squares.map(runningMeans), squares.map(runningMinima)];
  const slope = (values: readonly number[]) => logLogSlope(values, fitFrom);
  return {
    problem: problem.kind,
    name,
    method: optimizer.config.method,
    decay,
    squaredGradient: traceOf(squares),
    meanSquaredGradient: traceOf(means),
    minSquaredGradient: traceOf(minima),
    meanSlope: acrossDraws(means.map(slope)),
    minSlope: acrossDraws(minima.map(slope)),
    ...(optimizer.config.method === "bilateral-sam" && { scale: scaleOf(draws, problem.smoothness) }),
  };
}

/**
 * ρ_max + 2‖g‖/τ. On a convex quadratic ς ≥ 1 as long as ρ_min is at most this: with g = Σ gᵢvᵢ over the eigenvectors of
 * eigenvalues 0 ≤ λᵢ ≤ τ, g⁺ and g⁻ have the components gᵢ(1 + ρ_max λᵢ/‖g‖) and gᵢ(1 − ρ_min λᵢ/‖g‖), and
 * |1 − ρ_min λ/‖g‖| ≤ 1 + ρ_max λ/‖g‖ is (ρ_min − ρ_max)λ ≤ 2‖g‖.
 */
export function limitOfRhoMin(rhoMax: number, gradNorm: number, smoothness: number): number {
  return rhoMax + (2 * gradNorm) / smoothness;
}

/** Rounding errors of float64 that ς may have. */
const rounding = 1e-12;

function scaleOf(draws: readonly (readonly ProblemStep[])[], smoothness: number): ScaleRecord {
  const all = draws.flat().flatMap(({ bilateral, gradNorm }) =>
    bilateral
      ? [
          {
            ...bilateral,
            withinLimit: bilateral.rhoMin <= limitOfRhoMin(bilateral.rhoMax, gradNorm, smoothness),
          },
        ]
      : [],
  );
  const within = all.filter(({ withinLimit }) => withinLimit);
  const isBelowOne = ({ scale }: BilateralStep) => scale < 1 - rounding;
  const shareOf = (steps: readonly ProblemStep[]) => {
    const own = steps.flatMap(({ bilateral }) => bilateral ?? []);
    return own.filter(({ scale }) => scale >= 1).length / own.length;
  };
  const trace = (of: (step: BilateralStep) => number) =>
    traceOf(draws.map((steps) => steps.map(({ bilateral }) => (bilateral ? of(bilateral) : undefined))));
  return {
    scale: trace(({ scale }) => scale),
    theoremOne: trace(({ theoremOne }) => theoremOne),
    shareAtLeastOne: acrossDraws(draws.map(shareOf)),
    steps: all.length,
    undefinedSteps: draws.flat().length - all.length,
    withinLimit: { steps: within.length, belowOne: within.filter(isBelowOne).length },
    beyondLimit: {
      steps: all.length - within.length,
      belowOne: all.filter((step) => !step.withinLimit && isBelowOne(step)).length,
    },
    overshot: all.filter(({ cosine }) => cosine < 0).length,
  };
}

/** Each step's mean over the draws that have a value there, with the lowest and the highest; null where none has. */
function traceOf(draws: readonly (readonly (number | undefined)[])[]): Trace {
  const steps = draws[0].map((_, step) => draws.flatMap((values) => values[step] ?? []));
  const at = (of: (values: readonly number[]) => number) =>
    steps.map((values) => (values.length === 0 ? null : of(values)));
  return {
    mean: at((values) => values.reduce((sum, value) => sum + value, 0) / values.length),
    low: at((values) => Math.min(...values)),
    high: at((values) => Math.max(...values)),
  };
}

function acrossDraws(values: readonly number[]): AcrossDraws {
  const { mean, low, high, confidence } = confidenceInterval(values.filter(Number.isFinite));
  return { mean, low, high, confidence };
}
