import { z } from "zod";
import { bilateralSamVariants } from "../optim/bilateral-sam.ts";

// The part of a configuration that says how to train: optimizers and schedules as plain data.

const nonNegative = z.number().min(0);
const positive = z.number().positive();
const whole = z.number().int().positive();
const belowOne = z.number().min(0).lt(1);
const share = z.number().min(0).max(1);

const sgd = z.strictObject({
  name: z.literal("sgd").default("sgd"),
  momentum: belowOne.default(0.9),
  nesterov: z.boolean().default(false),
  weightDecay: nonNegative.default(1e-3),
});

const adamSettings = {
  beta1: belowOne.default(0.9),
  beta2: belowOne.default(0.999),
  epsilon: positive.default(1e-8),
};
const adam = z.strictObject({
  name: z.literal("adam"),
  ...adamSettings,
  weightDecay: nonNegative.default(0),
});
const adamw = z.strictObject({
  name: z.literal("adamw"),
  ...adamSettings,
  weightDecay: nonNegative.default(0.01),
});
const lion = z.strictObject({
  name: z.literal("lion"),
  beta1: belowOne.default(0.9),
  beta2: belowOne.default(0.99),
  weightDecay: nonNegative.default(0),
});
const rmsprop = z.strictObject({
  name: z.literal("rmsprop"),
  alpha: belowOne.default(0.99),
  momentum: belowOne.default(0),
  epsilon: positive.default(1e-8),
  weightDecay: nonNegative.default(0),
});

/** A base update; SGD when no name is given. */
const base = z
  .preprocess(
    (value) =>
      typeof value === "object" && value !== null && !("name" in value) ? { name: "sgd", ...value } : value,
    z.discriminatedUnion("name", [sgd, adam, adamw, lion, rmsprop]),
  )
  .prefault({ name: "sgd" });

export { base as baseSettings };

const radius = z.union([
  nonNegative,
  z.strictObject({ name: z.literal("constant"), value: nonNegative }),
  z.strictObject({
    name: z.literal("proportional-to-learning-rate"),
    high: nonNegative,
    low: nonNegative.default(0),
  }),
]);

/** Doing the whole method at some steps only; at most one of `every` and `reuse`. */
const cheaper = {
  every: whole.optional(),
  reuse: whole.optional(),
  from: share.optional(),
};

/** The base update alone goes by its own name. */
const plainMethods = [
  z.strictObject({ method: z.literal("sgd"), base: sgd.prefault({}) }),
  z.strictObject({ method: z.literal("adam"), base: adam.prefault({ name: "adam" }) }),
  z.strictObject({ method: z.literal("adamw"), base: adamw.prefault({ name: "adamw" }) }),
  z.strictObject({ method: z.literal("lion"), base: lion.prefault({ name: "lion" }) }),
  z.strictObject({ method: z.literal("rmsprop"), base: rmsprop.prefault({ name: "rmsprop" }) }),
] as const;

const flatMethods = [
  z.strictObject({ method: z.literal("sam"), rho: radius.default(0.05), ...cheaper, base }),
  z.strictObject({ method: z.literal("asam"), rho: radius.default(0.5), ...cheaper, base }),
  z.strictObject({
    method: z.literal("gsam"),
    rho: radius.default(0.05),
    alpha: nonNegative.default(0.4),
    ...cheaper,
    base,
  }),
  z.strictObject({ method: z.literal("momentum-sam"), rho: radius.default(0.3), base }),
  z.strictObject({
    method: z.literal("bilateral-sam"),
    variant: z.enum(bilateralSamVariants).default("paper"),
    rhoMax: radius.default(0.05),
    rhoMin: radius.default({ name: "proportional-to-learning-rate", high: 0.05, low: 0 }),
    adaptive: z.boolean().default(false),
    ...cheaper,
    base,
  }),
] as const;

export const optimizerSettings = z.discriminatedUnion("method", [...plainMethods, ...flatMethods]);

export type OptimizerSettings = z.infer<typeof optimizerSettings>;
export type RadiusSettings = z.infer<typeof radius>;
export type BaseSettings = z.infer<typeof base>;

/** The names of all methods, and of the base updates among them. */
export const optimizerNames = [...plainMethods, ...flatMethods].map(({ shape }) => shape.method.value);
export const baseNames = plainMethods.map(({ shape }) => shape.method.value);

const simpleSchedule = z.discriminatedUnion("name", [
  z.strictObject({ name: z.literal("constant") }),
  z.strictObject({ name: z.literal("cosine") }),
  z.strictObject({ name: z.literal("linear"), end: share.default(0) }),
  z.strictObject({ name: z.literal("polynomial"), power: positive.default(2) }),
  z.strictObject({ name: z.literal("step"), epochs: whole, gamma: positive.default(0.1) }),
]);

/** The schedules that `warm-up` can come before. */
export const scheduleNames = simpleSchedule.options.map(({ shape }) => shape.name.value);

export const scheduleSettings = z.discriminatedUnion("name", [
  ...simpleSchedule.options,
  z.strictObject({
    name: z.literal("warm-up"),
    epochs: positive,
    start: share.default(0.01),
    after: simpleSchedule.default({ name: "cosine" }),
  }),
]);

export type ScheduleSettings = z.infer<typeof scheduleSettings>;
