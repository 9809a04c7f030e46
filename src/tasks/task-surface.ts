import { UserError } from "../common/errors.ts";
import { rangeOf } from "../data/rows.ts";
import type { DataSource } from "../data/source.ts";
import type { LossSurface } from "../flatness/surface.ts";
import type { Tensors } from "../onnx/tensor.ts";
import type { LossPurpose, Task } from "./task.ts";
import { additiveLoss, type Network, taskObjective } from "./task-network.ts";

export interface TaskSurfaceOptions {
  /** How many examples, from the front of the data; all when left out. */
  examples?: number;
  /** Examples in one batch; the last one may hold fewer. Default 128: convolutions take whole blocks of 8 or 16 faster. */
  batchSize?: number;
  /**
   * What BatchNorm normalizes by: its running statistics (`"evaluation"`, the default), or those of each batch, in
   * which case the loss and its curvature are of batches of `batchSize` and depend on it.
   */
  batchNorm?: "evaluation" | "batch";
  /** Which loss. Default `"training"`. */
  purpose?: LossPurpose;
}

/**
 * A network's mean loss over samples, with the task's metrics, as something flatness is measured of. Samples are read
 * batch by batch, whenever a batch is needed.
 * @throws UserError when `examples` is no whole number from 1 to what the data have, or fewer than a network's own batch
 */
export function taskSurface(
  network: Network,
  tensors: Tensors,
  { task, source }: { task: Task; source: DataSource },
  {
    examples: asked,
    batchSize: wanted = 128,
    batchNorm = "evaluation",
    purpose = "training",
  }: TaskSurfaceOptions = {},
): LossSurface {
  const { ownBatch } = network;
  const available = checkedCount(source, asked);
  const batchSize = ownBatch ?? Math.min(wanted, available);
  const total = ownBatch === undefined ? available : available - (available % ownBatch);
  if (total === 0) {
    throw new UserError(
      `the model takes ${batchSize} examples at a time, but the subset has ${available}; choose a subset of at least ${batchSize}`,
    );
  }
  return {
    tensors,
    batches: Array.from({ length: Math.ceil(total / batchSize) }, (_, index) => {
      const start = index * batchSize;
      const size = Math.min(batchSize, total - start);
      return { size, feeds: async () => (await rangeOf(source, task.row, { start, count: size })).inputs };
    }),
    build: (size) => {
      const training = batchNorm === "batch";
      const { objective } = taskObjective(network, task, { batchSize: size, training, purpose });
      return { ...objective, loss: additiveLoss(objective, size) };
    },
    description: { data: source.name, batchSize, batchNorm },
  };
}

function checkedCount({ name, count }: DataSource, asked = count): number {
  if (Number.isInteger(asked) && asked >= 1 && asked <= count) return asked;
  throw new UserError(
    `a subset of ${asked} examples was requested, but ${name} has ${count}; choose from 1 to ${count}`,
  );
}
