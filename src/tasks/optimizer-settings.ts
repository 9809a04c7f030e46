import { z } from "zod";
import { bilateralSamVariants } from "../optim/bilateral-sam.ts";

// The part of a configuration that says how to train: optimizers and schedules as plain data.

const nonNegative = z.number().min(0);
const positive = z.number().positive();
const whole = z.number().int().positive();
const belowOne = z.number().min(0).lt(1);
const share = z.number().min(0).max(1);

const momentum = (value: number) => belowOne.default(value).describe("Momentum; 0 for none.");
const decay = (value: number) => nonNegative.default(value).describe("Weight decay λ.");
const beta = (value: number, of: string) => belowOne.default(value).describe(`Decay of ${of}.`);
const epsilon = positive.default(1e-8).describe("Added to the denominator.");

const sgd = z.strictObject({
  name: z.literal("sgd").default("sgd"),
  momentum: momentum(0.9),
  nesterov: z.boolean().default(false).describe("Look ahead along the momentum."),
  weightDecay: decay(1e-3),
});

const adamSettings = {
  beta1: beta(0.9, "the running mean"),
  beta2: beta(0.999, "the running mean of squares"),
  epsilon,
};
const adam = z.strictObject({ name: z.literal("adam"), ...adamSettings, weightDecay: decay(0) });
const adamw = z.strictObject({ name: z.literal("adamw"), ...adamSettings, weightDecay: decay(0.01) });
const lion = z.strictObject({
  name: z.literal("lion"),
  beta1: beta(0.9, "the direction's blend"),
  beta2: beta(0.99, "the kept momentum"),
  weightDecay: decay(0),
});
const rmsprop = z.strictObject({
  name: z.literal("rmsprop"),
  alpha: beta(0.99, "the running mean of squares"),
  momentum: momentum(0),
  epsilon,
  weightDecay: decay(0),
});

/** A base update's own settings. */
export const baseUpdates = z.discriminatedUnion("name", [sgd, adam, adamw, lion, rmsprop]);

/** A base update; SGD when no name is given. */
export const baseSettings = z
  .preprocess(
    (value) =>
      typeof value === "object" && value !== null && !("name" in value) ? { name: "sgd", ...value } : value,
    baseUpdates,
  )
  .prefault({ name: "sgd" });

const base = baseSettings.describe("What the direction goes to. Left out: SGD.");

const radius = z.union([
  nonNegative,
  z.strictObject({ name: z.literal("constant"), value: nonNegative }),
  z.strictObject({
    name: z.literal("proportional-to-learning-rate"),
    high: nonNegative,
    low: nonNegative.default(0),
  }),
]);
const rho = (value: number) => radius.default(value).describe("Radius of the ascent.");

/** Doing the whole method at some steps only; at most one of `every` and `reuse`. */
const cheaper = {
  every: whole.optional().describe("The whole method at every k-th step, the base update alone between."),
  reuse: whole
    .optional()
    .describe(
      "The whole method at every k-th step; between, the part of it orthogonal to the gradient again.",
    ),
  from: share.optional().describe("The base update alone for this share of training."),
};

const ownSettings = "Its settings.";

/** The base update alone goes by its own name. */
const plainMethods = [
  z.strictObject({ method: z.literal("sgd"), base: sgd.prefault({}).describe(ownSettings) }),
  z.strictObject({ method: z.literal("adam"), base: adam.prefault({ name: "adam" }).describe(ownSettings) }),
  z.strictObject({
    method: z.literal("adamw"),
    base: adamw.prefault({ name: "adamw" }).describe(ownSettings),
  }),
  z.strictObject({ method: z.literal("lion"), base: lion.prefault({ name: "lion" }).describe(ownSettings) }),
  z.strictObject({
    method: z.literal("rmsprop"),
    base: rmsprop.prefault({ name: "rmsprop" }).describe(ownSettings),
  }),
] as const;

const flatMethods = [
  z.strictObject({ method: z.literal("sam"), rho: rho(0.05), ...cheaper, base }),
  z.strictObject({ method: z.literal("asam"), rho: rho(0.5), ...cheaper, base }),
  z.strictObject({
    method: z.literal("gsam"),
    rho: rho(0.05),
    alpha: nonNegative.default(0.4).describe("Share of the part of g orthogonal to g⁺ that is taken off."),
    ...cheaper,
    base,
  }),
  z.strictObject({ method: z.literal("momentum-sam"), rho: rho(0.3), base }),
  z.strictObject({
    method: z.literal("bilateral-sam"),
    variant: z
      .enum(bilateralSamVariants)
      .default("paper")
      .describe(
        "`released`: what the authors' code does; `two-pass`: two gradients, the same to first order.",
      ),
    rhoMax: rho(0.05),
    rhoMin: radius
      .default({ name: "proportional-to-learning-rate", high: 0.05, low: 0 })
      .describe("Radius of the descent."),
    adaptive: z.boolean().default(false).describe("Measure the radii relative to each weight, as ASAM does."),
    ...cheaper,
    base,
  }),
] as const;

export const optimizerSettings = z.discriminatedUnion("method", [...plainMethods, ...flatMethods]);

export type OptimizerSettings = z.infer<typeof optimizerSettings>;
export type RadiusSettings = z.infer<typeof radius>;
export type BaseSettings = z.infer<typeof baseSettings>;

/** The names of all methods, and of the base updates among them. */
export const optimizerNames = [...plainMethods, ...flatMethods].map(({ shape }) => shape.method.value);
export const baseNames = plainMethods.map(({ shape }) => shape.method.value);

const simpleSchedule = z.discriminatedUnion("name", [
  z.strictObject({ name: z.literal("constant") }),
  z.strictObject({ name: z.literal("cosine") }),
  z.strictObject({
    name: z.literal("linear"),
    end: share.default(0).describe("Share of the peak at the end."),
  }),
  z.strictObject({
    name: z.literal("polynomial"),
    power: positive.default(2).describe("Exponent of the share of training that is left."),
  }),
  z.strictObject({
    name: z.literal("step"),
    epochs: whole.describe("Epochs between two steps down."),
    gamma: positive.default(0.1).describe("Factor of each step."),
  }),
]);

/** The schedules that `warm-up` can come before. */
export const scheduleNames = simpleSchedule.options.map(({ shape }) => shape.name.value);

export const scheduleSettings = z.discriminatedUnion("name", [
  ...simpleSchedule.options,
  z.strictObject({
    name: z.literal("warm-up"),
    epochs: positive.describe("How long it rises, in a straight line."),
    start: share.default(0.01).describe("Share of the peak it begins at."),
    after: simpleSchedule
      .default({ name: "cosine" })
      .describe("The schedule after that, any other of these."),
  }),
]);

export type ScheduleSettings = z.infer<typeof scheduleSettings>;
