import { UserError } from "../common/errors.ts";
import { rangeOf } from "../data/rows.ts";
import { gradientPrefix, sharpnessRecord, sharpnessStages } from "../flatness/sharpness.ts";
import { compile } from "../lower/compile.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { scalarData, tensorData } from "../onnx/tensor-data.ts";
import type { Engine } from "../runtime/engine.ts";
import type { OpenedTask } from "../tasks/task.ts";
import { additiveLoss, evaluationBatchSize, type Network, taskObjective } from "../tasks/task-network.ts";
import type { SharpnessRecord } from "../train/records.ts";

const programs = { gradient: "sharpness gradient", losses: "sharpness losses" } as const;

/**
 * The one-step sharpness of the training loss (no augmentation, BatchNorm in inference mode) on the first samples of the
 * training data (a whole number of evaluation batches), for a network whose parameters are stored in an engine.
 */
export class SharpnessMeasurement {
  private readonly engine: Engine;
  /** Of each batch. */
  private readonly batches: readonly Tensors[];
  private readonly setting: { rho: number; images: number };

  private constructor(engine: Engine, batches: readonly Tensors[], setting: { rho: number; images: number }) {
    this.engine = engine;
    this.batches = batches;
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
    const count = Math.floor(most / batchSize);
    if (count === 0) {
      throw new UserError(
        `the model takes ${batchSize} examples at a time, and its sharpness is measured on ${most}; measure it on ${batchSize} or more`,
      );
    }
    const built = { batchSize, training: false, purpose: "training" } as const;
    const { objective, model } = taskObjective(network, task, built);
    const loss = additiveLoss(objective, batchSize);
    // Steps of quantizers stay as they are.
    const steps = new Set(model.parameters.flatMap(({ name, kind }) => (kind === "step" ? [name] : [])));
    const parameters = new Map(Array.from(objective.parameters).filter(([name]) => !steps.has(name)));
    const stages = sharpnessStages({ ...objective, parameters, loss, weight: undefined });
    const target = await engine.target();
    await engine.load(programs.gradient, compile(stages.gradient, { target }));
    await engine.load(programs.losses, compile(stages.losses, { target }));
    const batches: Tensors[] = [];
    for (let batch = 0; batch < count; batch++) {
      const { inputs } = await rangeOf(train, task.row, { start: batch * batchSize, count: batchSize });
      batches.push(inputs);
    }
    return new SharpnessMeasurement(engine, batches, { rho, images: count * batchSize });
  }

  async measure(): Promise<SharpnessRecord> {
    const first = await this.mean(programs.gradient, {});
    const gradients = Object.entries(first).filter(([name]) => name.startsWith(gradientPrefix));
    const rho = scalarData(this.setting.rho, "float32");
    const losses = await this.mean(programs.losses, { ...Object.fromEntries(gradients), rho });
    return sharpnessRecord({ ...first, ...losses }, this.setting);
  }

  /** The mean of what a program gives over the batches. */
  private async mean(program: string, others: Tensors): Promise<Tensors> {
    const sums = new Map<string, { tensor: TensorData; sum: Float64Array }>();
    for (const inputs of this.batches) {
      const { outputs } = await this.engine.run(program, copied({ ...inputs, ...others }));
      for (const [name, tensor] of Object.entries(outputs)) {
        const values = tensor.data as Float32Array;
        const { sum } = sums.get(name) ?? { sum: new Float64Array(values.length) };
        for (let index = 0; index < values.length; index++) sum[index] += values[index];
        sums.set(name, { tensor, sum });
      }
    }
    return Object.fromEntries(
      [...sums].map(([name, { tensor, sum }]) => [
        name,
        tensorData(
          sum.map((value) => value / this.batches.length),
          tensor.shape,
          tensor.type,
        ),
      ]),
    );
  }
}

/** An engine takes the memory of what it runs on. */
function copied(tensors: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]),
  ) as Tensors;
}
