import { UserError } from "../common/errors.ts";
import { rangeOf } from "../data/rows.ts";
import { sharpnessGraph, sharpnessRecord } from "../flatness/sharpness.ts";
import { compile } from "../lower/compile.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { scalarData } from "../onnx/tensor-data.ts";
import type { Engine } from "../runtime/engine.ts";
import type { OpenedTask } from "../tasks/task.ts";
import { additiveLoss, evaluationBatchSize, type Network, taskObjective } from "../tasks/task-network.ts";
import type { SharpnessRecord } from "../train/records.ts";

/** Batches of its own that the sharpness of a network is measured on, at most: each is a part of the graph. */
const mostOwnBatches = 32;

/**
 * The one-step sharpness of the training loss (no augmentation, BatchNorm in inference mode) on the first samples of the
 * training data (a whole number of evaluation batches), for a network whose parameters are stored in an engine.
 */
export class SharpnessMeasurement {
  private readonly engine: Engine;
  private readonly inputs: Tensors;
  private readonly setting: { rho: number; images: number };

  private constructor(engine: Engine, inputs: Tensors, setting: { rho: number; images: number }) {
    this.engine = engine;
    this.inputs = inputs;
    this.setting = setting;
  }

  static async prepare(
    engine: Engine,
    network: Network,
    { task, train }: Pick<OpenedTask, "task" | "train">,
    { rho, images }: { rho: number; images: number },
  ): Promise<SharpnessMeasurement> {
    const most = Math.min(images, train.count);
    const batchSize = evaluationBatchSize(network, most);
    const available = Math.floor(most / batchSize);
    if (available === 0) {
      throw new UserError(
        `the model takes ${batchSize} examples at a time, and its sharpness is measured on ${most}; measure it on ${batchSize} or more`,
      );
    }
    const parts = network.ownBatch === undefined ? available : Math.min(available, mostOwnBatches);
    const { objective } = taskObjective(network, task, { batchSize, training: false, purpose: "training" });
    const loss = additiveLoss(objective, batchSize);
    const graph = sharpnessGraph({ ...objective, loss, weight: undefined }, { parts });
    await engine.load("sharpness", compile(graph, { target: await engine.target() }));
    const measured = parts * batchSize;
    const { inputs } = await rangeOf(train, task.row, { start: 0, count: measured });
    return new SharpnessMeasurement(engine, inputs, { rho, images: measured });
  }

  async measure(): Promise<SharpnessRecord> {
    const { rho } = this.setting;
    // Inputs are handed over.
    const inputs = Object.fromEntries(
      Object.entries(this.inputs).map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]),
    ) as Tensors;
    const { outputs } = await this.engine.run("sharpness", { ...inputs, rho: scalarData(rho, "float32") });
    return sharpnessRecord(outputs, this.setting);
  }
}
