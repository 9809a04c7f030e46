import { randomStream } from "../../common/random.ts";
import { rangeOf } from "../../data/rows.ts";
import { imageClasses } from "../../data/source.ts";
import { createModel, type ModelShape } from "../../nn/models.ts";
import { preparedNetwork } from "../task-network.ts";
import { classificationTask } from "./class-task.ts";

/** A network by its name, and one batch of random images with classes: what it takes to time its steps. */
export async function randomBatch(model: string, shape: ModelShape, count: number) {
  const { channels, height, width, classes } = shape;
  const random = randomStream(1, "step cost");
  const train = imageClasses(
    {
      ...{ name: "random images", fingerprint: "", channels, height, width, maximum: 255 },
      classNames: Array.from({ length: classes }, (_, index) => String(index)),
      labels: Int32Array.from({ length: count }, () => random.integer(classes)),
      mean: new Array<number>(channels).fill(0.5),
      deviation: new Array<number>(channels).fill(0.25),
    },
    () => Uint8Array.from({ length: channels * height * width }, () => random.integer(256)),
  );
  const task = classificationTask(train);
  const { inputs } = await rangeOf(train, task.row, { start: 0, count });
  return { task, inputs, network: preparedNetwork(createModel(model, shape), task) };
}
