import type { StepProfile, StepProfileRecord } from "../../measure/profile.ts";
import type { BarChart } from "../drawing/chart.ts";
import type { Figure } from "../drawing/page-document.ts";
import { significant } from "../numbers.ts";
import { profileLead } from "../profile-table.ts";
import { type WrittenFigures, writeFigures } from "./write.ts";

// The figures of a `profile.json`: a training step by part, operator and layer.

/** Bars of a chart at most; the rest is one more. */
const mostBars = 12;

/** Draws a profile: `profile.html` in the folder and a picture of each chart. */
export async function writeProfileFigures(
  folder: string,
  record: StepProfileRecord,
): Promise<WrittenFigures> {
  return writeFigures(folder, "profile", {
    title: `A training step of ${record.model}`,
    lead: profileLead(record),
    figures: profileFigures(record),
    data: record,
  });
}

export function profileFigures(record: StepProfileRecord): Figure[] {
  const several = record.steps.length > 1;
  return record.steps.map((step, index) => ({
    id: `step-${index + 1}`,
    title: several ? `Step “${step.kind}”` : "Where the time goes",
    text: [
      `${significant(step.milliseconds)} ms in all. Forward and backward are numbered by gradient evaluation; perturbation is from one to the next, update is the optimizer's rule and what the step reports. ONNX Runtime inserts nodes of its own.`,
    ],
    charts: [partChart(step, index), operatorChart(step, index), layerChart(step, index)],
  }));
}

function partChart({ parts }: StepProfile, index: number): BarChart {
  return barChart(
    { id: `profile-parts-${index + 1}`, title: "By part of the step" },
    parts.map(({ name }) => name),
    [{ name: "milliseconds", values: parts.map(({ milliseconds }) => milliseconds) }],
  );
}

function operatorChart({ operators }: StepProfile, index: number): BarChart {
  const first = operators.slice(0, mostBars);
  const rest = operators.slice(mostBars).reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return barChart(
    { id: `profile-operators-${index + 1}`, title: "By operator" },
    [...first.map(({ name }) => name), ...(rest > 0 ? ["others"] : [])],
    [
      {
        name: "milliseconds",
        values: [...first.map(({ milliseconds }) => milliseconds), ...(rest > 0 ? [rest] : [])],
      },
    ],
  );
}

/** The slowest layers in their order, forward beside backward. */
function layerChart({ layers }: StepProfile, index: number): BarChart {
  const slowest = new Set([...layers].sort((a, b) => b.milliseconds - a.milliseconds).slice(0, mostBars));
  const first = layers.filter((layer) => slowest.has(layer));
  const rest = layers.filter((layer) => !slowest.has(layer));
  const of = (parts: StepProfile["layers"][number]["parts"], wanted: string) =>
    Object.entries(parts).reduce((sum, [name, own]) => (place(name) === wanted ? sum + own : sum), 0);
  return barChart(
    { id: `profile-layers-${index + 1}`, title: "By layer" },
    [...first.map(({ name }) => name), ...(rest.length > 0 ? ["other layers"] : [])],
    ["forward", "backward", "other"].map((name) => ({
      name,
      values: [
        ...first.map(({ parts }) => of(parts, name)),
        ...(rest.length > 0 ? [rest.reduce((sum, { parts }) => sum + of(parts, name), 0)] : []),
      ],
    })),
  );
}

function place(part: string): string {
  const [name] = part.split(" ");
  return name === "forward" || name === "backward" ? name : "other";
}

function barChart(
  about: { id: string; title: string },
  categories: readonly string[],
  series: readonly { name: string; values: readonly number[] }[],
): BarChart {
  const sum = (index: number) => series.reduce((all, { values }) => all + values[index], 0);
  return {
    kind: "bars",
    ...about,
    alternative: `${about.title}, in milliseconds: ${categories.map((name, index) => `${name} ${significant(sum(index))}`).join(", ")}.`,
    categories,
    y: { name: "time, ms", brief: "ms", min: 0 },
    series: series.map(({ name, values }, style) => ({
      name,
      style,
      bars: values.map((value) => ({ value })),
    })),
  };
}
