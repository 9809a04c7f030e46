import type { Landscape, LandscapeAxis, LandscapeRecord } from "../../flatness/index.ts";
import type { TaskRecord } from "../../train/task-record.ts";
import type { Axis, Line, LineChart, PlaneChart, Point } from "../drawing/chart.ts";
import type { Figure } from "../drawing/page-document.ts";
import { capitalized, isNumber, lossAxis, plainLabel, significant } from "../numbers.ts";
import { measuredNote } from "./measured.ts";

// The figures of a `landscape.json`: lines and planes of the loss and the metrics.

/** Above this ratio of largest to least loss a linear scale shows little but the largest. */
const logarithmicFrom = 30;

/** The figures of a line or a plane. */
export function landscapeFigures(record: LandscapeRecord): Figure[] {
  const charts = record.kind === "line" ? lineCharts(record) : planeCharts(record);
  const [title, text] = record.kind === "line" ? ["Along a line", lineText] : ["On a plane", planeText];
  return [{ id: record.kind, title, text: [text], charts }];
}

const lineText =
  "The mean loss and metrics over the data subset on a line through the weights, which are at 0.";
const planeText =
  "The mean loss and metrics over the data subset on a plane through the weights, which are at (0, 0).";

interface Quantity {
  id: string;
  title: string;
  values: (number | null)[];
  axis: Axis;
}

/** The quantities of a grid: the loss, and whatever else was measured at its points. */
function quantitiesOf({ loss, metrics }: Landscape, task: TaskRecord): Quantity[] {
  const finite = loss.filter(isNumber);
  const least = finite.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const largest = finite.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const logarithmic = least > 0 && largest / least > logarithmicFrom;
  const lossName = lossAxis("loss", task);
  return [
    {
      id: "loss",
      title: "Loss",
      values: loss,
      axis: { name: logarithmic ? `${lossName}, logarithmic` : lossName, logarithmic },
    },
    ...task.metrics.flatMap((info): Quantity[] => {
      const { name, unit } = info;
      const label = plainLabel(info);
      if (!(name in metrics)) return [];
      const axis = { name: unit === "" ? label : `${label} (${unit})`, percent: unit === "%" };
      return [{ id: name, title: capitalized(label), values: metrics[name], axis }];
    }),
  ];
}

function lineCharts(record: LandscapeRecord): LineChart[] {
  const { grid, reestimated, axes, task } = record;
  const others = reestimated ? quantitiesOf(reestimated, task) : [];
  return quantitiesOf(grid, task).map(({ id, title, values, axis }) => {
    const errors = id === "loss" ? grid.standardError : undefined;
    const own = lineOf(
      reestimated ? "interpolated BatchNorm statistics" : record.name,
      0,
      grid,
      values,
      errors,
    );
    const other = others.find((one) => one.id === id);
    const lines =
      reestimated && other
        ? [own, lineOf("BatchNorm statistics re-estimated", 1, reestimated, other.values)]
        : [own];
    return {
      kind: "lines",
      id: `${id}-line`,
      title: `${title} along ${axes[0].label}`,
      note: `${measuredNote(record)}${errors?.some(isNumber) ? " Band: ± one standard error of L − L(w), from the spread between batches." : ""}`,
      alternative: `${axis.name} along ${axes[0].label}: ${extent(values)}.`,
      x: coordinateAxis(axes[0]),
      y: axis,
      lines,
    };
  });
}

function lineOf(
  name: string,
  style: number,
  { coordinates }: Landscape,
  values: readonly (number | null)[],
  errors: readonly (number | null)[] = [],
): Line {
  const places = coordinates[0].map((x, index) => ({ x, value: values[index], error: errors[index] }));
  return {
    name,
    style,
    points: places.flatMap(({ x, value }): Point[] => (isNumber(value) ? [[x, value]] : [])),
    band: places.flatMap(({ x, value, error }) =>
      isNumber(value) && isNumber(error) ? [[x, value - error, value + error] as const] : [],
    ),
  };
}

function planeCharts(record: LandscapeRecord): PlaneChart[] {
  const { grid, axes, trajectory } = record;
  const [xs, ys] = grid.coordinates;
  const points = trajectory?.points.map(({ at }): Point => [at[0], at[1]]);
  return quantitiesOf(grid, record.task).map(({ id, title, values, axis }) => ({
    kind: "plane",
    id: `${id}-plane`,
    title: `${title} around the weights`,
    note: `${measuredNote(record)}${trajectory ? ` The axes hold ${trajectory.explained.map((share) => `${significant(100 * share)} %`).join(" and ")} of the trajectory's variance.` : ""}`,
    alternative: `${axis.name} over ${axes.map(({ label }) => label).join(" and ")}: ${extent(values)}.`,
    x: coordinateAxis(axes[0]),
    y: coordinateAxis(axes[1]),
    value: axis,
    xs,
    ys,
    values,
    marks: [{ name: "the weights", style: 5, at: [0, 0] }],
    paths: points ? [{ name: "training, epoch by epoch", style: 1, points }] : [],
  }));
}

function coordinateAxis({ label, unit }: LandscapeAxis): Axis {
  return { name: unit ? `${label} (1 = ${unit})` : label, brief: label };
}

function extent(values: readonly (number | null)[]): string {
  const finite = values.filter(isNumber);
  if (finite.length === 0) return "no finite value";
  return `from ${significant(finite.reduce((a, b) => Math.min(a, b)))} to ${significant(finite.reduce((a, b) => Math.max(a, b)))}`;
}
