/**
 * "What is seen here": plain sentences computed from the numbers, whichever way they came out.
 * Accuracies are compared at the tenth of a percent that is printed, so that text and table never disagree.
 */

import type { Measurements } from "../train/records.ts";
import { sharpnessBasis } from "./columns.ts";
import { familyOf, radiusMatchedSam, totalRadius } from "./method.ts";
import { fixed, isNumber, percent, seconds, significant } from "./numbers.ts";
import type { Outcome, Run } from "./read.ts";

export interface Finding {
  topic: string;
  text: string;
}

type Measured = Run & { outcome: Outcome & Measurements };

/** The findings of a comparison, or of a single run, in the order to read them. Plain text, not HTML. */
export function findingsOf(all: Run[]): Finding[] {
  const runs = withShortNames(all);
  const measured = runs.filter((run): run is Measured => isNumber(run.outcome?.testAccuracy));
  if (measured.length === 0)
    return [{ topic: "Nothing yet", text: "No run has been measured yet, so there is nothing to compare." }];
  // Runs under way are compared only while there is nothing else to look at.
  const finished = measured.filter((run) => run.status === "finished");
  const compared = finished.length > 0 ? finished : measured;
  const findings: [topic: string, text: string | undefined][] = [
    ["Not finished", unfinished(measured, compared)],
    ["Accuracy", compared.length > 1 ? accuracy(compared) : oneAccuracy(compared[0]!)],
    ["Bilateral SAM", compared.length > 1 ? bilateral(compared) : undefined],
    ["During training", peaks(compared)],
    ["Memorised noise", noise(compared)],
    ["Flatness", flatness(compared)],
    ["Cost", cost(compared)],
    ["How far to trust this", trust(compared)],
  ];
  return findings.flatMap(([topic, text]) => (text ? [{ topic, text }] : []));
}

function accuracy(runs: Measured[]): string {
  const best = Math.max(...runs.map(points));
  const winners = runs.filter((run) => points(run) === best);
  const sgd = runs.find((run) => familyOf(run) === "sgd");
  const lead =
    winners.length === 1
      ? `${winners[0]!.label} has the best test accuracy, ${percent(winners[0]!.outcome.testAccuracy)} %.`
      : `${list(winners.map((run) => run.label))} share the best test accuracy, ${percent(winners[0]!.outcome.testAccuracy)} %.`;
  if (!sgd) return lead;
  if (!winners.includes(sgd)) {
    return `${lead} ${sgd.label} has ${percent(sgd.outcome.testAccuracy)} %, ${pointsText(best - points(sgd))} less.`;
  }
  const others = runs.filter((run) => familyOf(run) !== "sgd");
  if (others.length === 0) return lead;
  const next = others.reduce((a, b) => (points(b) > points(a) ? b : a));
  const gap = best - points(next);
  if (gap === 0)
    return `${lead} Here ${sgd.label} is as accurate as the best of the sharpness-aware runs, at a lower cost.`;
  return `${lead} ${sgd.label} wins here: ${next.label}, the best of the others, is ${pointsText(gap)} behind, so looking for flat minima did not raise the test accuracy.`;
}

function oneAccuracy(run: Measured): string {
  return `${run.label} has a test accuracy of ${percent(run.outcome.testAccuracy)} % after ${count(run.outcome.epochs, "epoch")}. One run by itself says nothing about its optimizer: compare it with SGD on the same data and seed.`;
}

/** Each bilateral run against SGD and against SAM at the same total radius, the control it has to beat. */
function bilateral(runs: Measured[]): string | undefined {
  const sgd = runs.find((run) => familyOf(run) === "sgd");
  const sentences = runs
    .filter((run) => familyOf(run) === "bilateral")
    .map((run) => {
      const against: string[] = [];
      if (sgd) against.push(`${difference(run, sgd)} ${sgd.label}`);
      const control = radiusMatchedSam(run, runs) as Measured | undefined;
      if (control) against.push(`${difference(run, control)} ${control.label}`);
      return against.length > 0 ? `${run.label} is ${against.join(" and ")}.` : "";
    })
    .filter(Boolean);
  if (sentences.length === 0) return undefined;
  return [...sentences, controlNote(runs)].join(" ");
}

function controlNote(runs: Measured[]): string {
  const bilaterals = runs.filter((run) => familyOf(run) === "bilateral");
  const controls = new Set(bilaterals.map((run) => radiusMatchedSam(run, runs)));
  const [control] = controls;
  if (controls.size === 1 && control) {
    return `${control.label} is the control: its radius equals ρmax + ρmin of bilateral SAM, so what is gained over it does not come from a larger radius alone.`;
  }
  const missing = bilaterals.find((run) => radiusMatchedSam(run, runs) === undefined);
  if (!missing) return "Each is set beside SAM at its own total radius.";
  const radius = totalRadius(missing);
  const which = radius === undefined ? "ρmax + ρmin" : `ρ = ${significant(radius)}`;
  return `No SAM run with the total radius of ${missing.label} (${which}) stands beside it, so a gain over a smaller SAM may come from the larger radius alone.`;
}

/** Runs whose accuracy once stood more than a point above where it ended. */
function peaks(runs: Measured[]): string | undefined {
  const fallen = runs.flatMap((run) => {
    const [peak] = run.epochs
      .flatMap(({ epoch, testAccuracy }) => (isNumber(testAccuracy) ? { epoch, accuracy: testAccuracy } : []))
      .sort((a, b) => b.accuracy - a.accuracy);
    const loss = peak ? tenths(peak.accuracy) - points(run) : 0;
    if (loss <= 10) return [];
    return [
      `${run.label} was at ${percent(peak.accuracy)} % after epoch ${peak.epoch} and lost ${pointsText(loss)} by the end`,
    ];
  });
  if (fallen.length === 0) return undefined;
  return `${fallen.join("; ")}. Stopping at that epoch would have kept the higher number, but choosing it by the test set would flatter the run.`;
}

function noise(runs: Measured[]): string | undefined {
  const learned = runs.filter((run) => isNumber(run.outcome.wrongLabelAccuracy));
  if (learned.length === 0) return undefined;
  learned.sort((a, b) => b.outcome.wrongLabelAccuracy! - a.outcome.wrongLabelAccuracy!);
  const shares = learned.map((run) => `${run.label} ${percent(run.outcome.wrongLabelAccuracy)} %`);
  return `Of the training images whose label is wrong, this share is given exactly that wrong label at the end: ${list(shares)}. The lower, the less of the noise was learned by heart.`;
}

function flatness(runs: Measured[]): string | undefined {
  const basis = sharpnessBasis(runs);
  if (basis === undefined) return undefined;
  if (basis === "mixed")
    return "The runs measured their sharpness at different radii or on different images; it is not compared here.";
  const measured = runs.filter((run) => isNumber(run.outcome.sharpness?.maxSharpness));
  if (measured.length < 2) return undefined;
  const max = (run: Measured) => run.outcome.sharpness!.maxSharpness;
  const both = (run: Measured) => run.outcome.sharpness!.bilateralSharpness;
  const byMax = measured.reduce((a, b) => (max(b) < max(a) ? b : a));
  const byBoth = measured.reduce((a, b) => (both(b) < both(a) ? b : a));
  const sharpest = measured.reduce((a, b) => (max(b) > max(a) ? b : a));
  const best = Math.max(...runs.map(points));
  const flattest =
    byMax === byBoth
      ? `${byMax.label} lies flattest by both MaxS (${significant(max(byMax))}) and BilS (${significant(both(byMax))})`
      : `${byMax.label} lies flattest by MaxS (${significant(max(byMax))}), ${byBoth.label} by BilS (${significant(both(byBoth))})`;
  const ratio = max(byMax) > 0 ? `, ${significant(max(sharpest) / max(byMax), 2)} times as much` : "";
  const also = [byMax, byBoth].some((run) => points(run) === best)
    ? "the flattest run is also the most accurate, or level with it"
    : "the flattest run is not the most accurate one";
  return `Within ρ = ${basis.rho}, ${flattest}; ${sharpest.label} is the sharpest (MaxS ${significant(max(sharpest))}${ratio}). Here ${also}.`;
}

/** Runs that took the same number of gradients are told together. */
function cost(runs: Measured[]): string {
  const base = runs.find((run) => familyOf(run) === "sgd") ?? runs[0]!;
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

/** Test accuracy in tenths of a percent, as printed. */
function points(run: Measured): number {
  return tenths(run.outcome.testAccuracy);
}

function tenths(share: number): number {
  return Math.round(share * 1000);
}

function pointsText(difference: number): string {
  return difference === 10 ? "1 point" : `${(difference / 10).toFixed(1)} points`;
}

/** "5.7" or "5.7 to 5.8". */
function span(values: number[], format: (value: number) => string): string {
  const low = format(Math.min(...values));
  const high = format(Math.max(...values));
  return low === high ? low : `${low} to ${high}`;
}

function difference(run: Measured, other: Measured): string {
  const gap = points(run) - points(other);
  if (gap === 0) return "level with";
  return `${pointsText(Math.abs(gap))} ${gap > 0 ? "above" : "below"}`;
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
