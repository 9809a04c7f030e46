import { UserError } from "../common/errors.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { scalarData } from "../onnx/tensor-data.ts";
import type { Optimizer } from "./optimizer.ts";
import type { Progress } from "./schedules.ts";

// The scalars that an optimizer schedules: their values at a step, their inputs, and what readers call them.

/** The learning rate and the optimizer's scalars at one step. */
export interface StepScalars {
  learningRate: number;
  /** By the optimizer's names. */
  scalars: Record<string, number>;
}

/** @throws UserError where a schedule, which may be anybody's, gives what is no rate or radius */
export function scalarsAt(optimizer: Optimizer, progress: Progress): StepScalars {
  const checked = (name: string, value: number) => {
    if (value >= 0 && Number.isFinite(value)) return value;
    throw new UserError(
      `the schedule of ${name} gives ${value} at step ${progress.step} (counted from 0); it has to be 0 or more`,
    );
  };
  const values = Object.entries(optimizer.scalars).map(([name, schedule]) => [
    name,
    checked(name, schedule.at(progress)),
  ]);
  return {
    learningRate: checked("learningRate", progress.learningRate.now),
    scalars: Object.fromEntries(values),
  };
}

/** The inputs of a step that they are. */
export function scalarInputs(
  { learningRate, scalars }: StepScalars,
  type: "float32" | "float64" = "float32",
): Tensors {
  const inputs = Object.entries(scalars).map(([name, value]) => [scalarInput(name), scalarData(value, type)]);
  return { learning_rate: scalarData(learningRate, type), ...Object.fromEntries(inputs) };
}

/** The input of a scalar: `rho_max` of the radius `rhoMax`; `optimizer.share` of any other, which no weight is called. */
export function scalarInput(name: string): string {
  return isRadius(name) ? snakeCase(name) : `optimizer.${snakeCase(name)}`;
}

/** Radii are the scalars whose names begin with the word `rho`. */
export function isRadius(name: string): boolean {
  return /^rho(?![a-z])/.test(name);
}

function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** How readers know a scalar, or another setting of an optimizer: by a symbol and a heading. */
export function scalarWords(name: string): { symbol: string; title: string } {
  const [symbol, title] = Object.hasOwn(words, name) ? words[name] : [name, name];
  return { symbol, title };
}

/** What is not here is known by the name that its optimizer gives it. */
const words: Readonly<Record<string, readonly [symbol: string, title: string]>> = {
  rho: ["ρ", "Ascent radius"],
  rhoMax: ["ρmax", "Ascent radius"],
  rhoMin: ["ρmin", "Descent radius"],
  alpha: ["α", "Share of the orthogonal part"],
};
