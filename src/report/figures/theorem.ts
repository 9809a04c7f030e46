import type { TheoremRecord, TheoremRun, Trace } from "../../theorem/records.ts";
import type { Decay } from "../../theorem/steps.ts";
import type { Axis, BarChart, Line, LineChart } from "../drawing/chart.ts";
import type { Figure } from "../drawing/page-document.ts";
import { fixed, isNumber, percent, significant } from "../numbers.ts";

// The figures of `theorem.json`: gradients, slopes and ς of bilateral SAM, SAM and SGD on problems of known constants.

export const decayWords: Record<Decay, string> = {
  constant: "constant steps",
  "1/sqrt(t)": "steps ∝ 1/√t",
};
const decayIds: Record<Decay, string> = { constant: "constant", "1/sqrt(t)": "decaying" };
const allDecays = Object.keys(decayWords) as Decay[];

/** A figure for each problem, and one of all of them. */
export function theoremFigures(record: TheoremRecord): Figure[] {
  const perProblem = record.problems.map(({ kind, smoothness, variance, learningRate }): Figure => {
    const runs = record.runs.filter(({ problem }) => problem === kind);
    const gradients = allDecays.flatMap((decay) =>
      gradientCharts(
        record,
        kind,
        decay,
        runs.filter((run) => run.decay === decay),
      ),
    );
    return {
      id: kind,
      title: `${problemTitles[kind]}`,
      text: [
        `τ = ${significant(smoothness)}, σ² = ${significant(variance)}${kind === "logistic" ? " at the start" : ""}, first learning rate ${significant(learningRate)}.`,
      ],
      charts: [...gradients, ...scaleCharts(record, kind, runs)],
    };
  });
  return [...perProblem, { id: "shares", title: "Steps with ς ≥ 1", text: [], charts: [shareChart(record)] }];
}

export const problemTitles: Record<TheoremRun["problem"], string> = {
  quadratic: "Quadratic",
  logistic: "Logistic regression",
  "non-convex": "Non-convex",
};

/** What was run, in one or two sentences. */
export function theoremLead({ configuration, problems }: TheoremRecord): string {
  const { steps, draws, stepSize, seed, fitFrom } = configuration;
  const kinds = problems.map(({ kind }) => kind).join(", ");
  return `Optimizers without momentum on losses of known smoothness τ and gradient variance σ² (${kinds}): ${steps} steps, ${draws} noise draws, first learning rate ${stepSize}/τ, radii in proportion to the learning rate; seed ${seed}. Slopes are of logarithms, fitted to steps ${fitFrom} to ${steps}.`;
}

const iteration: Axis = { name: "step t", logarithmic: true };

function gradientCharts(
  { configuration: { steps, draws, fitFrom } }: TheoremRecord,
  kind: TheoremRun["problem"],
  decay: Decay,
  runs: readonly TheoremRun[],
): LineChart[] {
  const quantities = [
    ["mean", "meanSquaredGradient", "meanSlope", "Mean"],
    ["min", "minSquaredGradient", "minSlope", "Least"],
  ] as const;
  return quantities.map(([id, key, slope, word]) => {
    const slopes = runs.map((run) => `${run.name}: ${fixed(run[slope].mean, 2)}`).join("; ");
    return {
      kind: "lines",
      id: `theorem-${kind}-${id}-${decayIds[decay]}`,
      title: `${problemTitles[kind]}, ${decayWords[decay]}: ${word.toLowerCase()} ‖∇L‖² of steps 1 to t`,
      note: `Of the full loss. Lines: means over ${draws} draws; bands: from the lowest to the highest. Slope from step ${fitFrom} to ${steps}: ${slopes}.`,
      alternative: `${word} squared gradient at step ${steps}: ${runs.map((run) => `${run.name} ${significant(run[key].mean.at(-1))}, slope ${fixed(run[slope].mean, 2)}`).join("; ")}.`,
      x: iteration,
      y: { name: "‖∇L‖²", logarithmic: true },
      lines: runs.map((run, style) => lineOf(run.name, style, run[key])),
    };
  });
}

function scaleCharts(
  { configuration: { draws } }: TheoremRecord,
  kind: TheoremRun["problem"],
  runs: readonly TheoremRun[],
): LineChart[] {
  const quantities = [
    ["scale", "scale", "ς", "ς = ‖g⁺‖/‖g⁻‖ at every step", 1],
    ["z1", "theoremOne", "Z₁·τ", "Z₁·τ = (1 − ς)/(1 + ς²) at every step", 0],
  ] as const;
  const measured = runs.flatMap(({ decay, scale }) => (scale ? [{ decay, scale }] : []));
  return quantities.map(([id, key, axis, title, reference]) => ({
    kind: "lines",
    id: `theorem-${kind}-${id}`,
    title: `${problemTitles[kind]}: ${title}`,
    note: `Bilateral SAM. Lines: means over ${draws} draws; bands: from the lowest to the highest.`,
    alternative: measured
      .map(({ decay, scale }) => `${decayWords[decay]}: ${axis} ${extent(scale[key])}`)
      .join("; "),
    x: { name: "step t", whole: true, min: 0 },
    // ς is a quotient: twice and half are as far from 1.
    y: { name: axis, ...(key === "scale" && { logarithmic: true }) },
    lines: measured.map(({ decay, scale }, style) => lineOf(decayWords[decay], style, scale[key])),
    references: [{ value: reference, label: "" }],
  }));
}

function shareChart({ problems, runs }: TheoremRecord): BarChart {
  const shareOf = (kind: string, decay: Decay) =>
    runs.find((run) => run.problem === kind && run.decay === decay && run.scale)?.scale?.shareAtLeastOne;
  const texts = allDecays.map(
    (decay) =>
      `${decayWords[decay]}: ${problems.map(({ kind }) => `${kind} ${percent(shareOf(kind, decay)?.mean)} %`).join(", ")}`,
  );
  return {
    kind: "bars",
    id: "theorem-shares",
    title: "Steps of bilateral SAM with ς ≥ 1",
    note: "Means over the noise draws with their 95 % intervals. Wherever ς ≥ 1, Z₁ ≤ 0.",
    alternative: `${texts.join("; ")}.`,
    categories: problems.map(({ kind }) => problemTitles[kind]),
    y: { name: "share of steps, %", percent: true, min: 0, max: 1 },
    series: allDecays.map((decay, style) => ({
      name: decayWords[decay],
      style,
      bars: problems.map(({ kind }) => {
        const share = shareOf(kind, decay);
        return share && { value: share.mean, low: share.low, high: Math.min(1, share.high) };
      }),
    })),
  };
}

function lineOf(name: string, style: number, { mean, low, high }: Trace): Line {
  const steps = mean.map((value, index) => ({ t: index + 1, value, low: low[index], high: high[index] }));
  return {
    name,
    style,
    points: steps.flatMap(({ t, value }) => (isNumber(value) ? [[t, value] as const] : [])),
    band: steps.flatMap(({ t, low: least, high: most }) =>
      isNumber(least) && isNumber(most) ? [[t, least, most] as const] : [],
    ),
  };
}

function extent({ low, high }: Trace): string {
  return `from ${significant(Math.min(...low.filter(isNumber)))} to ${significant(Math.max(...high.filter(isNumber)))}`;
}
