/** The tables of `lowland flatness` for the terminal. */
import Table from "cli-table3";
import picocolors from "picocolors";
import type { Eigenvalue } from "../flatness/eigenpairs.ts";
import type { CurvatureRecord, FlatnessRecord, MeasuredModel } from "../flatness/results.ts";
import type { ConfidenceInterval } from "../flatness/statistics.ts";
import type { SharpnessIntervals, SharpnessValues } from "../flatness/worst-case.ts";
import { measuredOn, quantizedNote } from "./figures/measured.ts";
import { fixed, metricList, percent, significant, withError } from "./numbers.ts";
import { noLines, wrapped } from "./plain-table.ts";
import type { TableOptions } from "./table.ts";

/** Eigenvalues that are printed of each end; the file has them all. */
const shownEigenvalues = 8;

/**
 * What was measured, on what, and the numbers with their errors. Fits 80 columns.
 *
 *     console.log(flatnessTables(record, { color: process.stdout.isTTY }));
 */
export function flatnessTables(
  record: FlatnessRecord,
  { color = false, width = 80 }: TableOptions = {},
): string {
  const paint = picocolors.createColors(color);
  const parts: string[][] = [measuredLines(record, width, paint.bold)];
  const { deterministic, largestDifference } = record.determinism;
  parts[0].push(
    deterministic
      ? "The same data gives the same loss and gradient to the last bit."
      : `The same data does NOT give the same gradient: it differs by up to ${significant(largestDifference)}.`,
  );
  const table = (head: string[], rows: string[][]) => {
    const made = new Table({
      chars: noLines,
      style: { "padding-left": 0, "padding-right": 2, head: [], border: [] },
      colAligns: head.map((_, column) => (column === 0 ? "left" : "right")),
    });
    made.push(
      head.map((text) => paint.bold(text)),
      ...rows,
    );
    return made
      .toString()
      .split("\n")
      .map((line) => line.trimEnd());
  };
  if (record.sharpness)
    parts.push([
      ...table(sharpnessHead, sharpnessRows(record)),
      "",
      ...wrapped(sharpnessNote(record), width),
    ]);
  if (record.batchSharpness) {
    const rows = record.batchSharpness.map(({ oneStep, batches: [{ radius, rho }] }) => [
      `${radius} ρ ${rho}`,
      ...names.map((name) => interval(oneStep[name])),
    ]);
    parts.push([
      ...table(["Of single batches", ...names.map((name) => labels[name])], rows),
      "",
      ...wrapped(
        "One step on each batch's own loss (m-sharpness), mean over the batches with its interval.",
        width,
      ),
    ]);
  }
  if (record.layerSharpness && record.layerSharpness.length > 0)
    parts.push(table(...layerTable(record.layerSharpness)));
  for (const [name, curvature] of Object.entries(record.curvature)) {
    const title = name === "hessian" ? "Hessian" : "Gauss–Newton";
    parts.push([paint.bold(title), ...curvatureLines(curvature, record, width)]);
    if (curvature.layers) {
      const rows = curvature.layers.map(({ layer, parameters, spectrum }) => [
        layer,
        fixed(parameters, 0),
        spectrum.largest.map(eigenvalue).join("  "),
      ]);
      parts.push(table([`${title} by layer`, "size", "largest eigenvalues of the block"], rows));
    }
  }
  return parts.map((lines) => lines.join("\n")).join("\n\n");
}

/** Which model, on which data, by which loss. */
export function measuredLines(model: MeasuredModel, width: number, bold: (text: string) => string): string[] {
  const { name, task, parameters, loss, metrics } = model;
  const [first, ...rest] = wrapped(`${name}, ${fixed(parameters, 0)} parameters`, width);
  const on = `On ${measuredOn(model)}. Loss ${significant(loss, 4)}, ${metricList(metrics, task.metrics)}.`;
  const note = quantizedNote(model);
  return [bold(first), ...rest, ...wrapped(on, width), ...(note ? wrapped(note, width) : [])];
}

const names = ["maxSharpness", "minSharpness", "bilateralSharpness"] as const;
const labels = { maxSharpness: "MaxS", minSharpness: "MinS", bilateralSharpness: "BilS" };
const sharpnessHead = ["Sharpness", "", ...names.map((name) => labels[name])];

function sharpnessRows({ sharpness = [], randomSharpness = [] }: FlatnessRecord): string[][] {
  return sharpness.flatMap(({ radius, rho, steps, oneStep, multiStep, intervals }, index) => {
    const cells = (values: SharpnessValues, errors: SharpnessIntervals | undefined) =>
      names.map((name) => withError(values[name], errors && halfWidth(errors[name])));
    const random = randomSharpness[index];
    return [
      [`${radius} ρ ${rho}`, "1 step", ...cells(oneStep, intervals?.oneStep)],
      ...(steps > 0 ? [["", `${steps} more`, ...cells(multiStep, intervals?.multiStep)]] : []),
      ...(random
        ? [["", "random", withError(random.mean, random.interval && halfWidth(random.interval)), "", ""]]
        : []),
    ];
  });
}

function sharpnessNote({ sharpness = [], randomSharpness = [] }: FlatnessRecord): string {
  const [first] = sharpness;
  const [random] = randomSharpness;
  const found = first?.intervals?.oneStep.maxSharpness;
  const over = found
    ? `± is the ${percent(found.confidence).replace(".0", "")} % interval over ${found.count} batches. `
    : "";
  const directions = random
    ? ` Random: the mean rise in ${random.directions} directions (their standard errors: ${randomSharpness.map(({ standardError }) => significant(standardError, 2)).join(", ")}).`
    : "";
  return `${over}MaxS: how far the loss rises within ρ, MinS: how far it falls, BilS: both. More steps: projected ascent and descent, a lower bound of the worst case.${directions}`;
}

function layerTable(layers: NonNullable<FlatnessRecord["layerSharpness"]>): [string[], string[][]] {
  const head = [
    "MaxS by layer",
    "size",
    ...layers[0].sharpness.map(({ radius, rho }) => `${radius} ρ ${rho}`),
  ];
  const rows = layers.map(({ layer, parameters, sharpness }) => [
    layer,
    fixed(parameters, 0),
    ...sharpness.map(({ oneStep, intervals }) =>
      withError(oneStep.maxSharpness, intervals && halfWidth(intervals.oneStep.maxSharpness)),
    ),
  ]);
  return [head, rows];
}

function curvatureLines(
  { spectrum, trace, density }: CurvatureRecord,
  { parameters }: FlatnessRecord,
  width: number,
): string[] {
  const lines: string[] = [];
  for (const [end, values] of [
    ["largest", spectrum?.largest ?? []],
    ["smallest", spectrum?.smallest ?? []],
  ] as const) {
    if (values.length === 0) continue;
    const rest =
      values.length > shownEigenvalues ? ` … ${eigenvalue(values.at(-1)!)} (${values.length} in all)` : "";
    const shown = values.slice(0, shownEigenvalues).map(eigenvalue).join("  ");
    lines.push(...wrapped(`${end} eigenvalues: ${shown}${rest}`, width));
  }
  if (spectrum) {
    const all = [...spectrum.largest, ...spectrum.smallest];
    const converged = all.filter((pair) => pair.converged).length;
    const worst = Math.max(...all.map(({ residual }) => residual));
    lines.push(
      ...wrapped(
        `${converged} of ${all.length} converged (residual ≤ ${significant(spectrum.tolerance)}·|λ|max; the largest is ${significant(worst, 2)}) after ${spectrum.products} products${converged < all.length ? "; allow more with --max-products" : ""}`,
        width,
      ),
    );
  }
  if (trace) {
    lines.push(
      ...wrapped(
        `trace: ${withError(trace.trace, trace.standardError)} (standard error; ${trace.method}, ${trace.products} products), a mean eigenvalue of ${significant(trace.trace / parameters)}`,
        width,
      ),
    );
  }
  if (density) {
    const weights = density.nodes.map((thetas, probe) =>
      thetas.reduce((sum, theta, i) => sum + (theta < -density.width ? density.weights[probe][i] : 0), 0),
    );
    const below = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
    lines.push(
      ...wrapped(
        `density: from ${significant(Math.min(...density.nodes.flat()))} to ${significant(Math.max(...density.nodes.flat()))}, ${percent(below)} % below ${significant(-density.width, 2)}; ${density.probes} probes of ${density.steps} steps, integral ${fixed(density.integral, 6)}`,
        width,
      ),
    );
  }
  return lines;
}

function eigenvalue({ value, converged }: Eigenvalue): string {
  return `${significant(value)}${converged ? "" : "?"}`;
}

function halfWidth({ low, high }: ConfidenceInterval): number {
  return (high - low) / 2;
}

function interval(found: ConfidenceInterval): string {
  return withError(found.mean, halfWidth(found));
}
