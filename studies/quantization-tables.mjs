// The tables of docs/results/quantization.md from the lines of quantization.jsonl.
import { fileURLToPath } from "node:url";
import { writePictures } from "../dist/report/drawing/pictures.js";
import { interval } from "./optimizer-tables.mjs";
import { markdown, writeTable } from "./result-lines.mjs";

/** Writes the tables, and pictures of what 4 bits cost beside MaxS. */
export async function writeTables(lines) {
  const tables = {
    bits: bitsTable(lines),
    agreement: agreementTable(lines),
    networks: networksTable(lines),
    latency: latencyTable(lines),
    flatness: flatnessTable(lines),
    methods: methodsTable(lines),
  };
  for (const [marker, table] of Object.entries(tables))
    writeTable("quantization.md", `${marker}: written by studies/quantization.mjs`, table);
  const folder = fileURLToPath(new URL("../docs/results/quantization", import.meta.url));
  await writePictures(folder, robustnessCharts(lines));
}

const accuracyOf = ({ executed, float }) => 100 * (executed ?? float).accuracy;
const share = (value, digits = 2) => (value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`);

/** Accuracy by bits, and what is lost to the float network that trained as long, paired by seed. */
function bitsTable(lines) {
  const own = lines.filter(({ part }) => part === "bits");
  const floats = new Map(
    own.filter(({ form }) => form === "float").map((line) => [line.seed, accuracyOf(line)]),
  );
  return markdown([
    [
      "network",
      "optimizer of the further epochs",
      "accuracy in integers, %",
      "less than float, points",
      "integers changed",
      "seeds",
    ],
    ...groups(own, ({ form, method }) => `${form}|${method}`).map((group) => {
      const [{ form, method }] = group;
      const lost = group.flatMap((line) =>
        floats.has(line.seed) ? [floats.get(line.seed) - accuracyOf(line)] : [],
      );
      const changed = group.flatMap(({ integersChanged = [] }) => integersChanged);
      return [
        ...[form, method, interval(group.map(accuracyOf), 2)],
        form === "float" ? "–" : interval(lost, 2, { signed: true }),
        changed.length === 0 ? "–" : share(changed.reduce((sum, one) => sum + one, 0) / changed.length),
        group.length,
      ];
    }),
  ]);
}

/** Predictions of integer kernels beside fake quantization: the least over seeds. */
function agreementTable(lines) {
  const own = lines.filter(({ agreement }) => agreement);
  return markdown([
    [
      "study",
      "network",
      "form",
      "optimizer",
      "trained, %",
      "rounded in float, %",
      "integers, %",
      "same predictions, exact kernels",
      "fastest kernels",
    ],
    ...groups(own, ({ part, network, form, method }) => [part, network, form, method].join("|"))
      .filter(([{ part }]) => ["bits", "networks", "published"].includes(part))
      .map((group) => {
        const [{ part, network, form, method }] = group;
        const least = (of) => Math.min(...group.map(of));
        const mean = (of) => {
          const values = group.flatMap((line) => of(line) ?? []);
          return values.length === 0
            ? "–"
            : ((100 * values.reduce((sum, value) => sum + value, 0)) / values.length).toFixed(2);
        };
        return [
          ...[part, network, form, method],
          mean(({ trained }) => leading(trained)),
          ...["fake", "executed"].map((way) => mean((line) => leading(line[way]))),
          ...["executed", "fastest"].map((way) => share(least(({ agreement }) => agreement[way]))),
        ];
      }),
  ]);
}

function networksTable(lines) {
  const own = lines.filter(({ part, executed }) => (part === "networks" || part === "published") && executed);
  return markdown([
    ["network", "form", "measure", "float", "integers", "size", "in float"],
    ...own.map(({ network, form, float, executed, size, operators }) => [
      ...[network, form, leadingName(float), share(leading(float)), share(leading(executed))],
      `${(size.quantized / size.float).toFixed(2)}×`,
      Object.entries(operators)
        .filter(([name]) => !/^QLinear|^QGemm|Integer$|^(Quantize|Dequantize)Linear$/.test(name))
        .map(([name, count]) => `${count} ${name}`)
        .join(", "),
    ]),
  ]);
}

/** Medians over repetitions; ratios are paired. */
function latencyTable(lines) {
  const own = lines.filter(({ part }) => part === "latency");
  const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
  return markdown([
    [
      "resnet20",
      "batch",
      "float, ms",
      "exact integers to float",
      "fastest kernels to float",
      "size",
      "repetitions",
    ],
    ...groups(own, ({ form }) => form).flatMap((group) =>
      [1, 128].map((batch) => {
        const times = group.map(({ latency }) => latency.find((one) => one.batch === batch));
        const ratios = (way) => times.map((one) => one[way] / one.float);
        const text = (way) => {
          const all = ratios(way);
          return `${median(all).toFixed(2)} (${Math.min(...all).toFixed(2)} … ${Math.max(...all).toFixed(2)})`;
        };
        const [{ form, size }] = group;
        return [
          ...[
            form,
            batch,
            median(times.map(({ float }) => float)).toFixed(2),
            text("executed"),
            text("fastest"),
          ],
          ...[`${(size.quantized / size.float).toFixed(2)}×`, group.length],
        ];
      }),
    ),
  ]);
}

/** What each measure of flatness is called. */
const measures = { maxSharpness: "MaxS", largestEigenvalue: "λ₁", trace: "trace" };

/** Every quantized network of the study: what it loses to the float one, and how flat the float network was before. */
function lossesByFlatness(lines) {
  const own = lines.filter(({ part }) => part === "flatness");
  const ofForm = (name) =>
    new Map(own.filter(({ form }) => form === name).map((line) => [runOf(line), line]));
  const [before, further, flat] = ["float, before", "float", "flatness"].map(ofForm);
  return own
    .filter(({ executed }) => executed)
    .flatMap((line) => {
      const float = (line.form.endsWith("learned") ? further : before).get(runOf(line));
      const measured = flat.get(runOf(line));
      if (!float || !measured) return [];
      const [accuracy, drop] = [accuracyOf(float), accuracyOf(float) - accuracyOf(line)];
      return [{ ...measured, form: line.form, accuracy, drop }];
    });
}

/**
 * What quantizing costs beside how flat the float network was: their rank correlation over all runs, and over runs of the same
 * method. The float network's own accuracy stands beside it, as flat networks differ in that as well.
 */
function flatnessTable(lines) {
  const columns = { ...measures, accuracy: "the float network's accuracy" };
  return markdown([
    [
      ...["form", "points lost"],
      ...Object.values(columns).map((name) => `correlation with ${name}`),
      ...["with MaxS, within a method", "runs"],
    ],
    ...groups(lossesByFlatness(lines), ({ form }) => form).map((group) => {
      const lost = group.map(({ drop }) => drop);
      const methods = group.map(({ method }) => method);
      const of = (measure) => group.map((one) => one[measure]);
      return [
        ...[group[0].form, interval(lost, 2, { signed: true })],
        ...Object.keys(columns).map((measure) => correlationText(of(measure), lost)),
        ...[correlationText(of("maxSharpness"), lost, methods), group.length],
      ];
    }),
  ]);
}

/** Each way to train: the float network, how flat it is, and what every form of it loses. */
function methodsTable(lines) {
  const losses = lossesByFlatness(lines);
  const forms = [...new Set(losses.map(({ form }) => form))];
  const float = lines.filter(({ part, form }) => part === "flatness" && form === "float, before");
  return markdown([
    ["method", "float, %", ...Object.values(measures), ...forms.map((form) => `${form}, points lost`)],
    ...groups(losses, ({ method }) => method).map((group) => {
      const [{ method }] = group;
      const firstForm = group.filter(({ form }) => form === forms[0]);
      return [
        method,
        interval(float.filter((line) => line.method === method).map(accuracyOf), 2),
        ...Object.keys(measures).map((of) =>
          interval(
            firstForm.map((one) => one[of]),
            of === "maxSharpness" ? 3 : 0,
          ),
        ),
        ...forms.map((name) =>
          interval(
            group.filter(({ form }) => form === name).map(({ drop }) => drop),
            2,
            { signed: true },
          ),
        ),
      ];
    }),
  ]);
}

/** Points lost at 4 bits, after training and with learned steps, beside MaxS of the float network. */
function robustnessCharts(lines) {
  const losses = lossesByFlatness(lines);
  return Object.entries({ "W4A4 after training": "after-training", "W4A4 learned": "learned" }).map(
    ([form, id]) => ({
      ...{ kind: "lines", id, title: `What ${form} costs, against MaxS of the float network` },
      note: "Each point is one network: its method and seed.",
      alternative: "Points of accuracy lost against MaxS, a point for each network",
      x: { name: "MaxS before quantizing", logarithmic: true },
      y: { name: "points of accuracy lost" },
      lines: groups(
        losses.filter((one) => one.form === form),
        ({ method }) => method,
      ).map((group, index) => ({
        // The first six styles differ in color and in symbol; the next one that does from the first is the fourteenth.
        ...{ name: group[0].method, style: index < 6 ? index : index + 7, scattered: true },
        points: group.map(({ maxSharpness, drop }) => [maxSharpness, drop]),
      })),
    }),
  );
}

const runOf = ({ method, seed }) => `${method}|${seed}`;

/**
 * Spearman's rank correlation with a 95 % interval by Fisher's transformation.
 * @param kinds of the runs: ranks are then compared within a kind, each beside the mean of its kind
 */
function correlationText(a, b, kinds = a.map(() => "")) {
  const groups = new Set(kinds).size;
  const freedom = a.length - groups - 2;
  if (freedom < 2) return "–";
  const value = correlation(besideMeans(ranks(a), kinds), besideMeans(ranks(b), kinds));
  const half = 1.96 * (1.03 / Math.sqrt(freedom));
  const [low, high] = [-half, half].map((by) => Math.tanh(Math.atanh(Math.min(0.9999, value)) + by));
  return `${value.toFixed(2)} (${low.toFixed(2)} … ${high.toFixed(2)})`;
}

/** Ranks, equal values sharing the mean of theirs. */
function ranks(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return values.map((value) => (sorted.indexOf(value) + sorted.lastIndexOf(value)) / 2);
}

function besideMeans(values, kinds) {
  return values.map((value, index) => {
    const own = values.filter((_, other) => kinds[other] === kinds[index]);
    return value - own.reduce((sum, one) => sum + one, 0) / own.length;
  });
}

function correlation(a, b) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [ma, mb] = [mean(a), mean(b)];
  const product = (x, mx, y, my) => x.reduce((sum, value, index) => sum + (value - mx) * (y[index] - my), 0);
  return product(a, ma, b, mb) / Math.sqrt(product(a, ma, a, ma) * product(b, mb, b, mb));
}

function leadingName(metrics) {
  return ["accuracy", "meanIou", "pck"].find((name) => metrics && name in metrics);
}

function leading(metrics) {
  return metrics?.[leadingName(metrics)];
}

function groups(lines, keyOf) {
  const found = new Map();
  for (const line of lines) found.set(keyOf(line), [...(found.get(keyOf(line)) ?? []), line]);
  return [...found.values()];
}
