/** The columns of the comparison: one definition for the terminal and for the page. */
import type { MetricInfo } from "../train/task-record.ts";
import { decimalsFor, fixed, isNumber, metricValue, plainLabel, seconds } from "./numbers.ts";
import { examplesOf, metricsOfRuns, type Outcome, type Run } from "./read.ts";

export interface Column {
  /** The heading, broken into lines for the terminal. */
  heading: string[];
  /** What the heading means, in a sentence fragment. */
  meaning: string;
  /** One text per run. */
  cells: string[];
  /** Which of them show the best value; all false when the column has no better and worse. */
  best: boolean[];
}

/** What the sharpness of a comparison was measured on, by what its examples are called; "mixed" when its runs differ. */
export type SharpnessBasis = { rho: number; images: number; examples: string } | "mixed" | undefined;

/** The columns for these runs, those without a single number left out. */
export function columnsOf(runs: Run[]): Column[] {
  const basis = sharpnessBasis(runs);
  const radius = typeof basis === "object" ? [`ρ ${basis.rho}`] : [];
  const sharpness = (
    name: string,
    key: "maxSharpness" | "minSharpness" | "bilateralSharpness",
    meaning: string,
  ) => {
    const pick = (outcome: Outcome) => outcome.sharpness?.[key];
    const values = runs.map((run) => run.outcome && pick(run.outcome)).filter(isNumber);
    const decimals = decimalsFor(values);
    return column(runs, {
      heading: [name, ...radius],
      meaning,
      value: pick,
      format: (value) => fixed(value, decimals),
      better: basis === "mixed" ? undefined : "lower",
    });
  };
  const metric = (info: MetricInfo, value = (outcome: Outcome) => outcome.metrics?.[info.name]) =>
    column(runs, {
      heading: headingOf(info),
      meaning: info.meaning ?? info.label,
      value,
      format: (own) => metricValue(info, own),
      better: info.better,
    });
  const [first, ...others] = metricsOfRuns(runs);
  const averaged = {
    ...first,
    label: `averaged ${plainLabel(first)}`,
    meaning: "the same of the network of averaged weights",
  };
  return [
    metric(first),
    metric(averaged, (outcome) => outcome.averaged?.metrics[first.name]),
    column(runs, {
      heading: ["test", "loss"],
      meaning: "mean loss on the whole test set",
      value: (outcome) => outcome.testLoss,
      format: (value) => fixed(value, 3),
      better: "lower",
    }),
    column(runs, {
      heading: ["train", "loss"],
      meaning: "mean loss over the last epoch's steps",
      value: (outcome) => outcome.trainLoss,
      format: (value) => fixed(value, 3),
    }),
    ...others.map((info) => metric(info)),
    sharpness("MaxS", "maxSharpness", "L(w + ε) − L(w): how much the loss rises within radius ρ"),
    sharpness("MinS", "minSharpness", "L(w) − L(w − ε): how much the loss falls within radius ρ"),
    sharpness("BilS", "bilateralSharpness", "MaxS + MinS: the whole spread of the loss"),
    column(runs, {
      heading: ["gradient", "evals"],
      meaning: "mini-batch gradients computed",
      value: (outcome) => outcome.gradientEvaluations,
      format: (value) => fixed(value, 0),
    }),
    column(runs, {
      heading: ["time", "s"],
      meaning: "seconds of training, evaluation left out",
      value: (outcome) => outcome.seconds,
      format: seconds,
    }),
  ].filter((candidate) => candidate !== undefined);
}

/** Columns of text that a metric's heading takes, unless one of its words is longer. */
const headingWidth = 10;

/** The unit and the label, broken into lines. */
function headingOf({ label, unit }: MetricInfo): string[] {
  const lines: string[] = [];
  for (const word of [unit, ...label.split(" ")].filter((text) => text !== "")) {
    const longer = lines.length > 0 ? `${lines.at(-1)} ${word}` : word;
    if (lines.length > 0 && longer.length <= headingWidth) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** Radius and subset of the sharpness columns. */
export function sharpnessBasis(runs: Run[]): SharpnessBasis {
  const all = runs.map((run) => run.outcome?.sharpness).filter((sharpness) => sharpness !== undefined);
  const first = all[0];
  if (!first) return undefined;
  const same = all.every(({ rho, images }) => rho === first.rho && images === first.images);
  return same ? { rho: first.rho, images: first.images, examples: examplesOf(runs) } : "mixed";
}

/** The line below the table. */
export function sharpnessNote(basis: SharpnessBasis): string | undefined {
  if (basis === undefined) return undefined;
  if (basis === "mixed") {
    return "MaxS, MinS, BilS: the runs measured at different radii or on different subsets, so these columns cannot be compared.";
  }
  return `MaxS, MinS, BilS: at radius ρ = ${basis.rho} on ${fixed(basis.images, 0)} fixed training ${basis.examples}, after the last epoch.`;
}

/** What a reader has to know about a run that did not reach its end; "" for one that did. */
export function statusNote(run: Run): string {
  if (run.status === "finished") return "";
  return run.outcome ? `${run.status} after epoch ${run.outcome.epochs}` : run.status;
}

interface ColumnDefinition {
  heading: string[];
  meaning: string;
  value: (outcome: Outcome) => number | null | undefined;
  format: (value: number) => string;
  better?: "higher" | "lower";
}

/** Best is what reads as best: runs that show the same digits share it. Only finished runs take part. */
function column(runs: Run[], definition: ColumnDefinition): Column | undefined {
  const values = runs.map((run) => (run.outcome ? definition.value(run.outcome) : undefined));
  if (!values.some(isNumber)) return undefined;
  const cells = values.map((value) => (isNumber(value) ? definition.format(value) : "–"));
  const taking = runs.map((run, index) => run.status === "finished" && isNumber(values[index]));
  const candidates = values.filter(
    (value, index): value is number => taking[index] === true && isNumber(value),
  );
  const extreme = definition.better === "higher" ? Math.max(...candidates) : Math.min(...candidates);
  const compared = definition.better !== undefined && candidates.length > 1;
  const best = cells.map(
    (cell, index) => compared && taking[index] === true && cell === definition.format(extreme),
  );
  return { heading: definition.heading, meaning: definition.meaning, cells, best };
}
