import { availableParallelism } from "node:os";
import { z } from "zod";
import { UserError } from "../common/errors.ts";
import { parse } from "../common/schema.ts";
import { datasetNames } from "../data/dataset.ts";
import { modelText } from "../nn/models.ts";
import { parameterKinds, perturbChoices } from "../optim/parameter-groups.ts";
import { normalizations } from "./image-input.ts";
import { optimizerSettings, scheduleSettings } from "./optimizer-settings.ts";

// A run as one document. The schema is complete: parsing fills every default in, so that the document written to
// `run.json` says all there is to know.

const fraction = z.number().min(0).max(1);
const nonNegative = z.number().min(0);
const positive = z.number().positive();
const count = z.number().int().positive();

const parameterGroup = z.strictObject({
  names: z.union([z.string(), z.array(z.string())]).optional(),
  kinds: z.union([z.enum(parameterKinds), z.array(z.enum(parameterKinds))]).optional(),
  learningRate: nonNegative.optional(),
  weightDecay: nonNegative.optional(),
  rho: nonNegative.optional(),
  perturbed: z.boolean().optional(),
  frozen: z.boolean().optional(),
});

const names = z.union([z.string(), z.array(z.string())]);

/** A network that comes as an ONNX file. */
const importedModel = z.strictObject({
  file: z.string(),
  /** Give the last linear layer so many classes, drawn anew. Left out: as many as the data have, where they differ. */
  classes: count.min(2).optional(),
  /** That layer's node, where it is not found. */
  head: z.string().optional(),
  /** The output with the logits, where there are several. */
  output: z.string().optional(),
  /** Names of the parameters that train, and of those that do not. */
  trainable: names.optional(),
  frozen: names.optional(),
  batchNormalization: z.enum(["batch", "frozen"]).default("batch"),
  dropout: z.boolean().default(true),
  /** Sizes of axes that the file leaves open; of the image's, the data's own when left out. */
  dimensions: z.record(z.string(), count).default({}),
  normalization: z.enum(normalizations).default("dataset"),
});

/** A run's settings without what makes runs of one study differ: the optimizer and the seed. */
export const sharedSettings = {
  data: z.enum(datasetNames).default("fashion-mnist"),
  /** Number of training images, drawn by the seed; all when left out. */
  limit: count.optional(),
  /** Probability that a training label is replaced by a uniformly drawn class. */
  labelNoise: fraction.default(0),
  augmentation: z
    .strictObject({
      /** Zeros around the image before a random crop of its size. */
      crop: z.number().int().min(0).optional(),
      flip: z.boolean().optional(),
      cutout: z.strictObject({ size: count, probability: fraction.default(0.5) }).optional(),
    })
    .default({}),
  model: z
    .union([
      // Kept in one spelling: options that are at their defaults are left out.
      z.string().transform((text, context): string => {
        try {
          return modelText(text);
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
          context.addIssue({ code: "custom", message: error.message });
          return z.NEVER;
        }
      }),
      importedModel,
    ])
    .default("mlp"),
  /** A safetensors file to start from, instead of drawing the weights; `except`: names that are drawn all the same. */
  weights: z
    .union([
      z.string().transform((file) => ({ file, except: [] })),
      z.strictObject({ file: z.string(), except: z.union([z.string(), z.array(z.string())]).default([]) }),
    ])
    .optional(),
  learningRate: positive.default(0.05),
  schedule: scheduleSettings.default({ name: "cosine" }),
  epochs: count.default(20),
  batchSize: count.default(128),
  labelSmoothing: z.number().min(0).lt(1).default(0.1),
  labelSmoothingKind: z.enum(["uniform", "kl"]).default("uniform"),
  /** How single parameters are treated: who is perturbed, and groups by name or kind. */
  parameters: z
    .strictObject({
      perturb: z.enum(perturbChoices).default("all"),
      groups: z.array(parameterGroup).default([]),
    })
    .prefault({}),
  /** Longest d that reaches the base update. */
  clipNorm: positive.optional(),
  /** Equal parts a mini-batch is computed in, and what a perturbation is computed from. */
  microBatches: count.default(1),
  perturbationPer: z.enum(["batch", "micro-batch"]).default("batch"),
  /** A second network whose weights are an average of those of training. */
  averaging: z
    .discriminatedUnion("name", [
      z.strictObject({ name: z.literal("exponential"), decay: z.number().min(0).lt(1).default(0.999) }),
      z.strictObject({ name: z.literal("stochastic"), from: fraction.default(0.75) }),
    ])
    .optional(),
  /** Keep the weights of every epoch, for the trajectory in `lowland landscape`. */
  keepWeights: z.boolean().optional(),
  onNonFinite: z.enum(["stop", "skip"]).default("stop"),
  threads: count.default(() => availableParallelism()),
  /** Epochs from one look at the test set and the sharpness to the next; after the last epoch there is always one. */
  evaluateEvery: count.default(1),
  /** The one-step sharpness measured then, on the first images of the training set. */
  sharpness: z.strictObject({ rho: positive.default(0.05), images: count.default(1000) }).prefault({}),
};

/** A seed decides initial weights, subset, label noise, order and augmentation. */
export const seedSetting = z.number().int();

const settings = {
  ...sharedSettings,
  optimizer: optimizerSettings.prefault({ method: "bilateral-sam" }),
  seed: seedSetting.default(1),
};

/** Names of runs, which become folders. */
export const runName = /^\w[\w.-]*$/;

const runSchema = z.strictObject(settings);
const comparisonSchema = z.strictObject({
  ...settings,
  runs: z
    .array(
      z.strictObject({
        name: z.string().regex(runName, "it has to be letters, digits, dots and dashes"),
        optimizer: optimizerSettings,
      }),
    )
    .min(1),
});

export type RunConfiguration = z.infer<typeof runSchema>;
export type ImportedModelSettings = z.infer<typeof importedModel>;
/** What a person writes: every setting may be left out. */
export type RunSettings = z.input<typeof runSchema>;
export type ComparisonSettings = z.input<typeof comparisonSchema>;

/** One run of a comparison: its folder's name and its complete configuration. */
export interface NamedRun {
  name: string;
  configuration: RunConfiguration;
}

/** Checks a run's settings and fills every default in. Throws `UserError` naming the first setting that is wrong. */
export function parseRun(value: unknown): RunConfiguration {
  return parse(runSchema, value);
}

/** Checks a comparison's settings: shared ones, and `runs` with a name and an optimizer each. */
export function parseComparison(value: unknown): NamedRun[] {
  const { runs, ...shared } = parse(comparisonSchema, value);
  const names = runs.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new UserError(`two runs of the comparison are called "${twice}"`);
  return runs.map(({ name, optimizer: own }) => ({ name, configuration: { ...shared, optimizer: own } }));
}
