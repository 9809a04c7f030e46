import type {
  Eigenvalue,
  FlatnessRecord,
  SharpnessIntervals,
  SharpnessValues,
} from "../../flatness/index.ts";
import type { BarChart, Chart, Interval, Line, LineChart } from "../drawing/chart.ts";
import type { Figure } from "../drawing/page-document.ts";
import { isNumber, lossAxis, significant } from "../numbers.ts";
import { measuredNote } from "./measured.ts";

// The figures of a `flatness.json`: sharpness, curvature and where in the network it is.

const quantities = [
  ["maxSharpness", "MaxS"],
  ["minSharpness", "MinS"],
  ["bilateralSharpness", "BilS"],
] as const satisfies readonly (readonly [keyof SharpnessValues, string])[];

const radiusNames = {
  plain: "plain radius",
  adaptive: "adaptive radius",
  filter: "filter-normalized radius",
};
const curvatureNames = { hessian: "Hessian", "gauss-newton": "Gauss–Newton matrix" };

/** The figures for what a record holds; parts that were not measured have none. */
export function flatnessFigures(record: FlatnessRecord): Figure[] {
  const figures: Figure[] = [
    {
      id: "sharpness",
      title: "Sharpness",
      text: [
        "MaxS is how far the loss rises within the radius, MinS how far it falls, BilS their sum. The multi-step search is a lower bound of the worst case; the one step is what SAM takes.",
      ],
      charts: [...sharpnessCharts(record), ...randomCharts(record), ...layerSharpnessCharts(record)],
    },
    {
      id: "curvature",
      title: "Curvature",
      text: [],
      charts: [...spectrumCharts(record), ...densityCharts(record), ...layerSpectrumCharts(record)],
    },
  ];
  return figures.filter(({ charts }) => charts.length > 0);
}

function sharpnessCharts(record: FlatnessRecord): BarChart[] {
  const bars = (values: SharpnessValues, intervals?: SharpnessIntervals) =>
    quantities.map(([key]): Interval | undefined =>
      isNumber(values[key])
        ? { value: values[key], low: finite(intervals?.[key].low), high: finite(intervals?.[key].high) }
        : undefined,
    );
  const note = (interval: boolean) =>
    `${measuredNote(record)}${interval ? " Intervals: 95 %, from the spread between batches." : ""}`;
  return (record.sharpness ?? []).map(({ rho, radius, oneStep, multiStep, intervals, steps }) => ({
    kind: "bars",
    id: `sharpness-${radius}-${rho}`,
    title: `Sharpness, ${radiusNames[radius]} ρ = ${rho}`,
    note: note(intervals !== undefined),
    alternative: `MaxS, MinS and BilS by one step: ${words(oneStep)}; by ${steps + 1} steps: ${words(multiStep)}.`,
    categories: quantities.map(([, name]) => name),
    y: { name: lossAxis("difference of the loss", record.task) },
    series: bySteps(steps, bars(oneStep, intervals?.oneStep), bars(multiStep, intervals?.multiStep)),
  }));
}

type Bars = BarChart["series"][number]["bars"];

/** After one step and, if more were taken, the best of all. */
function bySteps(steps: number, one: Bars, best: Bars): BarChart["series"] {
  const first = { name: "one step", style: 0, bars: one };
  return steps > 0 ? [first, { name: `best of ${steps + 1} steps`, style: 1, bars: best }] : [first];
}

const words = (values: SharpnessValues) =>
  quantities.map(([key, name]) => `${name} ${significant(values[key])}`).join(", ");

function randomCharts(record: FlatnessRecord): BarChart[] {
  const { randomSharpness = [] } = record;
  if (randomSharpness.length === 0) return [];
  const name = ({ radius, rho }: (typeof randomSharpness)[number]) => `${radius}, ρ ${rho}`;
  return [
    {
      kind: "bars",
      id: "random-sharpness",
      title: "Rise of the loss in random directions",
      note: `${measuredNote(record)} Means over ${randomSharpness[0].directions} directions; bars: ± one standard error.`,
      alternative: randomSharpness.map((one) => `${name(one)}: ${significant(one.mean)}`).join("; "),
      categories: randomSharpness.map(name),
      y: { name: lossAxis("mean L(w + ε) − L(w)", record.task) },
      series: [
        {
          name: "random directions",
          style: 2,
          bars: randomSharpness.map(({ mean, standardError: error }) =>
            isNumber(mean)
              ? { value: mean, ...(isNumber(error) && { low: mean - error, high: mean + error }) }
              : undefined,
          ),
        },
      ],
    },
  ];
}

/** One chart for each radius and ρ: the worst rise when only one layer is moved. */
function layerSharpnessCharts(record: FlatnessRecord): BarChart[] {
  const { layerSharpness = [] } = record;
  const settings = layerSharpness[0]?.sharpness ?? [];
  return settings.map(({ radius, rho, steps }, index) => {
    const of = (kind: "oneStep" | "multiStep") =>
      layerSharpness.map(({ sharpness }) => {
        const value = sharpness[index]?.[kind].maxSharpness;
        return isNumber(value) ? { value } : undefined;
      });
    return {
      kind: "bars",
      id: `layer-sharpness-${radius}-${rho}`,
      title: `MaxS layer by layer, ${radiusNames[radius]} ρ = ${rho}`,
      note: `${measuredNote(record)} Only that layer's parameters are moved.`,
      alternative: `MaxS of each layer: ${layerSharpness.map(({ layer, sharpness }) => `${layer} ${significant(sharpness[index]?.multiStep.maxSharpness)}`).join(", ")}.`,
      categories: layerSharpness.map(({ layer }) => layer),
      y: { name: lossAxis("MaxS", record.task) },
      series: bySteps(steps, of("oneStep"), of("multiStep")),
    };
  });
}

function spectrumCharts(record: FlatnessRecord): LineChart[] {
  const ends = [
    ["largest", "largest"],
    ["smallest", "smallest"],
  ] as const;
  return ends.flatMap(([end, name]) => {
    const lines = curvaturesOf(record).flatMap(([curvature, { spectrum }], style): Line[] =>
      spectrum && spectrum[end].length > 0
        ? [{ name: curvatureNames[curvature], style, points: byRank(spectrum[end]) }]
        : [],
    );
    if (lines.length === 0) return [];
    const count = Math.max(...lines.map(({ points }) => points.length));
    return [
      spectrumChart(`${end}-eigenvalues`, `The ${count} ${name} eigenvalues`, lines, {
        note: `${measuredNote(record)}${convergenceNote(record, end)}`,
      }),
    ];
  });
}

function convergenceNote(record: FlatnessRecord, end: "largest" | "smallest"): string {
  const open = curvaturesOf(record).reduce(
    (sum, [, { spectrum }]) => sum + (spectrum?.[end].filter(({ converged }) => !converged).length ?? 0),
    0,
  );
  return open === 0 ? " All are converged." : ` ${open} of them are not converged.`;
}

function layerSpectrumCharts(record: FlatnessRecord): LineChart[] {
  return curvaturesOf(record).flatMap(([curvature, { layers = [] }]) => {
    const lines = layers.map(
      ({ layer, spectrum }, style): Line => ({ name: layer, style, points: byRank(spectrum.largest) }),
    );
    if (lines.length === 0) return [];
    const title = `Largest eigenvalues of each layer's block of the ${curvatureNames[curvature]}`;
    return [spectrumChart(`layer-eigenvalues-${curvature}`, title, lines, { note: measuredNote(record) })];
  });
}

/** Eigenvalues by rank; logarithmic where all are positive. */
export function spectrumChart(
  id: string,
  title: string,
  lines: Line[],
  { note }: { note?: string } = {},
): LineChart {
  const positive = lines.every(({ points }) => points.every(([, value]) => value > 0));
  const ends = lines.map(({ name, points }) => {
    const values = points.map(([, value]) => value);
    return `${name} from ${significant(values[0])} to ${significant(values.at(-1))}`;
  });
  return {
    kind: "lines",
    id,
    title,
    note,
    alternative: `Eigenvalues by rank: ${ends.join("; ")}.`,
    x: { name: "rank", whole: true },
    y: { name: positive ? "eigenvalue λ, logarithmic" : "eigenvalue λ", logarithmic: positive },
    lines,
  };
}

/** [rank, value], the first rank being 1. */
function byRank(values: readonly Pick<Eigenvalue, "value">[]): [number, number][] {
  return values.map(({ value }, index) => [index + 1, value]);
}

/** Densities below this share of their peak are left out of the logarithmic axis: they are the smoothing's tails. */
const leastDensity = 1e-7;

function densityCharts(record: FlatnessRecord): Chart[] {
  const lines = curvaturesOf(record).flatMap(([curvature, { density }], style): Line[] => {
    if (!density) return [];
    const least = leastDensity * Math.max(...density.density);
    const drawn = density.x.flatMap((x, index) => {
      const [value, error] = [density.density[index], density.standardError[index]];
      return value > least ? [{ x, value, error }] : [];
    });
    return [
      {
        name: curvatureNames[curvature],
        style,
        points: drawn.map(({ x, value }) => [x, value]),
        band: drawn.flatMap(({ x, value, error }) =>
          isNumber(error) ? [[x, Math.max(least, value - error), value + error] as const] : [],
        ),
      },
    ];
  });
  if (lines.length === 0) return [];
  const { density } = curvaturesOf(record)[0][1];
  return [
    {
      kind: "lines",
      id: "spectral-density",
      title: "Spectral density",
      note: `${measuredNote(record)} Stochastic Lanczos quadrature${density ? `, ${density.probes} probes of ${density.steps} steps, smoothed by a Gaussian of width ${significant(density.width)}` : ""}. Bands: ± one standard error over the probes.`,
      alternative: "How the eigenvalues are spread: share of them per unit of λ.",
      x: { name: "eigenvalue λ" },
      y: { name: "share of the eigenvalues per unit of λ, logarithmic", logarithmic: true },
      lines,
    },
  ];
}

function curvaturesOf({ curvature }: FlatnessRecord) {
  return (["hessian", "gauss-newton"] as const).flatMap((name) => {
    const found = curvature[name];
    return found ? [[name, found] as const] : [];
  });
}

/** JSON has `null` for what is not finite. */
function finite(value: number | null | undefined): number | undefined {
  return isNumber(value) ? value : undefined;
}
