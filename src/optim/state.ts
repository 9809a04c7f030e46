import { readOptions } from "../common/options.ts";
import { elementCount } from "../graph/graph.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import type { Optimizer } from "./optimizer.ts";
import type { Objective } from "./passes.ts";
import {
  averageName,
  averageShareName,
  type TrainingStepOptions,
  trainingStepOptions,
} from "./training-step.ts";

/**
 * What a training step keeps from one step to the next beside parameters and buffers, as it is before the first:
 * zeros, and running averages equal to the parameters they follow (`start`). The options are those of the step.
 */
export function initialState(
  objective: Objective,
  optimizer: Optimizer,
  start: Tensors,
  options: TrainingStepOptions = {},
): Tensors {
  const { settings, averageDecay } = readOptions("initialState", options, trainingStepOptions);
  const state: Tensors = {};
  const zeros = (name: string, shape: readonly number[], type: "float32" | "float64") => {
    state[name] = tensorData(new Float64Array(elementCount(shape)), shape, type);
  };
  const [{ type }] = objective.parameters.values();
  for (const name of optimizer.base.sharedState) zeros(`optimizer.${name}`, [], type as "float32");
  if (averageDecay !== undefined) zeros(averageShareName, [], type as "float32");
  for (const [parameter, { shape }] of objective.parameters) {
    if (settings?.get(parameter)?.frozen) continue;
    for (const name of [...optimizer.base.state, ...optimizer.state]) {
      zeros(`${parameter}.${name}`, shape, type as "float32");
    }
    if (averageDecay !== undefined) state[`${parameter}.${averageName}`] = start[parameter];
  }
  return state;
}
