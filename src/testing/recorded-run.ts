import { type TrainOptions, train } from "../runs/train.ts";
import type { StepRecord } from "../train/records.ts";

/** Trains, and returns the record of every step and all notes beside the result. */
export async function recordedRun(options: TrainOptions) {
  const [steps, notes]: [StepRecord[], string[]] = [[], []];
  const result = await train({
    ...options,
    onStep: (record) => steps.push(record),
    onNote: (note) => notes.push(note),
  });
  return { ...result, steps, notes };
}
