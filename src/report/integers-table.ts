/** What the files of a comparison give where some are of integers, for the terminal and for the page. */
import type { QuantizedLayerRecord } from "../quantization/insert.ts";
import type { DetailTable } from "../tasks/details.ts";
import { metricValue, plainLabel, withUnit } from "./numbers.ts";
import { metricsOfRuns, type Run } from "./read.ts";

/**
 * A row for each run: the bits of its layers, the leading metric as training measured it and as the executed file gives it, and
 * the file's size. Nothing where no run has integers.
 */
export function integersTable(runs: readonly Run[]): DetailTable | undefined {
  if (runs.every(({ quantization }) => quantization === undefined)) return undefined;
  const [leading] = metricsOfRuns(runs);
  const value = (measured: number | undefined) => metricValue(leading, measured, 1);
  return {
    id: "files",
    title: "The files, float and integers",
    note: `Bits: w of weights, a of what layers read. Executed: ${plainLabel(leading)} in integer kernels, as a device runs the file; before that as training measures it, rounded but computed in float. Same: predictions that both give.`,
    rowsAre: "run",
    columns: [
      { name: "bits", label: "bits", unit: "" },
      { name: "rounded", label: withUnit(plainLabel(leading), leading), unit: "" },
      { name: "executed", label: withUnit("executed", leading), unit: "" },
      { name: "agreement", label: "same %", unit: "" },
      { name: "size", label: "kB", unit: "" },
    ],
    rows: runs.map(({ label, quantization, outcome, modelBytes }) => {
      const own = outcome?.metrics?.[leading.name];
      const agreement = quantization?.agreement && 100 * quantization.agreement.executed;
      return {
        name: label,
        values: [
          quantization ? bitsText(quantization.layers) : outcome ? "float" : "–",
          value(quantization ? quantization.fake.metrics[leading.name] : own),
          value(quantization ? quantization.executed.metrics[leading.name] : own),
          metricValue({ unit: "", decimals: 2 }, agreement),
          metricValue(
            { unit: "", decimals: modelBytes !== undefined && modelBytes < 1e5 ? 1 : 0 },
            modelBytes && modelBytes / 1000,
          ),
        ],
      };
    }),
  };
}

/** The bits of layers, the most frequent first: `w4a4 × 4, w8a8 × 2`. */
function bitsText(layers: readonly Pick<QuantizedLayerRecord, "bits">[]): string {
  const counts = new Map<string, number>();
  for (const { bits } of layers) {
    const text = bits ? `w${bits.weights}a${bits.activations}` : "float";
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  const ordered = Array.from(counts).toSorted(([, a], [, b]) => b - a);
  return ordered.map(([text, count]) => (counts.size === 1 ? text : `${text} × ${count}`)).join(", ");
}
