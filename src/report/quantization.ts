/** What quantizing a file came to, for the terminal. */
import type { LayerSensitivity } from "../model-files/layer-choice.ts";
import type { DetailTable } from "../tasks/details.ts";
import type { MetricInfo, TaskRecord } from "../train/task-record.ts";
import { detailTables } from "./details-table.ts";
import { fixed, metricDecimals, metricNumber, plainLabel, withUnit } from "./numbers.ts";
import type { Measured, QuantizationRecord } from "./quantization-record.ts";
import type { TableOptions } from "./table.ts";

/** Metrics of the float, the rounded and the executed network, then layers, time and size. */
export function quantizationText(
  record: QuantizationRecord,
  task: Pick<TaskRecord, "metrics">,
  style: TableOptions,
): string {
  return [
    detailTables({ tables: [metricsTable(record, task), layerTable(record.layers)] }, style),
    quantizationSentences(record).join("\n"),
  ].join("\n\n");
}

/** Predictions, time, operators and size, a sentence each. */
export function quantizationSentences({
  operators,
  agreement,
  latency,
  size,
  quantized,
}: QuantizationRecord): string[] {
  const integers = Object.entries(operators).filter(([name]) => isInteger(name));
  const floats = Object.entries(operators).filter(([name]) => !isInteger(name) && !conversions.has(name));
  const counted = (found: typeof integers) =>
    found.map(([name, count]) => `${count} ${name}`).join(", ") || "none";
  const ratio = (value: number, to: number | undefined) =>
    to === undefined ? "" : ` (${fixed(value / to, 2)}×)`;
  return [
    ...(agreement
      ? [
          `Predictions as with fake quantization: ${fixed(100 * agreement.executed, 2)} % in exact integer kernels, ${fixed(100 * agreement.fastest, 2)} % in the fastest ones.`,
        ]
      : []),
    ...latency.map(
      ({ batch, float, executed, fastest }) =>
        `A batch of ${batch}, one thread: ${float === undefined ? "" : `${milliseconds(float)} in float, `}${milliseconds(executed)} in exact integers${ratio(executed, float)}, ${milliseconds(fastest)} in the fastest kernels${ratio(fastest, float)}.`,
    ),
    `In integers: ${counted(integers)}. In float: ${counted(floats)}.`,
    size.float === undefined
      ? `${quantized}: ${kilobytes(size.quantized)}.`
      : `${quantized}: ${kilobytes(size.quantized)}, ${fixed(size.quantized / size.float, 2)}× of the float file's ${kilobytes(size.float)}.`,
  ];
}

/** What each layer costs alone. */
export function sensitivityText(
  order: readonly LayerSensitivity[],
  leading: MetricInfo,
  style: TableOptions,
): string {
  return detailTables({ tables: [sensitivityTable(order, leading)] }, style);
}

export function sensitivityTable(order: readonly LayerSensitivity[], leading: MetricInfo): DetailTable {
  return {
    id: "sensitivity",
    title: "One layer quantized at a time",
    note: "On training examples that ranges were not measured on.",
    rowsAre: "layer",
    columns: [
      { name: "drop", label: withUnit(`${plainLabel(leading)} lost`, leading), unit: "" },
      { name: "loss", label: "loss gained", unit: "" },
    ],
    rows: order.map(({ name, metricDrop, lossRise }) => ({
      name,
      values: [fixed(metricNumber(leading, metricDrop), metricDecimals(leading) + 1), fixed(lossRise, 4)],
    })),
  };
}

export function metricsTable(
  { float, fake, executed, data }: QuantizationRecord,
  { metrics }: Pick<TaskRecord, "metrics">,
): DetailTable {
  const shown = metrics.filter(({ name }) => name in fake.metrics);
  const row = (name: string, measured: Measured) => ({
    name,
    values: [
      ...shown.map((info) =>
        fixed(metricNumber(info, measured.metrics[info.name]), metricDecimals(info) + 1),
      ),
      fixed(measured.loss, 4),
    ],
  });
  return {
    ...{ id: "metrics", title: `On the test part of ${data}`, rowsAre: "network" },
    columns: [
      ...shown.map((info) => ({
        name: info.name,
        label: withUnit(plainLabel(info), info),
        unit: "" as const,
      })),
      { name: "loss", label: "loss", unit: "" },
    ],
    rows: [
      ...(float ? [row("float", float)] : []),
      row("rounded, in float", fake),
      row("integers", executed),
    ],
  };
}

export function layerTable(layers: QuantizationRecord["layers"]): DetailTable {
  return {
    ...{ id: "layers", title: "Layers", rowsAre: "layer" },
    columns: [
      { name: "operator", label: "operator", unit: "" },
      { name: "weights", label: "bits of weights", unit: "" },
      { name: "activations", label: "of its input", unit: "" },
      { name: "elements", label: "weights", unit: "" },
    ],
    rows: layers.map(({ name, operator, bits, elements }) => ({
      name,
      values: [operator, bits?.weights ?? "float", bits?.activations ?? "float", elements],
    })),
  };
}

/** From float to integers and back. */
const conversions = new Set(["QuantizeLinear", "DequantizeLinear"]);

function isInteger(operator: string): boolean {
  return operator.startsWith("QLinear") || operator === "QGemm" || operator.endsWith("Integer");
}

function milliseconds(value: number): string {
  return `${fixed(value, value < 10 ? 2 : 1)} ms`;
}

function kilobytes(bytes: number): string {
  return `${fixed(bytes / 1000, 0)} kB`;
}
