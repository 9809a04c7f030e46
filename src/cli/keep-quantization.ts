import { stat } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../common/files.ts";
import { readModelFile } from "../import/load.ts";
import { effectNumbers, quantizationEffect } from "../model-files/quantization-effect.ts";
import { type QuantizationRecord, quantizationFile } from "../report/quantization-record.ts";
import type { RunConfiguration } from "../runs/configuration.ts";
import { openTask } from "../runs/open-task.ts";
import { statedQuantization } from "../runs/quantized-file.ts";
import { integersSaturate } from "../runtime/saturation.ts";
import type { DataPair } from "../tasks/task.ts";
import { withProgress } from "./progress.ts";

/** Measures the integer file of a run, and the float file that the run started from, for the run's report. */
export async function keepQuantization(
  folder: string,
  { configuration, data, model }: { configuration: RunConfiguration; data: DataPair; model: Uint8Array },
): Promise<void> {
  const { task, threads } = configuration;
  const bytes = new Uint8Array(model);
  const opened = await openTask(configuration, data);
  const { file = undefined, ...taken } = typeof configuration.model === "string" ? {} : configuration.model;
  const { normalization, output, dimensions } = taken as Partial<typeof configuration.model & object>;
  const effect = await withProgress("float and quantized network", (onProgress) =>
    quantizationEffect(file, bytes, opened, { normalization, output, dimensions, threads, onProgress }),
  );
  const float = file === undefined ? undefined : (await stat(file)).size;
  const record: QuantizationRecord = {
    ...{ model: file, quantized: join(folder, "model.onnx"), data: configuration.data, task },
    size: { quantized: bytes.length, ...(float !== undefined && { float }) },
    saturates: await integersSaturate(),
    layers: statedQuantization(await readModelFile(bytes)) ?? [],
    ...effectNumbers(effect),
  };
  await replaceFile(join(folder, quantizationFile), `${JSON.stringify(record, null, 2)}\n`);
}
