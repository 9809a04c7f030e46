import { z } from "zod";
import { UserError } from "../common/errors.ts";
import { parse } from "../common/schema.ts";
import { datasetNames } from "../data/catalogue.ts";
import { modelText } from "../nn/models.ts";
import { parameterKinds, perturbChoices } from "../optim/parameter-groups.ts";
import { normalizations } from "../tasks/image-input.ts";
import { firstTask, type TaskName, taskNamed, taskNames, tasks } from "../tasks/index.ts";
import type { TaskKind } from "../tasks/task.ts";
import { optimizerSettings, scheduleSettings } from "./optimizer-settings.ts";

// A run as one document. The schema is complete: parsing fills every default in, so that the document written to
// `run.json` says all there is to know. The descriptions make docs/configuration.md.

const fraction = z.number().min(0).max(1);
const nonNegative = z.number().min(0);
const positive = z.number().positive();
const count = z.number().int().positive();

const names = z.union([z.string(), z.array(z.string())]);

/** Parameters that are treated in another way. */
export const parameterGroup = z.strictObject({
  names: names.optional().describe("Patterns of names, `*` for any characters. Left out: every name."),
  kinds: z
    .union([z.enum(parameterKinds), z.array(z.enum(parameterKinds))])
    .optional()
    .describe("What a parameter is to its layer. With `names`, those that fit both."),
  learningRate: nonNegative.optional().describe("Factor of the learning rate."),
  weightDecay: nonNegative.optional().describe("Factor of the weight decay."),
  rho: nonNegative.optional().describe("Factor of the radii."),
  perturbed: z.boolean().optional().describe("Whether they take part in perturbations and their norm."),
  frozen: z.boolean().optional().describe("Whether they keep their values; then no gradient is computed."),
});

/** A network that comes as an ONNX file. */
export const importedModel = z.strictObject({
  file: z.string().describe("The ONNX file."),
  classes: count
    .min(2)
    .optional()
    .describe(
      "Start the last linear layer anew with so many classes. Left out: as many as the data have, where they differ.",
    ),
  head: z.string().optional().describe("That layer's node, where it is not found."),
  output: z.string().optional().describe("The output with the logits, where there are several."),
  trainable: names
    .optional()
    .describe("Patterns of the parameters that train. Left out: all weights and biases."),
  frozen: names.optional().describe("Patterns of the parameters that do not train."),
  batchNormalization: z
    .enum(["batch", "frozen"])
    .default("batch")
    .describe(
      "`batch`: normalise by each batch and update the running statistics; `frozen`: as in inference.",
    ),
  dropout: z.boolean().default(true).describe("Whether Dropout drops anything."),
  dimensions: z
    .record(z.string(), count)
    .default({})
    .describe(
      "Sizes of axes that the file leaves open, by name; of the image's, the data's own when left out.",
    ),
  normalization: z
    .enum(normalizations)
    .optional()
    .describe(
      "Scale of the pixels that the network expects; `dataset`: by the data's mean and deviation. Left out: as the file's metadata say, or else `dataset`.",
    ),
});

/** A second network whose weights are an average of those of training. */
export const averagingSettings = z.discriminatedUnion("name", [
  z.strictObject({
    name: z.literal("exponential"),
    decay: z
      .number()
      .min(0)
      .lt(1)
      .default(0.999)
      .describe(
        "Share of one step's weights in the average, as a factor of the next step's; all shares add up to 1.",
      ),
  }),
  z.strictObject({
    name: z.literal("stochastic"),
    from: fraction
      .default(0.75)
      .describe(
        "Share of training after which every epoch's weights are averaged (SWA); the last epoch always is.",
      ),
  }),
]);

const beforeTask = {
  task: z.enum(taskNames).default(firstTask).describe("The kind of problem."),
  data: z
    .string()
    .default("fashion-mnist")
    .describe(
      `A data set's name (${datasetNames.map((name) => `\`${name}\``).join(", ")}), or the path of a folder of pictures with a folder per class, a list of pictures (.csv, .json), an .npz file, or a folder of .npy or IDX files.`,
    ),
  images: z
    .strictObject({
      size: count.default(64).describe("Height and width that pictures are brought to."),
      channels: z
        .union([z.literal(1), z.literal(3)])
        .default(3)
        .describe("1: gray, 3: RGB."),
      fit: z
        .enum(["crop", "stretch", "pad"])
        .default("crop")
        .describe(
          "`crop`: scaled to cover the size, the rest cut off; `stretch`: along each axis; `pad`: scaled to fit inside, the rest black.",
        ),
      testShare: z
        .number()
        .gt(0)
        .lt(1)
        .default(0.2)
        .describe("Share of each class that is for testing, where no folder or list says so."),
      onBadImage: z
        .enum(["refuse", "skip"])
        .default("refuse")
        .describe("What to do about files that are no pictures."),
    })
    .prefault({}),
  limit: count.optional().describe("Number of training images, drawn by the seed. Left out: all."),
};
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
    .describe("A network's name, options after a colon, or an ONNX file."),
  weights: z
    .union([
      z.string().transform((file) => ({ file, except: [] })),
      z.strictObject({ file: z.string(), except: names.default([]) }),
    ])
    .optional()
    .describe("A safetensors file to start from; `except`: patterns of names that are drawn all the same."),
  learningRate: positive.default(0.05).describe("Peak of the learning rate."),
  schedule: scheduleSettings.default({ name: "cosine" }).describe("How the learning rate goes."),
  epochs: count.default(20).describe("Passes over the training images."),
  batchSize: count.default(128).describe("Images in one step."),
  parameters: z
    .strictObject({
      perturb: z
        .enum(perturbChoices)
        .default("all")
        .describe("Who is perturbed; `norm-only`: scales and shifts of normalisation layers (SAM-ON)."),
      groups: z.array(parameterGroup).default([]).describe("Later groups override earlier ones."),
    })
    .prefault({}),
  clipNorm: positive.optional().describe("Longest direction that reaches the base update. Left out: any."),
  microBatches: count.default(1).describe("Equal parts that a mini-batch is computed in, to save memory."),
  perturbationPer: z
    .enum(["batch", "micro-batch"])
    .default("batch")
    .describe("What a perturbation is computed from; `micro-batch`: m-sharpness."),
  averaging: averagingSettings.optional().describe("A second network, of averaged weights. Left out: none."),
  keepWeights: z
    .boolean()
    .optional()
    .describe("Keep the weights of every epoch, for the trajectory in `lowland landscape`."),
  onNonFinite: z
    .enum(["stop", "skip"])
    .default("stop")
    .describe("What to do about a step that is not finite: end the run, or leave the step out."),
  threads: count
    .optional()
    .describe("Threads of one operator. Left out: one per core of the machine it runs on."),
  evaluateEvery: count
    .default(1)
    .describe("Epochs from one look at test images and sharpness to the next; there is one after the last."),
  sharpness: z
    .strictObject({
      rho: positive.default(0.05).describe("Radius of the one-step sharpness measured then."),
      images: count.default(1000).describe("The first so many training images, which it is measured on."),
    })
    .prefault({}),
};

/** A seed decides initial weights, subset, label noise, order and augmentation. */
export const seedSetting = z.number().int();

const optimizerAndSeed = {
  optimizer: optimizerSettings.prefault({ method: "bilateral-sam" }).describe("How to train."),
  seed: seedSetting
    .default(1)
    .describe("Decides initial weights, subset, label noise, order and augmentation."),
};

/** Names of runs, which become folders. */
export const runName = /^\w[\w.-]*$/;

const comparedRuns = z
  .array(
    z.strictObject({
      name: z.string().regex(runName, "it has to be letters, digits, dots and dashes"),
      optimizer: optimizerSettings,
    }),
  )
  .min(1);

/** A run's settings without what makes runs of one study differ: the optimizer and the seed. */
export function sharedSettings({ name, settings }: TaskKind) {
  const isOwn = !taskNames.some((each) => each === name);
  return {
    ...beforeTask,
    ...(isOwn && { task: z.enum([name]).default(name) }),
    ...settings,
    ...afterTask,
  };
}

/** The schema of a run of a task. */
function runSchemaOf(kind: TaskKind) {
  return z.strictObject({ ...sharedSettings(kind), ...optimizerAndSeed });
}

/** The settings of runs of all tasks, for pages and flags; of settings that several tasks have, the first task's. */
export const runSchema = z.strictObject({
  ...beforeTask,
  ...Object.assign({}, ...taskNames.map((name) => tasks[name].settings).reverse()),
  ...afterTask,
  ...optimizerAndSeed,
});

type Kind = (typeof tasks)[TaskName];
type Intersection<Union> = (Union extends unknown ? (each: Union) => void : never) extends (
  all: infer All,
) => void
  ? All
  : never;
type OfKinds<K> = K extends TaskKind<infer Settings> ? Partial<z.infer<z.ZodObject<Settings>>> : never;
type GivenOfKinds<K> = K extends TaskKind<infer Settings> ? z.input<z.ZodObject<Settings>> : never;

const common = z.strictObject({ ...beforeTask, ...afterTask, ...optimizerAndSeed });

/** A run's settings, complete. Those of other tasks are absent; a task of one's own has more, which only it knows. */
export type RunConfiguration = Omit<z.infer<typeof common>, "task"> & { task: string } & Intersection<
    OfKinds<Kind>
  >;
/** Without what makes runs of one study differ. */
export type SharedConfiguration = Omit<RunConfiguration, "optimizer" | "seed">;
export type ImportedModelSettings = z.infer<typeof importedModel>;
/** What a person writes: every setting may be left out. */
export type RunSettings = z.input<typeof common> & Intersection<GivenOfKinds<Kind>>;
export type ComparisonSettings = RunSettings & { runs: z.input<typeof comparedRuns> };

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

/** Checks a comparison's settings: shared ones, and `runs` with a name and an optimizer each. */
export function parseComparison(value: unknown): NamedRun[] {
  const schemaOf = (kind: TaskKind) => runSchemaOf(kind).extend({ runs: comparedRuns });
  const { runs, ...shared } = parseForTask(value, schemaOf);
  const names = runs.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new UserError(`two runs of the comparison are called "${twice}"`);
  return runs.map(({ name, optimizer }) => ({
    name,
    configuration: { ...shared, optimizer } as RunConfiguration,
  }));
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
  const document = parse(z.looseObject(own ? {} : { task: beforeTask.task }), value);
  const kind = own ?? taskNamed(String(document.task));
  for (const setting of Object.keys(document)) {
    const other = taskNames.find((name) => setting in tasks[name].settings);
    if (other && !(setting in kind.settings))
      throw new UserError(`${setting} is a setting of ${other}, and the task is ${kind.name}; leave it out`);
  }
  return parse(schemaOf(kind), { ...kind.defaults, ...(value as object) });
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
