/**
 * "What is seen here": plain sentences computed from the numbers, whichever way they came out.
 * Metrics are compared at the digits that are printed, so that text and table never disagree.
 */

import { scalarWords } from "../optim/scalars.ts";
import type { Measurements } from "../train/records.ts";
import type { MetricInfo } from "../train/task-record.ts";
import { sharpnessBasis } from "./columns.ts";
import { methodInProse, methodOf, radiiOf, radiusMatchedSam, totalRadius } from "./method.ts";
import {
  capitalized,
  fixed,
  isNumber,
  metricDecimals,
  metricNumber,
  metricText,
  seconds,
  significant,
  withUnit,
} from "./numbers.ts";
import { metricsOfRuns, type Outcome, type Run } from "./read.ts";

export interface Finding {
  topic: string;
  text: string;
}

type Measured = Run & { outcome: Outcome & Measurements };

/**
 * The findings of a comparison, or of a single run, in the order to read them. Plain text, not HTML.
 * @param metrics those to look at; the first one decides which runs lead
 */
export function findingsOf(all: Run[], metrics = metricsOfRuns(all)): Finding[] {
  const runs = withShortNames(all);
  const [metric, ...others] = metrics;
  const measured = runs.filter((run): run is Measured => isNumber(run.outcome?.metrics?.[metric.name]));
  if (measured.length === 0)
    return [{ topic: "Nothing yet", text: "No run has been measured yet, so there is nothing to compare." }];
  // Runs under way are compared only while there is nothing else to look at.
  const finished = measured.filter((run) => run.status === "finished");
  const compared = finished.length > 0 ? finished : measured;
  const controlled = compared.filter((run) => radiiOf(run).length > 1);
  const findings: [topic: string, text: string | undefined][] = [
    ["Not finished", unfinished(measured, compared)],
    [
      capitalized(metric.label),
      compared.length > 1 ? leaders(compared, metric) : single(compared[0]!, metric),
    ],
    [
      capitalized(methodsOf(controlled)),
      compared.length > 1 ? besideControls(controlled, compared, metric) : undefined,
    ],
    ["During training", peaks(compared, metric)],
    ...others.map((other): [string, string | undefined] => [
      capitalized(other.label),
      values(compared, other),
    ]),
    ["Flatness", flatness(compared, metric)],
    ["Cost", cost(compared)],
    ["How far to trust this", trust(compared)],
  ];
  return findings.flatMap(([topic, text]) => (text ? [{ topic, text }] : []));
}

/** Which runs do best by the metric, and where SGD stands. */
function leaders(runs: Measured[], metric: MetricInfo): string {
  const { label } = metric;
  const best = bestOf(runs, metric);
  const winners = runs.filter((run) => behind(run, best, metric) === 0);
  const sgd = runs.find((run) => methodOf(run) === "sgd");
  const lead = `${list(winners.map((run) => run.label))} ${winners.length === 1 ? "has" : "share"} the best ${label}, ${valueText(best, metric)}.`;
  if (!sgd) return lead;
  if (!winners.includes(sgd)) {
    const gap = gapText(behind(sgd, best, metric), metric);
    return `${lead} ${sgd.label} has ${valueText(sgd, metric)}, ${gap} ${metric.better === "higher" ? "less" : "more"}.`;
  }
  const others = runs.filter((run) => methodOf(run) !== "sgd");
  if (others.length === 0) return lead;
  const next = bestOf(others, metric);
  const gap = behind(next, best, metric);
  if (gap === 0)
    return `${lead} Here ${sgd.label} is level with the best of the sharpness-aware runs, at a lower cost.`;
  return `${lead} ${sgd.label} wins here: ${next.label}, the best of the others, is ${gapText(gap, metric)} behind, so looking for flat minima did not improve the ${label}.`;
}

function single(run: Measured, metric: MetricInfo): string {
  return `The ${metric.label} of ${run.label} is ${valueText(run, metric)} after ${count(run.outcome.epochs, "epoch")}. One run by itself says nothing about its optimizer: compare it with SGD on the same data and seed.`;
}

/** Each run of several radii against SGD and against SAM at the same total radius, the control it has to beat. */
function besideControls(controlled: Measured[], runs: Measured[], metric: MetricInfo): string | undefined {
  const sgd = runs.find((run) => methodOf(run) === "sgd");
  const sentences = controlled
    .map((run) => {
      const against: string[] = [];
      if (sgd) against.push(`${difference(run, sgd, metric)} ${sgd.label}`);
      const control = radiusMatchedSam(run, runs) as Measured | undefined;
      if (control) against.push(`${difference(run, control, metric)} ${control.label}`);
      return against.length > 0 ? `${run.label} is ${against.join(" and ")}.` : "";
    })
    .filter(Boolean);
  if (sentences.length === 0) return undefined;
  return [...sentences, controlNote(controlled, runs)].join(" ");
}

function controlNote(controlled: Measured[], runs: Measured[]): string {
  const sumOf = (run: Measured) =>
    radiiOf(run)
      .map((name) => scalarWords(name).symbol)
      .join(" + ");
  const controls = new Set(controlled.map((run) => radiusMatchedSam(run, runs)));
  const [control] = controls;
  if (controls.size === 1 && control) {
    return `${control.label} is the control: its radius equals ${sumOf(controlled[0])} of ${methodsOf(controlled)}, so what is gained over it does not come from a larger radius alone.`;
  }
  const missing = controlled.find((run) => radiusMatchedSam(run, runs) === undefined);
  if (!missing) return "Each is set beside SAM at its own total radius.";
  const radius = totalRadius(missing);
  const which = radius === undefined ? sumOf(missing) : `ρ = ${significant(radius)}`;
  return `No SAM run with the total radius of ${missing.label} (${which}) stands beside it, so a gain over a smaller SAM may come from the larger radius alone.`;
}

function methodsOf(runs: Measured[]): string {
  return list([...new Set(runs.map((run) => methodInProse(methodOf(run))))]);
}

/** Runs whose metric was once clearly better than where it ended: by more than a point, or by 5 %. */
function peaks(runs: Measured[], metric: MetricInfo): string | undefined {
  const fallen = runs.flatMap((run) => {
    const [peak] = run.epochs
      .flatMap(({ epoch, metrics }) => {
        const value = metrics?.[metric.name];
        return isNumber(value) ? { epoch, value } : [];
      })
      .sort((a, b) => betterBy(b.value, a.value, metric));
    if (!peak) return [];
    const loss = betterBy(peak.value, metricOf(run, metric), metric);
    const point = metric.unit === "%" ? 1 : 0.05 * Math.abs(peak.value);
    const clear = point * 10 ** metricDecimals(metric);
    if (loss <= clear) return [];
    return [
      `${run.label} was at ${metricText(metric, peak.value)} after epoch ${peak.epoch} and lost ${gapText(loss, metric)} by the end`,
    ];
  });
  if (fallen.length === 0) return undefined;
  return `${fallen.join("; ")}. Stopping at that epoch would have kept the better value, but choosing it by the test set would flatter the run.`;
}

/** Every run's value, the worst first. */
function values(runs: Measured[], metric: MetricInfo): string | undefined {
  const known = runs
    .filter((run) => isNumber(run.outcome.metrics[metric.name]))
    .sort((a, b) => betterBy(metricOf(b, metric), metricOf(a, metric), metric))
    .reverse();
  if (known.length === 0) return undefined;
  const texts = known.map((run) => `${run.label} ${valueText(run, metric)}`);
  const meaning = metric.meaning ? `${capitalized(metric.meaning)}. ` : "";
  return `${list(texts)}. ${meaning}The ${metric.better}, the better.`;
}

function flatness(runs: Measured[], metric: MetricInfo): string | undefined {
  const basis = sharpnessBasis(runs);
  if (basis === undefined) return undefined;
  if (basis === "mixed")
    return "The runs measured their sharpness at different radii or on different data; it is not compared here.";
  const measured = runs.filter((run) => isNumber(run.outcome.sharpness?.maxSharpness));
  if (measured.length < 2) return undefined;
  const max = (run: Measured) => run.outcome.sharpness!.maxSharpness;
  const both = (run: Measured) => run.outcome.sharpness!.bilateralSharpness;
  const byMax = measured.reduce((a, b) => (max(b) < max(a) ? b : a));
  const byBoth = measured.reduce((a, b) => (both(b) < both(a) ? b : a));
  const sharpest = measured.reduce((a, b) => (max(b) > max(a) ? b : a));
  const best = bestOf(runs, metric);
  const flattest =
    byMax === byBoth
      ? `${byMax.label} lies flattest by both MaxS (${significant(max(byMax))}) and BilS (${significant(both(byMax))})`
      : `${byMax.label} lies flattest by MaxS (${significant(max(byMax))}), ${byBoth.label} by BilS (${significant(both(byBoth))})`;
  const ratio = max(byMax) > 0 ? `, ${significant(max(sharpest) / max(byMax), 2)} times as much` : "";
  const also = [byMax, byBoth].some((run) => behind(run, best, metric) === 0)
    ? `the flattest run also has the best ${metric.label}, or shares it`
    : `the flattest run does not have the best ${metric.label}`;
  return `Within ρ = ${basis.rho}, ${flattest}; ${sharpest.label} is the sharpest (MaxS ${significant(max(sharpest))}${ratio}). Here ${also}.`;
}

/** Runs that took the same number of gradients are reported together. */
function cost(runs: Measured[]): string {
  const base = runs.find((run) => methodOf(run) === "sgd") ?? runs[0]!;
  const groups = new Map<number, Measured[]>();
  for (const run of runs) {
    const gradients = run.outcome.gradientEvaluations;
    groups.set(gradients, [...(groups.get(gradients) ?? []), run]);
  }
  const texts = [...groups].map(([gradients, group]) => {
    const times = group.map((run) => run.outcome.seconds);
    const alone = group.length === 1 && group[0] === base;
    const factor = (values: number[], reference: number) =>
      alone || !(reference > 0)
        ? ""
        : ` (${span(values, (value) => significant(value / reference, 2))} times ${base.label}'s)`;
    const names = list(group.map((run) => run.label));
    const gradientText = `${fixed(gradients, 0)} gradients${factor([gradients], base.outcome.gradientEvaluations)}`;
    const timeText = `${span(times, seconds)} s${factor(times, base.outcome.seconds)}`;
    return `${names}: ${gradientText} in ${timeText}${group.length > 1 ? " each" : ""}`;
  });
  return `${texts.join("; ")}.`;
}

function unfinished(runs: Measured[], compared: Measured[]): string | undefined {
  const open = runs.filter((run) => run.status !== "finished");
  if (open.length === 0) return undefined;
  const names = list(open.map((run) => `${run.label} (${run.status} after epoch ${run.outcome.epochs})`));
  const verb = open.length === 1 ? "is" : "are";
  return compared.includes(open[0]!)
    ? `What follows is as of the last epoch that was reached, and will change: ${names}.`
    : `${names} ${verb} left out of what follows.`;
}

function trust(runs: Measured[]): string | undefined {
  if (runs.length < 2) return undefined;
  const seeds = new Set(runs.map((run) => run.record?.configuration?.seed));
  if (seeds.size > 1) return "The runs have different seeds and are shown one by one, not averaged.";
  return "Each optimizer ran once, with one seed. That is a single draw: differences of a point or less may be noise, and only several seeds can tell.";
}

function metricOf(run: Measured, { name }: MetricInfo): number {
  return run.outcome.metrics[name];
}

function valueText(run: Measured, metric: MetricInfo): string {
  return metricText(metric, metricOf(run, metric));
}

function bestOf(runs: readonly Measured[], metric: MetricInfo): Measured {
  return runs.reduce((a, b) => (betterBy(metricOf(b, metric), metricOf(a, metric), metric) > 0 ? b : a));
}

/** How much worse a run is than another, as `betterBy`. */
function behind(run: Measured, other: Measured, metric: MetricInfo): number {
  return betterBy(metricOf(other, metric), metricOf(run, metric), metric);
}

/** How much better one value is than another, in units of the last digit that is printed. */
function betterBy(value: number, other: number, metric: MetricInfo): number {
  const printed = (own: number) => Math.round(metricNumber(metric, own) * 10 ** metricDecimals(metric));
  const difference = printed(value) - printed(other);
  return metric.better === "higher" ? difference : -difference;
}

/** A difference in units of the last digit that is printed. */
function gapText(units: number, metric: MetricInfo): string {
  const gap = units / 10 ** metricDecimals(metric);
  if (metric.unit !== "%") return withUnit(fixed(gap, metricDecimals(metric)), metric);
  return gap === 1 ? "1 point" : `${fixed(gap, metricDecimals(metric))} points`;
}

/** "5.7" or "5.7 to 5.8". */
function span(values: number[], format: (value: number) => string): string {
  const low = format(Math.min(...values));
  const high = format(Math.max(...values));
  return low === high ? low : `${low} to ${high}`;
}

function difference(run: Measured, other: Measured, metric: MetricInfo): string {
  const gap = betterBy(metricOf(run, metric), metricOf(other, metric), { ...metric, better: "higher" });
  if (gap === 0) return "level with";
  return `${gapText(Math.abs(gap), metric)} ${gap > 0 ? "above" : "below"}`;
}

function count(number: number, noun: string): string {
  return `${fixed(number, 0)} ${noun}${number === 1 ? "" : "s"}`;
}

function list(items: string[]): string {
  return items.length < 2 ? (items[0] ?? "") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

/** In prose "bilateral-sam (paper, ρmax 0.05, …)" is "bilateral-sam (paper)" where that says which run is meant. */
function withShortNames(runs: Run[]): Run[] {
  const short = runs.map((run) =>
    run.label === "sgd" ? "SGD" : run.label.replace(/^([^(]+\([^,()]+),[^()]*\)$/, "$1)"),
  );
  return runs.map((run, index) => {
    const unique = short.filter((name) => name === short[index]).length === 1;
    return unique ? { ...run, label: short[index]! } : run;
  });
}
