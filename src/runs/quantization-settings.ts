import * as z from "zod";
import { UserError } from "../common/errors.ts";
import { type DeclaredFlag, flags } from "../common/flags.ts";
import { isObject } from "../common/objects.ts";
import { firstStepRules, layerChoiceOf, perturbedForms, readBits } from "../quantization/choices.ts";

// The part of a run's document that makes a network of small integers of it.

const bits = z.number().int().min(2, "integers have 2 to 8 bits").max(8, "integers have 2 to 8 bits");

const quantizationFlags: readonly DeclaredFlag[] = [
  {
    name: "quantize",
    value: "<bits>",
    help: "train small integers with learned steps (LSQ): w4a4 for weights and activations of 4 bits, or one number for both",
    read: (text) => {
      const read = readBits(text);
      if (!read) throw new UserError("it has to be bits, as in w4a4 or 8");
      return read;
    },
    put: (read, setting) => ({ ...(isObject(setting) && setting), ...(isObject(read) && read) }),
    example: "w4a4",
  },
  {
    name: "quantize-layer",
    value: "<pattern=bits>",
    help: "layers that differ: conv1=8, 'layer4.*=w4a8', fc=float (may be repeated)",
    read: (text, earlier) => {
      const choice = layerChoiceOf(text);
      if (!choice)
        throw new UserError("it has to be a pattern and bits, as in conv1=8, conv1=w4a8 or conv1=float");
      return { ...(isObject(earlier) && earlier), ...choice };
    },
    put: (choices, setting) => {
      const given = isObject(setting) ? setting : {};
      return {
        ...given,
        layers: { ...(isObject(given.layers) && given.layers), ...(isObject(choices) && choices) },
      };
    },
    example: "conv1=w4a8",
  },
  {
    name: "quantize-perturb",
    value: "<form>",
    help: `what a perturbation of a quantized weight is added to: one of ${perturbedForms.join(", ")} (default: quantized)`,
    read: (text) => text,
    put: (perturb, setting) => ({ ...(isObject(setting) && setting), perturb }),
    example: "latent",
  },
];

const quantization = z.strictObject({
  weights: bits.default(8).describe("Bits of weights, 2 to 8."),
  activations: bits.default(8).describe("Bits of what layers read, 2 to 8."),
  layers: z
    .record(
      z.string(),
      z.union([
        z.literal("float"),
        z.strictObject({ weights: bits.optional(), activations: bits.optional() }),
      ]),
    )
    .default({})
    .describe(
      "Layers that differ, by name or pattern: `{ weights, activations }` or `float`. The first and the last layer have 8 bits otherwise.",
    ),
  perChannel: z.boolean().default(true).describe("A step of weights for each output channel."),
  perturb: z
    .enum(perturbedForms)
    .default("quantized")
    .describe(
      "What a perturbation of a weight is added to. `quantized`: what it is rounded to; `latent`: the float weight, which is rounded afterwards.",
    ),
  perturbSteps: z.boolean().default(false).describe("Whether steps are perturbed too."),
  firstSteps: z
    .enum(firstStepRules)
    .default("mse")
    .describe(
      "What steps start from. `mse`: the least squared error; `mean`: twice the mean magnitude / √(largest integer), as published with LSQ.",
    ),
  stepLearningRate: z
    .number()
    .nonnegative()
    .default(0.1)
    .describe("Factor of the learning rate of steps, 1 as published with LSQ; 0: they stay as they start."),
  examples: z
    .number()
    .int()
    .positive()
    .default(256)
    .describe("Training examples that the first steps of activations are measured on."),
});

/** Integers with learned steps, for a network of any task. */
export const quantizationSettings = quantization
  .optional()
  .describe("Train a network of small integers with learned steps (LSQ). Left out: float.")
  .register(flags, { group: "Network", flags: quantizationFlags });

/** Of one run of a comparison, in place of what its runs share. */
export const ownQuantization = z
  .union([z.literal("float"), quantization])
  .optional()
  .describe("In place of the shared `quantization`; `float`: none.")
  .register(flags, { flags: "none" });

export type QuantizationSettings = NonNullable<z.infer<typeof quantizationSettings>>;
