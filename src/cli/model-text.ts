import picocolors from "picocolors";
import { printable } from "../common/text.ts";
import type { ModelDescription, TensorDescription } from "../model-files/inspect.ts";

export interface ModelTextOptions {
  /** What the file is called, and its size. */
  file: string;
  bytes: number;
  width: number;
  color: boolean;
  /** Show lists whole. */
  all: boolean;
}

/** Rows of a long list: those of its head and of its end. Fewer than `gap` in between are shown too. */
const shown = { head: 8, tail: 4, gap: 4 };

/** A model as lines for a terminal. */
export function modelText(described: ModelDescription, options: ModelTextOptions): string {
  const model = withPrintableTexts(described);
  const paint = picocolors.createColors(options.color);
  const { width } = options;
  const sections: [title: string, lines: readonly string[]][] = [
    ["Inputs", tensorLines(model.inputs, width)],
    ["Outputs", tensorLines(model.outputs, width)],
    [
      `Operators: ${count(model.nodes, "node")} of ${model.operators.length} kinds`,
      operatorLines(model, options),
    ],
    [parameterTitle(model), parameterLines(model, options)],
    ["Cost", costLines(model, width)],
    ["Training", trainingLines(model, width)],
  ];
  const opsets = model.opsets.map(({ domain, version }) =>
    domain === "ai.onnx" ? `opset ${version}` : `${domain} ${version}`,
  );
  const head = [
    `${paint.bold(shorten(options.file, width - 14))}  ${size(options.bytes)}`,
    ...wrap(
      `${model.producer}, ${opsets.join(", ")}, IR version ${model.irVersion}, graph "${model.name}"`,
      width,
      "",
    ),
  ];
  const body = sections.flatMap(([title, lines]) => [
    "",
    ...wrap(title, width, "").map((line) => paint.bold(line)),
    ...lines,
  ]);
  return [...head, ...body].map((line) => paintMarks(line, paint)).join("\n");
}

/** Names come from somebody else's file, and a terminal obeys what is in them. */
function withPrintableTexts(model: ModelDescription): ModelDescription {
  const reviver = (_: string, value: unknown) => (typeof value === "string" ? printable(value) : value);
  return JSON.parse(JSON.stringify(model), reviver);
}

function tensorLines(tensors: readonly TensorDescription[], width: number): string[] {
  const rows = tensors.map(({ name, type, shape }) => [
    name,
    shape ? `${type} [${shape.join(", ")}]` : `${type}, no shape stated`,
  ]);
  return aligned(rows, ["left", "left"], width);
}

function operatorLines({ operators }: ModelDescription, { all, width }: ModelTextOptions): string[] {
  const words = {
    yes: "yes",
    zero: "zero",
    constant: "not needed",
    forward: "✗ forward only",
    none: "✗ none",
  } as const;
  const rows = operators.map(({ name, count: times, gradient }) => [name, thousands(times), words[gradient]]);
  // What stands in the way is shown wherever it is in the list.
  const important = (index: number) => ["forward", "none"].includes(operators[index].gradient);
  return listed([["", "count", "gradient"], ...rows], ["left", "right", "left"], {
    all,
    width,
    what: "kind",
    important,
  });
}

function parameterTitle({ totals, parameters }: ModelDescription): string {
  return `Parameters: ${thousands(totals.parameters)} elements in ${count(parameters.length, "tensor")}, ${thousands(totals.trainable)} of them train; ${size(totals.bytes)} of weights`;
}

function parameterLines({ parameters }: ModelDescription, { all, width }: ModelTextOptions): string[] {
  const rows = parameters.map(({ name, shape, count: numbers, role, trainable, reason }) => [
    name,
    `[${shape.join(", ")}]`,
    thousands(numbers),
    role.replace("running-statistic", "statistic"),
    trainable
      ? ["trains", reason].filter(Boolean).join(": ")
      : reason === "running statistic"
        ? "no"
        : reason!,
  ]);
  const head = ["", "shape", "elements", "role", ""];
  return listed([head, ...rows], ["left", "left", "right", "left", "left"], {
    all,
    width,
    what: "tensor",
    important: () => false,
  });
}

function costLines({ multiplyAdds, sizes }: ModelDescription, width: number): string[] {
  if (!multiplyAdds) return wrap("unknown: the graph cannot be built (see below)", width);
  const { total, byOperator, counted } = multiplyAdds;
  const bound = Object.entries(sizes.dimensions).map(([name, value]) => `, ${name} ${value}`);
  const parts = Object.entries(byOperator).map(([name, value]) => `${name} ${large(value)}`);
  return wrap(
    `${large(total)} multiply-adds (twice as many floating-point operations) for a batch of ${sizes.batchSize}${bound.join("")}${parts.length > 1 ? `: ${parts.join(", ")}` : ""}. Counted: ${counted.join(", ")}.`,
    width,
  );
}

function trainingLines({ training }: ModelDescription, width: number): string[] {
  const { possible, reason, logits, blockers, notes } = training;
  const verdict = possible ? ["✓ It can be trained."] : [`✗ It cannot be trained as it is: ${reason}.`];
  const where = logits
    .filter(({ shape }) => shape.length >= 2)
    .map(({ output, shape, without, obstacle }) => {
      if (obstacle !== undefined) {
        return `✗ Output "${output}" holds probabilities (${obstacle}); a loss needs the logits before them.`;
      }
      const before = without === undefined ? "" : `, before its ${without}`;
      return `Logits: [${shape.join(", ")}] of output "${output}"${before}.`;
    });
  const inTheWay = blockers.map(({ node, path, advice, parameters }) => {
    const which =
      parameters.length > 0
        ? `; ${count(parameters.length, "parameter")} before it: ${someOf(parameters)}`
        : "";
    return `✗ ${node}: ${advice}${which}${path ? `. The way: ${path}` : ""}`;
  });
  const known = notes.map((note) => `${note[0].toUpperCase()}${note.slice(1)}.`);
  return [...verdict, ...where, ...inTheWay, ...known].flatMap((line) => wrap(line, width));
}

function someOf(names: readonly string[]): string {
  return names.length <= 3 ? names.join(", ") : `${names.slice(0, 3).join(", ")}, …`;
}

/** A table with a heading, cut in the middle when it is long. */
function listed(
  [head, ...rows]: readonly (readonly string[])[],
  aligns: readonly ("left" | "right")[],
  {
    all,
    width,
    what,
    important,
  }: { all: boolean; width: number; what: string; important: (index: number) => boolean },
): string[] {
  const isShown = (index: number) =>
    all ||
    rows.length < shown.head + shown.tail + shown.gap ||
    index < shown.head ||
    index >= rows.length - shown.tail ||
    important(index);
  const visible = [...rows.keys()].filter(isShown);
  const lines = aligned([head, ...visible.map((index) => rows[index])], aligns, width);
  const left = rows.length - visible.length;
  if (left === 0) return lines;
  const gap = visible.findIndex((index, at) => index !== at);
  const at = 1 + (gap < 0 ? visible.length : gap);
  return [...lines.slice(0, at), `  … ${left} more; --all shows every ${what}`, ...lines.slice(at)];
}

/** Columns side by side, the first one shortened where they do not fit. */
function aligned(
  rows: readonly (readonly string[])[],
  aligns: readonly ("left" | "right")[],
  width: number,
): string[] {
  const widths = aligns.map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const others = widths.slice(1).reduce((total, one) => total + one + 2, 2);
  const first = Math.max(12, Math.min(widths[0], width - others));
  return rows.map((row) => {
    const cells = row.map((cell, column) => {
      if (column === 0) return shorten(cell, first).padEnd(first);
      return aligns[column] === "right" ? cell.padStart(widths[column]) : cell.padEnd(widths[column]);
    });
    return shorten(`  ${cells.join("  ")}`.trimEnd(), width, "end");
  });
}

/** A text of at most N characters; what is left out is in its middle, where names differ least. */
function shorten(text: string, width: number, at: "middle" | "end" = "middle"): string {
  if (text.length <= width) return text;
  const kept = Math.max(1, width - 1);
  if (at === "end") return `${text.slice(0, kept)}…`;
  const tail = Math.floor(kept / 2);
  return `${text.slice(0, kept - tail)}…${text.slice(text.length - tail)}`;
}

function wrap(text: string, width: number, indent = "  "): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(`${lines.length === 0 ? indent : `${indent}  `}${word}`);
  }
  return lines;
}

function paintMarks(line: string, paint: ReturnType<typeof picocolors.createColors>): string {
  return line
    .replace("✓", paint.green("✓"))
    .replace("✗", paint.red("✗"))
    .replace(/ {2}… .*$/, (text) => paint.dim(text));
}

const thousands = (value: number) => value.toLocaleString("en");
const count = (value: number, what: string) => `${thousands(value)} ${what}${value === 1 ? "" : "s"}`;

function large(value: number): string {
  const units: [number, string][] = [
    [1e12, " T"],
    [1e9, " G"],
    [1e6, " M"],
    [1e3, " k"],
  ];
  const [unit, name] = units.find(([least]) => value >= least) ?? [1, ""];
  return unit === 1 ? String(value) : `${(value / unit).toPrecision(3)}${name}`;
}

/** Bytes as people read them. */
export function size(bytes: number): string {
  const [unit, name] =
    bytes < 2 ** 20 ? [2 ** 10, "KiB"] : bytes < 2 ** 30 ? [2 ** 20, "MiB"] : [2 ** 30, "GiB"];
  return `${(bytes / unit).toFixed(1)} ${name}`;
}
