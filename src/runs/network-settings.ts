import * as z from "zod";
import { flags } from "../common/flags.ts";
import { parameterKinds } from "../optim/parameter-groups.ts";
import { normalizations } from "../tasks/image-input.ts";

// The part of a run's document about its network: a file it comes as, weights it starts from, groups of parameters, averages.

const fraction = z.number().min(0).max(1);
const nonNegative = z.number().min(0);
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
  file: z.string().describe("The ONNX file.").register(flags, { flags: "none" }),
  classes: count
    .min(2)
    .optional()
    .describe(
      "Re-initialize the last linear layer for N classes. Left out: for those of the data, if it has another number.",
    ),
  head: z
    .string()
    .optional()
    .describe("The node of that layer, where it is not found; it is re-initialized."),
  output: z
    .string()
    .optional()
    .describe("The output with the logits, if there are several.")
    .register(flags, { value: "<name>" }),
  trainable: names
    .optional()
    .describe("Patterns of the tensors that train. Left out: all that `lowland inspect` lists as trained.")
    .register(flags, { value: "<pattern>" }),
  frozen: names
    .optional()
    .describe("Patterns of the parameters that keep their values, e.g. `backbone.*`.")
    .register(flags, { value: "<pattern>" }),
  batchNormalization: z
    .enum(["batch", "frozen"])
    .default("batch")
    .describe(
      "`batch`: normalize by each batch and update the running statistics; `frozen`: as in inference.",
    )
    .register(flags, { name: "batch-norm" }),
  dropout: z.boolean().default(true).describe("Whether Dropout is active in training."),
  dimensions: z
    .record(z.string(), count)
    .default({})
    .describe(
      "Sizes of axes that the file leaves open, by name, e.g. `height=64`; of the image's, the data's own when left out.",
    )
    .register(flags, { name: "dimension", value: "<name=size>" }),
  normalization: z
    .enum(normalizations)
    .optional()
    .describe(
      "Scale of the pixels that the network expects; `dataset`: by the data's mean and deviation. Left out: as the file's metadata say, or else `dataset`.",
    ),
});

/** Weights that a network by name starts from. */
export const weightsFile = z.strictObject({
  file: z
    .string()
    .describe(
      "Safetensors file to start from, by PyTorch's names. Left out: weights initialized by the seed.",
    )
    .register(flags, { name: "weights", value: "<file>" }),
  except: names
    .default([])
    .describe("Names that are initialized instead, `*` for any characters, e.g. `fc.*`.")
    .register(flags, { value: "<names>", list: "commas" }),
  otherHead: z
    .boolean()
    .optional()
    .describe("Whether a head of another size is re-initialized. Left out: all weights have to fit.")
    // Fine-tuning sets it.
    .register(flags, { flags: "none" }),
  normalization: z
    .enum(normalizations)
    .optional()
    .describe("Scale of the pixels that the weights were trained with. Left out: `dataset`.")
    .register(flags, { name: "normalization" }),
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
    startingAt: fraction
      .default(0.75)
      .describe(
        "Share of training after which every epoch's weights are averaged (SWA); the last epoch always is.",
      ),
  }),
]);
