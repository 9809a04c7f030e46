import { loadDataset } from "../data/catalogue.ts";
import { evaluationBatches } from "../data/rows.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { pixelRow } from "../tasks/image-input.ts";

/** The first test images of the digits, as a model file takes them. */
export async function firstImages(count: number): Promise<TensorData> {
  const { test } = await loadDataset("digits");
  const row = ({ image }: { image: TensorData }) => ({ input: pixelRow(image as never) });
  for await (const { inputs } of evaluationBatches(test, { row: row as never, batchSize: count }))
    return inputs.input;
  throw new Error("the digits have no test images");
}
