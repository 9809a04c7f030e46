import * as z from "zod";
import { flags } from "../common/flags.ts";
import { adam, adamw, lion, rmsprop } from "../optim/adam.ts";
import { bilateralSam, bilateralSamVariants, scaleOverChoices } from "../optim/bilateral-sam.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { asam, gsam, momentumSam, sam } from "../optim/sam.ts";
import { constant, proportionalToLearningRate, type Schedule } from "../optim/schedules.ts";
import { sgd } from "../optim/sgd.ts";

// The part of a configuration that says how to train. Each base update and each method is one entry of a table: its
// settings in a document, and the optimizer they make. The schema, the lists of names, the meaning of command-line flags
// and docs/configuration.md come from these tables.

const nonNegative = z.number().min(0);
const positive = z.number().positive();
const whole = z.number().int().positive();
const belowOne = z.number().min(0).lt(1);
const share = z.number().min(0).max(1);

const momentum = (value: number) => belowOne.default(value).describe("Momentum; 0 for none.");
const decay = (value: number) => nonNegative.default(value).describe("Weight decay.");
const beta = (value: number, of: string) => belowOne.default(value).describe(`Decay of ${of}.`);
const epsilon = positive.default(1e-8).describe("Added to the denominator.");

const adamSettings = {
  beta1: beta(0.9, "the running mean"),
  beta2: beta(0.999, "the running mean of squares"),
  epsilon,
};

/** Base updates, alone or below a method. */
const bases = [
  baseUpdate("sgd", sgd, {
    momentum: momentum(0.9),
    nesterov: z.boolean().default(false).describe("Look ahead along the momentum (Nesterov)."),
    weightDecay: decay(1e-3),
  }),
  baseUpdate("adam", adam, { ...adamSettings, weightDecay: decay(0) }),
  baseUpdate("adamw", adamw, { ...adamSettings, weightDecay: decay(0.01) }),
  baseUpdate("lion", lion, {
    beta1: beta(0.9, "the direction's blend"),
    beta2: beta(0.99, "the kept momentum"),
    weightDecay: decay(0),
  }),
  baseUpdate("rmsprop", rmsprop, {
    alpha: beta(0.99, "the running mean of squares").register(flags, { name: "rmsprop-alpha" }),
    momentum: momentum(0),
    epsilon,
    weightDecay: decay(0),
  }),
] as const;

/** An entry for a function whose options are the settings. */
function baseUpdate<const Name extends string, Shape extends z.ZodRawShape>(
  name: Name,
  create: (options: z.infer<z.ZodObject<Shape>>) => Optimizer,
  shape: Shape,
) {
  return {
    name,
    settings: z.strictObject({ name: nameOf(name), ...shape }),
    create: ({ name: _, ...options }: { name: string }) => create(options as z.infer<z.ZodObject<Shape>>),
  };
}

/** A name that may be left out where only one is possible. */
function nameOf<const Name extends string>(name: Name) {
  return z.literal(name).default(name as z.util.NoUndefined<Name>);
}

/** A base update's own settings. */
export const baseUpdates = z.discriminatedUnion("name", settingsIn(bases));

/** A base update; SGD when no name is given. */
export const baseSettings = z
  .preprocess(
    (value) =>
      typeof value === "object" && value !== null && !("name" in value) ? { name: "sgd", ...value } : value,
    baseUpdates,
  )
  .prefault({ name: "sgd" });

const base = baseSettings
  .describe("The base update, which gets the direction. Left out: SGD.")
  .register(flags, { kept: true, prefix: "" });

const radius = z.union([
  nonNegative,
  z.strictObject({ name: z.literal("constant"), value: nonNegative }),
  z.strictObject({
    name: z.literal("proportional-to-learning-rate"),
    high: nonNegative,
    low: nonNegative.default(0),
  }),
]);
const family = ["radius", "radii"] as const;
const rho = (value: number) =>
  radius.default(value).describe("Radius of the ascent.").register(flags, { family });

/** Doing the whole method at some steps only; at most one of `every` and `reuse`. */
const cheaper = {
  every: whole.optional().describe("The whole method at every k-th step, the base update alone between."),
  reuse: whole
    .optional()
    .describe("The whole method at every k-th step; between, its part orthogonal to the gradient is reused."),
  from: share.optional().describe("The base update alone for this share of training."),
};

/** Methods over a base update. */
const methods = [
  method("sam", { rho: rho(0.05), ...cheaper }, (over, settings) =>
    sam(over, { rho: createRadius(settings.rho) }),
  ),
  method("asam", { rho: rho(0.5), ...cheaper }, (over, settings) =>
    asam(over, { rho: createRadius(settings.rho) }),
  ),
  method(
    "gsam",
    {
      rho: rho(0.05),
      alpha: nonNegative.default(0.4).describe("Share of the part of g orthogonal to g⁺ that is subtracted."),
      ...cheaper,
    },
    (over, settings) => gsam(over, { rho: createRadius(settings.rho), alpha: settings.alpha }),
  ),
  method("momentum-sam", { rho: rho(0.3) }, (over, settings) =>
    momentumSam(over, { rho: createRadius(settings.rho) }),
  ),
  method(
    "bilateral-sam",
    {
      variant: z
        .enum(bilateralSamVariants)
        .default("paper")
        .describe(
          "`released`: what the authors' code does; `two-pass`: two gradients, the same to first order.",
        ),
      rhoMax: rho(0.05),
      rhoMin: radius
        .default({ name: "proportional-to-learning-rate", high: 0.05, low: 0 })
        .describe("Radius of the descent.")
        .register(flags, {
          family,
          help: "radius of the descent at the peak learning rate, which it follows",
          setting: (high) => ({ name: "proportional-to-learning-rate", high }),
          shown: (setting) => (setting as { high?: number }).high,
        }),
      adaptive: z
        .boolean()
        .default(false)
        .describe("Measure the radii relative to each weight, as ASAM does."),
      scaleOver: z
        .enum(scaleOverChoices)
        .optional()
        .describe(
          "The parameters whose gradients enter ς: `all`, or those that are `perturbed`. Left out: all.",
        ),
      ...cheaper,
    },
    (over, { variant, adaptive, scaleOver, rhoMax, rhoMin }) =>
      bilateralSam(over, {
        variant,
        adaptive,
        scaleOver,
        rhoMax: createRadius(rhoMax),
        rhoMin: createRadius(rhoMin),
      }),
  ),
] as const;

function method<const Name extends string, Shape extends z.ZodRawShape>(
  name: Name,
  shape: Shape,
  create: (over: Optimizer, settings: z.infer<z.ZodObject<Shape>>) => Optimizer,
) {
  return {
    name,
    settings: z.strictObject({ method: z.literal(name), ...shape, base }),
    create: (over: Optimizer, settings: object) => create(over, settings as z.infer<z.ZodObject<Shape>>),
  };
}

/** A base update alone is a method of its own name. */
const plainMethods = bases.map(({ name, settings }) => ({
  name,
  settings: z.strictObject({
    method: z.literal(name),
    base: (settings as PlainBase).prefault({}).describe("Its settings.").register(flags, { prefix: "" }),
  }),
}));

/** The base updates' settings, as far as types are concerned one schema. */
type PlainBase = z.ZodType<BaseSettings, Partial<z.input<typeof baseUpdates>>>;

/** The schemas of a table's entries. */
function settingsIn<Entry extends { settings: unknown }>(entries: readonly Entry[]) {
  return entries.map(({ settings }) => settings) as [Entry["settings"], ...Entry["settings"][]];
}

export const optimizerSettings = z.discriminatedUnion("method", [
  ...settingsIn(plainMethods),
  ...settingsIn(methods),
]);

export type OptimizerSettings = z.infer<typeof optimizerSettings>;
export type RadiusSettings = z.infer<typeof radius>;
export type BaseSettings = z.infer<typeof baseUpdates>;

/** The names of the methods over a base update, and of all. */
export const methodNames = methods.map(({ name }) => name);
const baseNames = bases.map(({ name }) => name);
export const optimizerNames = [...baseNames, ...methodNames];

/** The optimizer of checked settings, those aside that make it cheaper. */
export function createMethod(settings: OptimizerSettings): Optimizer {
  const over = entryOf(bases, settings.base.name).create(settings.base);
  return isBase(settings.method) ? over : entryOf(methods, settings.method).create(over, settings);
}

/** A method at its defaults over a base update. */
export function methodOver(name: (typeof methodNames)[number], over: Optimizer): Optimizer {
  const { settings, create } = entryOf(methods, name);
  return create(over, settings.parse({ method: name }));
}

function isBase(name: string): name is (typeof baseNames)[number] {
  return (baseNames as readonly string[]).includes(name);
}

function entryOf<Entry extends { name: string }>(entries: readonly Entry[], name: Entry["name"]): Entry {
  const found = entries.find((entry) => entry.name === name);
  if (!found) throw new Error(`there is no entry "${name}"`);
  return found;
}

function createRadius(settings: RadiusSettings): Schedule {
  if (typeof settings === "number") return constant(settings);
  return settings.name === "constant"
    ? constant(settings.value)
    : proportionalToLearningRate(settings.high, settings.low);
}

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
