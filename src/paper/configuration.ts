import * as z from "zod";
import { flags } from "../common/flags.ts";
import {
  type NamedRun,
  parseForTask,
  parseRun,
  type RunSettings,
  type SharedConfiguration,
  seedSetting,
  settingsOfAllTasks,
  sharedSettings,
} from "../runs/configuration.ts";
import { baseSettings } from "../runs/optimizer-settings.ts";
import type { TaskKind } from "../tasks/task.ts";

// The paper's figures 2 to 5 as one document: the settings all runs share, the radii, and the seeds.

const positive = z.number().positive();
const count = z.number().int().positive();

const ownSettings = {
  seeds: z
    .array(seedSetting)
    .min(1)
    .default([1, 2, 3])
    .describe("Seeds; every method is trained with each.")
    .register(flags, { group: "Training" }),
  base: baseSettings
    .describe("The base update: by itself, and below SAM and bilateral SAM.")
    .register(flags, { group: "Optimizer", prefix: "" }),
  rhoMax: positive
    .default(0.05)
    .describe("Radius of the ascent of SAM and of bilateral SAM.")
    .register(flags, { group: "Optimizer" }),
  rhoMin: positive
    .default(0.05)
    .describe("Radius of bilateral SAM's descent at the peak learning rate, which it follows to 0.")
    .register(flags, { group: "Optimizer" }),
  constantRhoMin: z
    .array(positive)
    .min(1)
    .default([0.1, 0.2, 0.4])
    .describe("Constant radii of bilateral SAM's descent, to see when gradients conflict.")
    .register(flags, { group: "Optimizer" }),
  spectrum: z
    .strictObject({
      eigenvalues: count.default(50).describe("Number of the Hessian's largest eigenvalues to measure."),
      images: count.default(1000).describe("Number of test images that eigenvalues are measured on."),
      tolerance: positive
        .default(1e-4)
        .describe("Residual, relative to the largest |λ|, at which an eigenvalue counts as converged."),
    })
    .prefault({})
    .register(flags, { group: "Spectrum" }),
};

const ownSchema = z.strictObject(ownSettings);

/** The settings of figures of all tasks, for flags. */
export const figuresSchema = ownSchema.extend(settingsOfAllTasks);

export type FiguresConfiguration = SharedConfiguration & z.infer<typeof ownSchema>;
export type FiguresSettings = Omit<RunSettings, "optimizer" | "seed"> & z.input<typeof ownSchema>;

/** What a run of the figures is there for. */
export type FigureRole =
  | { kind: "method"; method: "base" | "sam" | "sam-matched" | "bilateral-sam" }
  | { kind: "constant-rho-min"; rhoMin: number };

export interface FigureRun extends NamedRun {
  role: FigureRole;
  seed: number;
}

/** Checks the settings of figures and fills every default in. Throws `UserError` naming the first that is wrong. */
export function parseFigures(value: unknown): FiguresConfiguration {
  const schemaOf = (kind: TaskKind) => z.strictObject({ ...sharedSettings(kind), ...ownSettings });
  const { constantRhoMin, seeds, ...rest } = parseForTask(value, schemaOf) as FiguresConfiguration;
  const distinct = (values: number[]) => [...new Set(values)];
  return {
    ...rest,
    seeds: distinct(seeds),
    constantRhoMin: distinct(constantRhoMin).sort((a, b) => a - b),
  };
}

/**
 * The runs of one seed: the base update (SGD), SAM at ρ_max, SAM at the total radius ρ_max + ρ_min, bilateral SAM, and bilateral SAM
 * with each constant ρ_min.
 */
export function figureRuns(configuration: FiguresConfiguration, seed: number): FigureRun[] {
  const { seeds: _, base, rhoMax, rhoMin, constantRhoMin, spectrum: __, ...shared } = configuration;
  const matched = Number((rhoMax + rhoMin).toPrecision(12));
  const run = (name: string, role: FigureRole, optimizer: Record<string, unknown>): FigureRun => ({
    name,
    role,
    seed,
    configuration: parseRun({ ...shared, seed, optimizer: { ...optimizer, base } }),
  });
  return [
    run(base.name, { kind: "method", method: "base" }, { method: base.name }),
    run(`sam-${rhoMax}`, { kind: "method", method: "sam" }, { method: "sam", rho: rhoMax }),
    run(`sam-${matched}`, { kind: "method", method: "sam-matched" }, { method: "sam", rho: matched }),
    run(
      "bilateral-sam",
      { kind: "method", method: "bilateral-sam" },
      {
        method: "bilateral-sam",
        rhoMax,
        rhoMin: { name: "proportional-to-learning-rate", high: rhoMin, low: 0 },
      },
    ),
    ...constantRhoMin.map((radius) =>
      run(
        `bilateral-sam-rho-min-${radius}`,
        { kind: "constant-rho-min", rhoMin: radius },
        { method: "bilateral-sam", rhoMax, rhoMin: radius },
      ),
    ),
  ];
}
