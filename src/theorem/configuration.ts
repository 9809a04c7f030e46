import * as z from "zod";
import { parse } from "../common/schema.ts";

// What is run on which problems, as one document.

const problemKinds = ["quadratic", "logistic", "non-convex"] as const;
export type ProblemKind = (typeof problemKinds)[number];

const positive = z.number().positive();
const notNegative = z.number().min(0);

export const theoremSchema = z.strictObject({
  problems: z
    .array(z.enum(problemKinds))
    .min(1)
    .default([...problemKinds])
    .describe("Losses to minimize: `quadratic`, `logistic`, `non-convex`."),
  spectrum: z
    .array(positive)
    .min(1)
    .default([4, 2, 1, 0.5, 0.25])
    .describe("Eigenvalues of the quadratic; the largest is its smoothness τ."),
  variance: notNegative
    .default(0.25)
    .describe("Variance σ² of the gradient of the quadratic and the non-convex loss."),
  stepSize: positive.default(0.4).describe("First learning rate, in units of 1/τ."),
  rhoMax: notNegative.default(0.05).describe("Ascent radius of SAM and bilateral SAM at the first step."),
  rhoMin: notNegative.default(0.05).describe("Descent radius of bilateral SAM at the first step."),
  steps: z.number().int().min(20).default(200).describe("Number of steps."),
  draws: z.number().int().min(2).default(20).describe("Number of noise draws of each run."),
  fitFrom: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe(
      "First step of the fitted slopes' window, which ends at the last. Left out: a tenth of the steps.",
    ),
  seed: z.number().int().default(1).describe("Seed of problems, starts and noise."),
});

export type TheoremSettings = z.input<typeof theoremSchema>;
export type TheoremConfiguration = Required<z.output<typeof theoremSchema>>;

/** Checks the settings and fills every default in. Throws `UserError` naming the first that is wrong. */
export function parseTheorem(value: unknown): TheoremConfiguration {
  const { problems, fitFrom, ...settings } = parse(withWindow, value);
  return {
    ...settings,
    problems: [...new Set(problems)],
    fitFrom: fitFrom ?? Math.ceil(settings.steps / 10),
  };
}

const withWindow = theoremSchema.superRefine(({ fitFrom = 1, steps }, context) => {
  if (fitFrom > steps - 10)
    context.addIssue({
      code: "custom",
      path: ["fitFrom"],
      message: `the window from step ${fitFrom} to ${steps} is too short for a slope; it has to hold more than 10 steps`,
    });
});
