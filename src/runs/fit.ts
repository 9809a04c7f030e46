import { counted } from "../common/text.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { progressAt } from "../train/loop.ts";
import { lastLeftOut } from "./averaging.ts";
import type { RunConfiguration } from "./configuration.ts";
import type { ScheduleSettings } from "./optimizer-settings.ts";
import { createSchedule } from "./optimizers.ts";

// Settings that a run is too short for. It still trains as they say, but hardly as they were meant.

/** A sentence for each setting that does nothing, or not what it is for, in a run of this length. */
export function misfits(
  configuration: RunConfiguration,
  optimizer: Optimizer,
  stepsPerEpoch: number,
): string[] {
  const { epochs, evaluateEvery, averaging, schedule } = configuration;
  const found = [scheduleMisfit(schedule, epochs), optimizerMisfit(configuration, optimizer, stepsPerEpoch)];
  if (evaluateEvery > epochs) {
    found.push(
      `evaluateEvery is ${evaluateEvery}, but the run has ${counted(epochs, "epoch")}: it is evaluated after the last one only`,
    );
  }
  if (averaging?.name === "stochastic" && lastLeftOut(averaging, epochs) === epochs - 1) {
    found.push(
      `averaging starts after ${averaging.startingAt} of ${counted(epochs, "epoch")}: the average holds the weights of the last epoch only; start earlier (--swa) or train for more epochs`,
    );
  }
  return found.filter((sentence) => sentence !== undefined);
}

/** `epochs`: how many the schedule has. */
function scheduleMisfit(schedule: ScheduleSettings, epochs: number): string | undefined {
  switch (schedule.name) {
    case "warm-up": {
      if (schedule.epochs < epochs) return scheduleMisfit(schedule.after, epochs - schedule.epochs);
      const start = schedule.start + (1 - schedule.start) * (epochs / schedule.epochs);
      return `the warm-up takes ${counted(schedule.epochs, "epoch")} and the run has ${epochs}: the learning rate rises to ${percent(start)} of its peak and never falls; shorten the warm-up (--warm-up) or train for more epochs`;
    }
    case "step":
      if (schedule.epochs < epochs) return undefined;
      return `the step schedule lowers the learning rate after ${counted(schedule.epochs, "epoch")}, but has only ${epochs}: the learning rate never falls; lower it earlier or train for more epochs`;
    case "constant":
    case "cosine":
    case "linear":
    case "polynomial":
      return undefined;
    default:
      return schedule satisfies never;
  }
}

/** For a method of which only some steps are whole: none, or just the first of many. */
function optimizerMisfit(
  configuration: RunConfiguration,
  optimizer: Optimizer,
  stepsPerEpoch: number,
): string | undefined {
  const [whole, ...others] = Object.keys(optimizer.steps);
  if (others.length === 0) return undefined;
  const run = { ...configuration, stepsPerEpoch, schedule: createSchedule(configuration.schedule) };
  const totalSteps = configuration.epochs * stepsPerEpoch;
  let wholeSteps = 0;
  for (let step = 0; step < totalSteps && wholeSteps < 2; step++) {
    if (optimizer.stepAt(progressAt(run, step)) === whole) wholeSteps++;
  }
  if (wholeSteps > 1 || totalSteps === 1) return undefined;
  const { method, every, reuse, from } = optimizer.config;
  const settings = Object.entries({ every, reuse, from }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} ${value}`],
  );
  return `${method} with ${settings.join(" and ")} computes ${wholeSteps === 0 ? "none" : "only one"} of the run's ${totalSteps} steps in full; lower ${settings.length > 1 ? "them" : "it"} or train for more epochs`;
}

function percent(share: number): string {
  return `${Number((100 * share).toPrecision(3))} %`;
}
