/** One sentence on what was trained, from whatever the configuration says. */
import { basename } from "node:path";
import type { Augmentation } from "../data/augmentation.ts";
import { fixed, isNumber, significant } from "./numbers.ts";
import { examplesOf, type Run } from "./read.ts";
import { settingsOf } from "./settings.ts";

/** Settings that are the point of a comparison or of no interest to its reader. */
const expectedToDiffer = /^(optimizer|device|threads)\b/;

/** Plain text; several sentences when the runs differ in more than their optimizer. */
export function describe(runs: Run[]): string {
  const recorded = runs.filter((run) => run.record?.configuration);
  if (recorded.length === 0) return "Nothing is recorded about what was trained.";
  const shared = sharedConfiguration(recorded);
  const noise = shared.labelNoise;
  const parameters = new Set(runs.map((run) => run.outcome?.parameters).filter(isNumber));

  const model = nameOf(shared.model) ?? "A network";
  const size = parameters.size === 1 ? ` (${fixed([...parameters][0], 0)} parameters)` : "";
  const count = isNumber(shared.limit) ? fixed(shared.limit, 0) : "the";
  const trained = `${count} training ${examplesOf(runs)}`;
  const data = nameOf(shared.data) ? ` of ${nameOf(shared.data)}` : "";
  const settings = [
    isNumber(shared.epochs) && `${fixed(shared.epochs, 0)} epochs`,
    isNumber(shared.batchSize) && `batches of ${fixed(shared.batchSize, 0)}`,
    isNumber(shared.learningRate) && `learning rate ${significant(shared.learningRate)}${scheduleOf(shared)}`,
    isNumber(shared.labelSmoothing) &&
      shared.labelSmoothing > 0 &&
      `label smoothing ${significant(shared.labelSmoothing)}`,
    classWeightsOf(shared.classWeights),
    shared.sampler === "balanced" && "every class sampled equally often",
    augmentationOf(shared.augmentation),
    isNumber(shared.seed) && `seed ${shared.seed}`,
  ].filter((part) => typeof part === "string");

  const noisy =
    isNumber(noise) && noise > 0 ? `, ${significant(noise * 100)} % of them with a wrong label` : "";
  const times = runs.length > 1 ? `, once with each of ${runs.length} optimizers` : `, by ${runs[0]!.label}`;
  const how = settings.length > 0 ? `: ${settings.join(", ")}` : "";
  return [
    `${model}${size} was trained on ${trained}${data}${noisy}${times}${how}.`,
    differences(recorded),
    absent(runs),
  ]
    .filter(Boolean)
    .join(" ");
}

function sharedConfiguration(runs: Run[]): Record<string, unknown> {
  const first = runs[0]!.record!.configuration;
  return Object.fromEntries(
    Object.entries(first).filter(([key, value]) =>
      runs.every((run) => JSON.stringify(run.record!.configuration[key]) === JSON.stringify(value)),
    ),
  );
}

function differences(runs: Run[]): string {
  const keys = settingsOf(runs)
    .filter((setting) => !setting.shared && !expectedToDiffer.test(setting.key))
    .map((setting) => setting.key);
  return keys.length > 0 ? `The runs differ in more than their optimizer: ${keys.join(", ")}.` : "";
}

function absent(runs: Run[]): string {
  const names = runs.filter((run) => run.status === "not started").map((run) => run.label);
  return names.length > 0 ? `Not started yet: ${names.join(", ")}.` : "";
}

function scheduleOf({ schedule }: Record<string, unknown>): string {
  const name = nameOf(schedule);
  return name ? ` (${name} schedule)` : "";
}

/** How classes are weighted in the loss, where they are. */
function classWeightsOf(weights: unknown): string | undefined {
  if (weights === "balanced") return "classes weighted equally";
  if (typeof weights !== "object" || weights === null) return undefined;
  const named = Object.entries(weights).map(([name, weight]) => `${name} ${weight}`);
  return `class weights ${named.slice(0, 5).join(", ")}${named.length > 5 ? ", …" : ""}`;
}

/** What is done to training images at random, e.g. "augmented by flips, crops padded by 2 and cutout of 8×8". */
function augmentationOf(augmentation: unknown): string | undefined {
  if (typeof augmentation !== "object" || augmentation === null) return undefined;
  const { crop, flip, cutout } = augmentation as Augmentation;
  const parts = [
    flip && "flips",
    crop && `crops padded by ${crop}`,
    cutout && `cutout of ${cutout.size}×${cutout.size} in ${significant(100 * cutout.probability)} %`,
  ].filter((part) => typeof part === "string");
  if (parts.length === 0) return undefined;
  const last = parts.pop();
  return `images augmented by ${parts.length > 0 ? `${parts.join(", ")} and ${last}` : last}`;
}

function nameOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return undefined;
  const { name, kind, type, file } = value as Record<string, unknown>;
  if (typeof file === "string") return basename(file);
  return [name, kind, type].find((candidate) => typeof candidate === "string");
}
