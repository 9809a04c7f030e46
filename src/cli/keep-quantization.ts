import { stat } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../common/files.ts";
import { readModelFile } from "../import/load.ts";
import { effectNumbers, quantizationEffect } from "../model-files/quantization-effect.ts";
import type { QuantizationRecord } from "../report/quantization-record.ts";
import type { RunConfiguration } from "../runs/configuration.ts";
import { openTask } from "../runs/open-task.ts";
import { statedQuantization } from "../runs/quantized-file.ts";
import type { RunResult } from "../runs/run.ts";
import { exists, quantizationFile, readJson } from "../runs/run-folder.ts";
import { integersSaturate } from "../runtime/saturation.ts";
import type { DataPair } from "../tasks/task.ts";
import type { RunSummary } from "../train/records.ts";
import { withProgress } from "./progress.ts";

/** How a run ended, with what its file of integers came to, of a run that has one. */
export type SummaryWithIntegers = RunSummary & { quantization?: QuantizationRecord };

/** The summary of a run; the integer file of a finished one is measured. */
export async function withIntegers(
  { summary, model }: Pick<RunResult, "summary" | "model">,
  { folder, configuration, data }: { folder: string; configuration: RunConfiguration; data: DataPair },
): Promise<SummaryWithIntegers | undefined> {
  if (summary?.status !== "finished" || !configuration.quantization) return summary;
  return { ...summary, quantization: await keepQuantization(folder, { configuration, data, model }) };
}

/**
 * Measures the integer file of a run, and the float file that the run started from, for the run's report.
 * @returns what is measured, or was before
 */
async function keepQuantization(
  folder: string,
  { configuration, data, model }: { configuration: RunConfiguration; data: DataPair; model: Uint8Array },
): Promise<QuantizationRecord> {
  const path = join(folder, quantizationFile);
  if (await exists(path)) return readJson<QuantizationRecord>(path);
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
  await replaceFile(path, `${JSON.stringify(record, null, 2)}\n`);
  return record;
}
