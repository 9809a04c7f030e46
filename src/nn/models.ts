import { UserError } from "../common/errors.ts";
import { readNamedOptions } from "../common/named-options.ts";
import { deeplab, fcn } from "./models/dilated.ts";
import { efficientnetB0, mobilenetV2 } from "./models/mobile.ts";
import { pyramidnet } from "./models/pyramidnet.ts";
import { imagenetResnet, type ResnetDepth, resnet, resnet20 } from "./models/resnet.ts";
import type { ModelShape } from "./models/shape.ts";
import { simpleBaseline, smallSimpleBaseline } from "./models/simple-baseline.ts";
import { cnn, lenet5, mlp } from "./models/small.ts";
import { unet } from "./models/unet.ts";
import { smallVgg16Bn, vgg16Bn } from "./models/vgg.ts";
import { wideResnet } from "./models/wide-resnet.ts";
import type { Layer } from "./module.ts";

// The networks by name. A name may carry options: `wide-resnet-28-10:units=5`.

/** A number that a network can be built with. */
interface ModelOption {
  default: number;
  min: number;
  /** Not reached itself. */
  below?: number;
  whole?: boolean;
}

/** What a network gives: a number for each class, or a map for each, [N, classes, H′, W′]. */
export type ModelOutput = "classes" | "maps";

interface ModelEntry<Options extends string = string> {
  output: ModelOutput;
  options: Record<Options, ModelOption>;
  build: (shape: ModelShape, options: Record<Options, number>) => Layer;
}

/** An entry of the table, whose options are checked against those its network takes. */
function model<Options extends string>(
  options: Record<Options, ModelOption>,
  build: ModelEntry<Options>["build"],
): ModelEntry {
  return { output: "classes", options, build };
}

const plain = (build: (shape: ModelShape) => Layer) => model({}, build);
const maps = (entry: ModelEntry): ModelEntry => ({ ...entry, output: "maps" });
const dropout = (probability: number): ModelOption => ({ default: probability, min: 0, below: 1 });
const whole = (number: number): ModelOption => ({ default: number, min: 1, whole: true });
const factor: ModelOption = { default: 1, min: 0.05 };
const fcnOf = (depth: ResnetDepth) =>
  maps(model({ stride: whole(8), dropout: dropout(0.1) }, (shape, options) => fcn(shape, depth, options)));
const deeplabOf = (depth: ResnetDepth) =>
  maps(
    model({ stride: whole(8), rate: whole(12), dropout: dropout(0.5) }, (shape, options) =>
      deeplab(shape, depth, options),
    ),
  );

export type { ModelShape } from "./models/shape.ts";

const models = {
  mlp: plain(mlp),
  lenet5: plain(lenet5),
  cnn: plain(cnn),
  resnet20: plain(resnet20),
  resnet18: plain((shape) => resnet(shape, 18)),
  resnet34: plain((shape) => resnet(shape, 34)),
  resnet50: plain((shape) => resnet(shape, 50)),
  "wide-resnet-28-10": model({ units: whole(4), width: whole(10), dropout: dropout(0) }, wideResnet),
  "pyramidnet-110": model({ alpha: { default: 270, min: 0 }, units: whole(18) }, pyramidnet),
  "vgg16-bn": model({ width: factor, dropout: dropout(0.5) }, vgg16Bn),
  "vgg16-bn-small": model({ width: factor }, smallVgg16Bn),
  "mobilenet-v2": model({ width: factor, dropout: dropout(0.2) }, mobilenetV2),
  "efficientnet-b0": model(
    { width: factor, depth: factor, dropout: dropout(0.2), stochasticDepth: dropout(0.2) },
    efficientnetB0,
  ),
  unet: maps(model({ width: whole(12), depth: whole(3), growth: whole(4), stem: whole(1) }, unet)),
  "resnet18-imagenet": plain((shape) => imagenetResnet(shape, 18)),
  "resnet34-imagenet": plain((shape) => imagenetResnet(shape, 34)),
  "resnet50-imagenet": plain((shape) => imagenetResnet(shape, 50)),
  "fcn-resnet18": fcnOf(18),
  "fcn-resnet34": fcnOf(34),
  "fcn-resnet50": fcnOf(50),
  "deeplabv3-resnet18": deeplabOf(18),
  "deeplabv3-resnet34": deeplabOf(34),
  "deeplabv3-resnet50": deeplabOf(50),
  "simple-baseline-18": maps(plain((shape) => simpleBaseline(shape, 18))),
  "simple-baseline-50": maps(plain((shape) => simpleBaseline(shape, 50))),
  "simple-baseline-small": maps(model({ width: factor, units: whole(1) }, smallSimpleBaseline)),
} satisfies Record<string, ModelEntry>;

export type ModelName = keyof typeof models;

export const modelNames = Object.keys(models) as ModelName[];

/**
 * A network by name, with options after a colon: `createModel("pyramidnet-110:alpha=48,units=9", shape)`.
 * Throws `UserError` listing the choices for a name or option that is not there.
 */
export function createModel(text: string, shape: ModelShape): Layer {
  const { entry, given } = readText(text);
  const defaults = Object.entries(entry.options).map(([option, info]) => [option, info.default]);
  return entry.build(shape, { ...Object.fromEntries(defaults), ...given });
}

/** What a network gives. Throws `UserError` as `createModel` does. */
export function modelOutput(text: string): ModelOutput {
  return readText(text).entry.output;
}

/** The networks that give the same. */
export function modelNamesWith(output: ModelOutput): ModelName[] {
  return modelNames.filter((name) => models[name].output === output);
}

/**
 * A network's name and options in their one spelling: the name, and after a colon the options that are not at their
 * defaults.
 * Throws `UserError` as `createModel` does.
 */
export function modelText(text: string): string {
  const { name, entry, given } = readText(text);
  const options = Object.keys(entry.options)
    .filter((option) => given[option] !== undefined && given[option] !== entry.options[option].default)
    .map((option) => `${option}=${given[option]}`);
  return options.length > 0 ? `${name}:${options.join(",")}` : name;
}

/** The networks that have options, each with all of them at their defaults. */
export function modelsWithOptions(): string[] {
  return modelNames.flatMap((name) => {
    const options = Object.entries<ModelOption>(models[name].options);
    if (options.length === 0) return [];
    return [`${name}:${options.map(([option, info]) => `${option}=${info.default}`).join(",")}`];
  });
}

function readText(text: string) {
  const { name, options } = readNamedOptions(text);
  if (!(modelNames as string[]).includes(name)) {
    throw new UserError(`there is no model "${name}"; choose one of ${modelNames.join(", ")}`);
  }
  const entry: ModelEntry = models[name as ModelName];
  const numbers = Object.entries(options).map(([option, value]) => [
    option,
    readOption(name, entry, option, value),
  ]);
  return { name, entry, given: Object.fromEntries(numbers) as Record<string, number> };
}

function readOption(name: string, { options }: ModelEntry, option: string, value: string): number {
  const known = Object.keys(options);
  if (!Object.hasOwn(options, option)) {
    const choices = known.length > 0 ? `it has ${known.join(", ")}` : "it has none";
    throw new UserError(`${name} has no option "${option}"; ${choices}`);
  }
  const { min, below = Number.POSITIVE_INFINITY, whole: integer = false } = options[option];
  const number = value.trim() === "" ? Number.NaN : Number(value);
  if (number >= min && number < below && (!integer || Number.isInteger(number))) return number;
  const upper = Number.isFinite(below) ? ` and less than ${below}` : "";
  throw new UserError(
    `${name}: ${option} is ${value}; it has to be ${integer ? "a whole number, " : ""}at least ${min}${upper}`,
  );
}
