import { fitsNames } from "../optim/parameter-groups.ts";
import type { LayerChoices } from "../quantization/choices.ts";
import type { MetricInfo } from "../train/task-record.ts";
import type { Evaluation } from "./evaluate.ts";
import type { FileQuantizer } from "./quantize.ts";

// Which layers lose most by being quantized, and which to spare so that a metric stays within a limit.

/** What quantizing one layer alone costs. */
export interface LayerSensitivity {
  name: string;
  /** By how much the loss rises. */
  lossRise: number;
  /** By how much the leading metric gets worse. */
  metricDrop: number;
}

/** Measures a quantized file on examples that neither decide ranges nor are the test. */
export type Measure = (model: Uint8Array) => Promise<Pick<Evaluation, "loss" | "metrics">>;

interface Choosing {
  quantizer: FileQuantizer;
  measure: Measure;
  /** Of the float file. */
  float: Pick<Evaluation, "loss" | "metrics">;
  leading: Pick<MetricInfo, "name" | "better">;
  onProgress?: (done: number, total: number) => void;
}

/** What each layer costs alone, the most sensitive first. */
export async function sensitivities({
  quantizer,
  measure,
  float,
  leading,
  onProgress,
}: Choosing): Promise<LayerSensitivity[]> {
  const { layers } = quantizer.training;
  const found: LayerSensitivity[] = [];
  for (const name of layers) {
    const { bytes } = await quantizer.quantize({ "*": "float", [name]: {} });
    const measured = await measure(bytes);
    found.push({
      ...{ name, lossRise: measured.loss - float.loss },
      metricDrop: metricDrop(leading, measured.metrics, float.metrics),
    });
    onProgress?.(found.length, layers.length);
  }
  return found.toSorted((a, b) => b.metricDrop - a.metricDrop || b.lossRise - a.lossRise);
}

/** By how much the leading metric got worse. */
function metricDrop(
  { name, better }: Pick<MetricInfo, "name" | "better">,
  measured: Readonly<Record<string, number>>,
  float: Readonly<Record<string, number>>,
): number {
  const difference = float[name] - measured[name];
  return better === "higher" ? difference : -difference;
}

/**
 * The layers to spare so that the leading metric drops by no more than `most`: the most sensitive first, each with 8 bits if it
 * has fewer, then each as float. Layers that `given` names keep what it says.
 * @param most drop, in units of the metric
 * @returns choices to quantize with, and the drop with them; `undefined` where sparing all of these layers but one is not enough
 */
export async function layersWithin(
  most: number,
  order: readonly LayerSensitivity[],
  { quantizer, measure, float, leading, onProgress, given = {} }: Choosing & { given?: LayerChoices },
): Promise<{ choices: LayerChoices; drop: number } | undefined> {
  const patterns = Object.keys(given);
  const open = order.filter(({ name }) => patterns.length === 0 || !fitsNames(name, patterns));
  const steps: LayerChoices[] = [
    {},
    ...open.map(({ name }) => ({ [name]: { weights: 8, activations: 8 } })),
    ...open.slice(0, -1).map(({ name }) => ({ [name]: "float" as const })),
  ];
  let choices = given;
  let before = "";
  for (const [index, step] of steps.entries()) {
    choices = { ...choices, ...step };
    const { bytes, layers } = await quantizer.quantize(choices);
    onProgress?.(index + 1, steps.length);
    const bits = JSON.stringify(layers);
    if (bits === before) continue;
    before = bits;
    const drop = metricDrop(leading, (await measure(bytes)).metrics, float.metrics);
    if (drop <= most) return { choices, drop };
  }
  return undefined;
}
