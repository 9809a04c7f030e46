import * as z from "zod";
import { UserError } from "../common/errors.ts";
import { flags } from "../common/flags.ts";
import { filledIn, parse, renamed } from "../common/schema.ts";
import { deviceChoices } from "../lower/target.ts";
import { modelNames, modelText } from "../nn/models.ts";
import { perturbChoices } from "../optim/parameter-groups.ts";
import { type TaskName, taskNamed, taskNames, tasks } from "../tasks/index.ts";
import type { TaskKind } from "../tasks/task.ts";
import { dataSettings } from "./data-settings.ts";
import { averagingFlags, groupFlags, scheduleFlags } from "./declared-flags.ts";
import { averagingSettings, importedModel, parameterGroup, weightsFile } from "./network-settings.ts";
import { optimizerSettings, scheduleNames, scheduleSettings } from "./optimizer-settings.ts";
import { ownQuantization, quantizationSettings } from "./quantization-settings.ts";

// A run as one document. The schema is complete: parsing fills every default in, so that the document written to
// `run.json` says all there is to know. Flags, their help and docs/configuration.md follow from it: a setting's flag has the
// name of its path unless `.register(flags, …)` says otherwise.

const positive = z.number().positive();
const count = z.number().int().positive();

const afterTask = {
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
    .prefault("mlp")
    .describe("A network's name, options after a colon, or an ONNX file.")
    .register(flags, {
      group: "Network",
      value: "<name>",
      help: `network: one of ${modelNames.join(", ")}; options may follow a colon`,
    }),
  weights: z
    .union([z.string().transform((file): z.infer<typeof weightsFile> => ({ file, except: [] })), weightsFile])
    .optional()
    .describe(
      "A safetensors file to start from; `except`: patterns of names that are initialized instead; `otherHead`: whether a head of another size is re-initialized; `normalization`: scale of the pixels that the weights were trained with.",
    )
    .register(flags, { group: "Network", text: "file" }),
  quantization: quantizationSettings,
  learningRate: positive
    .default(0.05)
    .describe("Peak of the learning rate.")
    .register(flags, { group: "Training" }),
  schedule: scheduleSettings
    .default({ name: "cosine" })
    .describe("How the learning rate changes.")
    .register(flags, { group: "Training", flags: scheduleFlags(scheduleNames) }),
  epochs: count
    .default(20)
    .describe("Passes over the training images.")
    .register(flags, { group: "Training" }),
  batchSize: count.default(128).describe("Images in one step.").register(flags, { group: "Training step" }),
  parameters: z
    .strictObject({
      perturb: z
        .enum(perturbChoices)
        .default("all")
        .describe("Parameters to perturb; `norm-only`: scales and shifts of normalization layers (SAM-ON)."),
      groups: z
        .array(parameterGroup)
        .default([])
        .describe("Later groups override earlier ones.")
        .register(flags, { flags: groupFlags }),
      train: z
        .string()
        .regex(/^(all|head|last:[1-9]\d*)$/, "choose all, head, or a number of stages as in last:2")
        .optional()
        .describe(
          "Which stages train: `all`, `head` (the last one), or `last:2`, `last:3`, … (the stages next to the output). The others keep their values and are as in inference. Left out: all.",
        )
        .register(flags, { value: "<which>" }),
      layerDecay: positive
        .max(1)
        .optional()
        .describe(
          "Factor of the learning rate from each stage to the one before it; the last has the full rate. Left out: 1.",
        )
        .register(flags, { value: "<factor>" }),
      newHead: z
        .boolean()
        .optional()
        .describe("Re-initialize the head even if its size is the data's, for data of other classes.")
        .register(flags, { group: "Network" }),
      batchNormalization: z
        .enum(["batch", "frozen"])
        .optional()
        .describe(
          "What BatchNorm of stages that train normalizes by. `batch`: each batch; `frozen`: the running statistics, which it keeps. Left out: as `model` says, or else `batch`.",
        )
        .register(flags, { name: "batch-norm", group: "Network" }),
      features: z
        .enum(["keep", "compute"])
        .optional()
        .describe(
          "The output of frozen stages for an image. `keep`: computed once if nothing is augmented; `compute`: at each step. Left out: `keep`.",
        ),
    })
    .prefault({})
    .register(flags, { group: "Training step", prefix: "" }),
  clipNorm: positive
    .optional()
    .describe("Largest norm of the update direction; longer ones are scaled down. Left out: no limit.")
    .register(flags, { group: "Training step" }),
  microBatches: count
    .default(1)
    .describe("Number of micro-batches that a mini-batch is computed in, to save memory.")
    .register(flags, { group: "Training step" }),
  perturbationPer: z
    .enum(["batch", "micro-batch"])
    .default("batch")
    .describe("What a perturbation is computed from; `micro-batch`: m-sharpness.")
    .register(flags, { group: "Training step" }),
  recompute: z
    .boolean()
    .optional()
    .describe(
      "Compute again what a gradient needs of its forward pass instead of keeping all of it: less memory, a little more time, the same numbers. Left out: where a gradient reads more than 512 MiB of it, in Node on the CPU.",
    )
    .register(flags, { group: "Training step" }),
  averaging: renamed(averagingSettings, { from: "startingAt" })
    .optional()
    .describe("A second network, of averaged weights. Left out: none.")
    .register(flags, { group: "Training", flags: averagingFlags }),
  keepWeights: z
    .boolean()
    .optional()
    .describe("Keep the weights of every epoch, for `lowland landscape --along trajectory`.")
    .register(flags, { group: "Training" }),
  onNonFinite: z
    .enum(["stop", "skip"])
    .default("stop")
    .describe("What to do about a step that is not finite: end the run, or leave the step out.")
    .register(flags, { group: "Training" }),
  device: z
    .enum(deviceChoices)
    .optional()
    .describe(
      "Where training runs. `webgpu`, `cuda`: a GPU, after it has taken a step as the CPU does; `auto`: a GPU that is also faster. Left out: `cpu`.",
    )
    .register(flags, { group: "Training" }),
  threads: count
    .optional()
    .describe("Threads of one operator. Left out: one per core.")
    .register(flags, { group: "Training" }),
  evaluateEvery: count
    .default(1)
    .describe(
      "Epochs from one evaluation (test images, sharpness) to the next; the last epoch is always evaluated.",
    )
    .register(flags, { group: "Training" }),
  sharpness: z
    .strictObject({
      rho: positive
        .default(0.05)
        .describe("Radius of the one-step sharpness that is measured in every evaluation."),
      images: count.default(1000).describe("Number of training images that this sharpness is measured on."),
    })
    .prefault({})
    .register(flags, { group: "Training" }),
};

/** A seed decides initial weights, subset, label noise, order and augmentation. */
export const seedSetting = z.number().int();

const optimizerAndSeed = {
  optimizer: optimizerSettings
    .prefault({ method: "bilateral-sam" })
    .describe("How to train.")
    .register(flags, { group: "Optimizer", prefix: "" }),
  seed: seedSetting
    .default(1)
    .describe("Decides initial weights, subset, label noise, order and augmentation.")
    .register(flags, { group: "Training" }),
};

/** Names of runs, which become folders. */
export const runName = /^\w[\w.-]*$/;

const comparedRuns = z
  .array(
    z.strictObject({
      name: z
        .string()
        .regex(runName, "it has to be letters, digits, dots and dashes")
        .register(flags, { flags: "none" }),
      optimizer: optimizerSettings
        .describe("How to train.")
        .register(flags, { group: "Optimizer", prefix: "", only: ["base"] }),
      quantization: ownQuantization,
    }),
  )
  .min(1)
  .register(flags, { flags: "each", prefix: "" });

/** A run's settings without what makes runs of one study differ: the optimizer and the seed. */
export function sharedSettings({ name, settings }: TaskKind) {
  const isOwn = !taskNames.some((each) => each === name);
  return {
    ...dataSettings,
    ...(isOwn && { task: z.enum([name]).default(name) }),
    ...settings,
    ...afterTask,
  };
}

/** The schema of a run of a task. */
function runSchemaOf(kind: TaskKind) {
  return z.strictObject({ ...sharedSettings(kind), ...optimizerAndSeed });
}

/** What runs of all tasks share, for pages and flags; of settings that several tasks have, the first task's. */
export const settingsOfAllTasks = {
  ...dataSettings,
  ...Object.assign({}, ...taskNames.map((name) => tasks[name].settings).reverse()),
  ...afterTask,
};

/** The settings of runs of all tasks, for pages and flags. */
export const runSchema = z.strictObject({ ...settingsOfAllTasks, ...optimizerAndSeed });

/** The settings of comparisons of all tasks, for flags. */
export const comparisonSchema = z.strictObject({
  ...settingsOfAllTasks,
  seed: optimizerAndSeed.seed,
  runs: comparedRuns,
});

type Kind = (typeof tasks)[TaskName];
type Intersection<Union> = (Union extends unknown ? (each: Union) => void : never) extends (
  all: infer All,
) => void
  ? All
  : never;
type OfKinds<K> = K extends TaskKind<infer Settings> ? Partial<z.infer<z.ZodObject<Settings>>> : never;
type GivenOfKinds<K> = K extends TaskKind<infer Settings> ? z.input<z.ZodObject<Settings>> : never;

const common = z.strictObject({ ...dataSettings, ...afterTask, ...optimizerAndSeed });

/** A run's settings, complete. Those of other tasks are absent; a task of one's own has more, which only it knows. */
export type RunConfiguration = Omit<z.infer<typeof common>, "task"> & { task: string } & Intersection<
    OfKinds<Kind>
  >;
/** Without what makes runs of one study differ. */
export type SharedConfiguration = Omit<RunConfiguration, "optimizer" | "seed">;
export type ImportedModelSettings = z.infer<typeof importedModel>;
/** What a person writes: every setting may be left out. */
export type RunSettings = z.input<typeof common> & Intersection<GivenOfKinds<Kind>>;
export type ComparisonSettings = Omit<RunSettings, "optimizer"> & { runs: z.input<typeof comparedRuns> };

/** One run of a comparison: its folder's name and its complete configuration. */
export interface NamedRun {
  name: string;
  configuration: RunConfiguration;
}

/**
 * Checks a run's settings and fills every default in.
 * @param own its task, where that is none of Lowland's
 * @throws UserError naming the first setting that is wrong
 */
export function parseRun(value: unknown, own?: TaskKind): RunConfiguration {
  return parseForTask(value, runSchemaOf, own) as RunConfiguration;
}

/** Checks a comparison's settings: shared ones, and `runs` with a name, an optimizer and perhaps their own integers each. */
export function parseComparison(value: unknown): NamedRun[] {
  if (typeof value === "object" && value !== null && "optimizer" in value) {
    throw new UserError("optimizer: every run of a comparison has its own; move it into the runs");
  }
  const schemaOf = (kind: TaskKind) =>
    z.strictObject({ ...sharedSettings(kind), seed: optimizerAndSeed.seed, runs: comparedRuns });
  const { runs, ...shared } = parseForTask(value, schemaOf);
  const names = runs.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new UserError(`two runs of the comparison are called "${twice}"`);
  return runs.map(({ name, optimizer, quantization = shared.quantization }) => {
    const own = quantization === "float" ? undefined : quantization;
    const { quantization: _, ...others } = shared;
    return {
      name,
      configuration: { ...others, ...(own && { quantization: own }), optimizer } as RunConfiguration,
    };
  });
}

/**
 * Checks a document by the schema of its task, and fills every default in.
 * @throws UserError naming the first setting that is wrong, or that another task has
 */
export function parseForTask<T>(
  value: unknown,
  schemaOf: (kind: TaskKind) => z.ZodType<T>,
  own?: TaskKind,
): T {
  if (own) checkOwnTask(own);
  const document = parse(z.looseObject(own ? {} : { task: dataSettings.task }), value);
  const kind = own ?? taskNamed(String(document.task));
  for (const setting of Object.keys(document)) {
    const other = taskNames.find((name) => setting in tasks[name].settings);
    if (other && !(setting in kind.settings))
      throw new UserError(`${setting} is a setting of ${other}, and the task is ${kind.name}; leave it out`);
  }
  const schema = schemaOf(kind);
  return parse(schema, filledIn(schema, value, kind.defaults ?? {}));
}

/** @throws UserError for a task whose name or settings Lowland or every run has */
function checkOwnTask(kind: TaskKind): void {
  const { name, settings } = kind;
  const taken = taskNames.find((each) => each === name);
  if (taken && tasks[taken] !== kind)
    throw new UserError(`task: Lowland has a task "${name}" of its own; give yours another name`);
  const shadowed = Object.keys(settings).find((setting) => setting in common.shape);
  if (shadowed !== undefined)
    throw new UserError(
      `the task ${name} has a setting "${shadowed}", and so has every run; give the task's another name`,
    );
}
