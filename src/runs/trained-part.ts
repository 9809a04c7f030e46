import { UserError } from "../common/errors.ts";
import { elementCount } from "../graph/graph.ts";
import type { Model } from "../nn/module.ts";
import { type Stage, stagesOf } from "../nn/stages.ts";
import { type ParameterSettings, resolveGroups } from "../optim/parameter-groups.ts";
import type { RunConfiguration } from "./configuration.ts";

/** Which part of a network trains, and how. */
export interface TrainedPart {
  /** Full names of the parameters, running statistics and random inputs that are as in inference. */
  frozen: ReadonlySet<string>;
  /** Of every parameter, by its name. */
  settings: ReadonlyMap<string, ParameterSettings>;
  /** What a person should know of it: stages that train, rates that differ. */
  notes: readonly string[];
  /** The last stage; absent in a network without parameters. */
  head: Stage | undefined;
}

/** Digits of a rate factor in a note. */
const digits = 4;

/**
 * What the settings say of the parameters of a network.
 *
 * A BatchNorm whose scale and shift are frozen normalizes by its running statistics and keeps them.
 * @param model built in training mode, nothing frozen
 * @throws UserError where there are fewer stages, or a group fits no parameter
 */
export function trainedPart(
  model: Model,
  { train = "all", layerDecay = 1, batchNormalization, groups, perturb }: RunConfiguration["parameters"],
): TrainedPart {
  const stages = stagesOf(model);
  const count = trainedStages(train, stages);
  const [resting, training] = [stages.slice(0, stages.length - count), stages.slice(stages.length - count)];
  const rates = new Map(
    training
      .toReversed()
      .flatMap(({ parameters }, depth) => parameters.map((name) => [name, layerDecay ** depth] as const)),
  );
  const frozen = new Set(
    resting.flatMap(({ parameters, buffers, randomInputs }) => [...parameters, ...buffers, ...randomInputs]),
  );
  const settings = resolveGroups(model.parameters, groups, perturb, rates);
  for (const [name, own] of settings) {
    if (own.frozen) frozen.add(name);
    else if (frozen.has(name)) settings.set(name, { ...own, frozen: true });
  }
  for (const { name } of model.buffers) {
    const scaleAndShift = normParametersBeside(name, model);
    const rests = scaleAndShift.length > 0 && scaleAndShift.every((parameter) => frozen.has(parameter));
    if (rests || batchNormalization === "frozen") frozen.add(name);
  }
  if (model.parameters.every(({ name }) => frozen.has(name))) {
    throw new UserError("all parameters are frozen, so there is nothing to train; freeze fewer of them");
  }
  const notes = train === "all" ? [] : [stagesNote(training, resting, model)];
  if (layerDecay !== 1) notes.push(ratesNote(training, settings));
  return { frozen, settings, notes, head: stages.at(-1) };
}

function trainedStages(train: string, stages: readonly Stage[]): number {
  if (train === "all") return stages.length;
  const count = train === "head" ? 1 : Number(train.slice("last:".length));
  if (count <= stages.length) return count;
  throw new UserError(
    `train is ${train}, but the network has ${stages.length} stages: ${namesOf(stages)}; choose at most last:${stages.length}`,
  );
}

/** The scale and shift of the layer that a running statistic belongs to. */
function normParametersBeside(buffer: string, { parameters }: Model): string[] {
  const path = buffer.slice(0, buffer.lastIndexOf(".") + 1);
  return parameters.flatMap(({ name, kind }) =>
    kind.startsWith("norm") && name.slice(0, name.lastIndexOf(".") + 1) === path ? [name] : [],
  );
}

function stagesNote(training: readonly Stage[], resting: readonly Stage[], { parameters }: Model): string {
  const sizes = new Map(parameters.map(({ name, shape }) => [name, elementCount(shape)]));
  const size = (stages: readonly Stage[]) =>
    stages
      .flatMap((stage) => stage.parameters)
      .reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0)
      .toLocaleString("en");
  const rest = resting.length === 0 ? "nothing" : `${namesOf(resting)} (${size(resting)} elements)`;
  return `trains: ${namesOf(training)} (${size(training)} elements); frozen: ${rest}`;
}

function ratesNote(training: readonly Stage[], settings: TrainedPart["settings"]): string {
  const rates = training.toReversed().map(({ name, parameters }) => {
    const own = [...new Set(parameters.flatMap((parameter) => settings.get(parameter)?.learningRate ?? []))];
    return `${name} ×${own.map((rate) => Number(rate.toPrecision(digits))).join("/")}`;
  });
  return `learning rate by stage: ${rates.join(", ")}`;
}

function namesOf(stages: readonly Stage[]): string {
  return stages.map(({ name }) => name).join(", ");
}
