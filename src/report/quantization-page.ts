/** What quantizing a file came to, as a page of its own and as a part of a run's report. */
import { basename } from "node:path";
import { replaceFile } from "../common/files.ts";
import type { TaskRecord } from "../train/task-record.ts";
import { detailTable, section } from "./details-section.ts";
import type { BarChart } from "./drawing/chart.ts";
import { type Figure, pageDocument, pageScripts } from "./drawing/page-document.ts";
import { prose } from "./escape.ts";
import { capitalized, fixed, metricText } from "./numbers.ts";
import { layerTable, metricsTable, quantizationSentences, sensitivityTable } from "./quantization.ts";
import type { QuantizationRecord } from "./quantization-record.ts";

/** Writes the page of a quantized file. */
export async function writeQuantizationPage(
  path: string,
  record: QuantizationRecord,
  task: Pick<TaskRecord, "metrics">,
): Promise<void> {
  await replaceFile(path, renderQuantizationPage(record, task, await pageScripts()));
}

function renderQuantizationPage(
  record: QuantizationRecord,
  task: Pick<TaskRecord, "metrics">,
  code: readonly string[],
): string {
  const { quantized, sensitivity } = record;
  const order = sensitivity
    ? section(
        sensitivityTable(sensitivity, task.metrics[0]),
        detailTable(sensitivityTable(sensitivity, task.metrics[0])),
      )
    : "";
  return pageDocument(
    {
      kind: "Lowland quantization",
      title: basename(quantized),
      lead: leadOf(record, task),
      before: effectSection(record, task),
      figures: quantizationFigures(record),
      after: `${order}\n${layersSection(record)}\n${download}`,
      data: record,
    },
    code,
  );
}

/** The sections of a run whose network is one of small integers. */
export function quantizationSections(record: QuantizationRecord, task: Pick<TaskRecord, "metrics">): string {
  return `${effectSection(record, task)}\n${layersSection(record)}`;
}

/** Time of one run by the size of the batch. */
export function quantizationFigures({ latency, saturates }: QuantizationRecord): Figure[] {
  const ways = { float: "float", executed: "exact integers", fastest: "fastest integer kernels" } as const;
  const shown = (Object.keys(ways) as (keyof typeof ways)[]).filter((way) => latency[0]?.[way] !== undefined);
  if (latency.length === 0) return [];
  const note = saturates
    ? "Relative to the first bar. The fastest kernels of this processor saturate for weights of 8 bits."
    : "Relative to the first bar.";
  const chart: BarChart = {
    ...{ kind: "bars", id: "latency", title: "Time of one run, one thread", note },
    alternative: latency
      .map(
        (one) =>
          `A batch of ${one.batch}: ${shown.map((way) => `${ways[way]} ${fixed(one[way]!, 2)} ms`).join(", ")}.`,
      )
      .join(" "),
    categories: latency.map(({ batch }) => `batch ${batch}`),
    y: { name: `time, ${ways[shown[0]]} = 1`, min: 0 },
    series: shown.map((way, style) => ({
      name: ways[way],
      style,
      bars: latency.map((one) => ({ value: one[way]! / one[shown[0]]! })),
    })),
  };
  return [{ id: "time", title: "Time", text: [], charts: [chart] }];
}

function leadOf(
  { float, executed, size, data }: QuantizationRecord,
  { metrics }: Pick<TaskRecord, "metrics">,
) {
  const [leading] = metrics;
  const text = (measured: { metrics: Readonly<Record<string, number>> }) =>
    metricText(leading, measured.metrics[leading.name], 1);
  const before = float ? `, ${text(float)} in float` : "";
  const smaller =
    size.float === undefined
      ? ""
      : ` The file is ${fixed(size.quantized / size.float, 2)}× as large as the float one.`;
  return `${capitalized(leading.label)} ${text(executed)} in integers${before}, on the test part of ${data}.${smaller}`;
}

function effectSection(record: QuantizationRecord, task: Pick<TaskRecord, "metrics">): string {
  const sentences = quantizationSentences(record).map((text) => `<p>${prose(text)}</p>`);
  const table = metricsTable(record, task);
  return section(
    { id: "integers", title: `Float and integers, on the test part of ${record.data}` },
    `${detailTable(table)}\n${sentences.join("\n")}`,
  );
}

function layersSection({ layers }: QuantizationRecord): string {
  return section({ id: "layers", title: "Bits of each layer" }, detailTable(layerTable(layers)));
}

const download = `<section aria-labelledby="data">
<h2 id="data">Data</h2>
<p class="downloads"><button type="button" data-download="json">All numbers of this page (JSON)</button></p>
</section>`;
