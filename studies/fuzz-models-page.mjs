// The page of what generated models came to.
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { root } from "../scripts/project.mjs";

/** Operators that stand in fewer models than this are named. */
const few = 30;

/** Why operators are not drawn. */
const undrawn = { SwiGLU: "of opset 28, which ONNX Runtime does not read" };

/** Why a model is refused, or not run by ONNX Runtime: by a part of the sentence. */
const reasons = {
  "over no axes it is not defined the same everywhere":
    "ONNX says that nothing is reduced; whether absolute values, squares and logarithms are still taken differs between its versions",
  "but it is given float32": "images are float32; ONNX Runtime has few kernels in float64 to compare with",
  "Dilation not supported for AutoPadType": "its blocked convolution refuses what its plain one computes",
  "of output arg": "its own expansion of the operator states a wrong type",
  "Cannot parse data from external tensors": "it reads sizes only from the model's own file",
  "must be same as rank": "its shape inference of Resize takes sizes that are computed for none",
  "does not match the number of axes": "its shape inference of Resize expects the sizes of all axes",
  "padding values must be non-negative":
    "a stride larger than the window makes its automatic padding negative",
  "Could not find an implementation": "it has no kernel in float64",
  "is invalid": "the operator is defined in float32 alone",
  "Incompatible dimensions":
    "its shape inference of a pool that rounds up counts a window that its kernel leaves out",
  "op_type:MeanVarianceNormalization": "its own expansion of the operator fails inside a function",
};

export function page(results, seed, note) {
  const checked = results.filter(({ outcome }) => outcome === "checked");
  const refused = results.filter(({ outcome }) => outcome === "refused");
  const engine = results.filter(({ outcome }) => outcome === "engine");
  const failed = results.filter(({ failures }) => failures.length > 0);
  const classifiers = results.flatMap(({ classifier, number }) =>
    classifier ? [{ ...classifier, number }] : [],
  );
  const [same, ...apart] = ["same", "refused", "engine"].map((kind) =>
    classifiers.filter(({ outcome }) => outcome === kind),
  );
  const gradients = sums(results.map((result) => result.gradients));
  const differentiated = gradients.float64 + gradients.float32;
  const all = differentiated + gradients.corners + gradients.straightThrough + gradients.notFinite;
  const share = (count, of) => `${((100 * count) / of).toFixed(2)} %`;
  const text = (count) => count.toLocaleString("en");
  const uses = usesOf(results);
  const covered = coveredOperators();
  const missing = covered.filter((operator) => !uses.has(operator));
  const rare = covered.filter((operator) => (uses.get(operator)?.count ?? few) < few);
  const cells = [...uses.values()].reduce((sum, { opsets }) => sum + opsets.size, 0);
  return `# Generated models

\`nice node studies/fuzz-models.mjs --models ${results.length} --seed ${seed}\` runs all of this and writes this page; one model again:
\`node studies/fuzz-models.mjs --seed ${seed} --only NUMBER\`. Machine: ${cpus().length} cores, ${cpus()[0].model.trim()}; Node ${process.version}.${note && `\n\n${note}`}

A model is a random graph of the covered operators, in the form of a random opset, with its weights in random places. Each is
checked in four ways: its outputs against ONNX Runtime's on the same file, a directional derivative for each weight and input
against finite differences through ONNX Runtime (in float64 where it has the kernels), what trains against what was drawn as
a parameter, and the file that is written against the one that came. With every twentieth model comes a random classifier of
images, whose loss has to be the same in training, in \`evaluate\` and on the surface of \`flatness\`.

| | |
| --- | --- |
| models | ${text(results.length)} |
| checked | ${text(checked.length)} |
| refused in one sentence | ${refused.length} (${share(refused.length, results.length)}) |
| not run by ONNX Runtime itself | ${engine.length} (${share(engine.length, results.length)}) |
| with failures | ${failed.length} |
| gradients compared with finite differences | ${text(differentiated)}, ${text(gradients.float64)} of them in float64 |
| gradients at a corner, not compared | ${gradients.corners} (${share(gradients.corners, all)}) |
| gradients straight through a rounding, not compared | ${gradients.straightThrough} (${share(gradients.straightThrough, all)}) |
| gradients that are not finite for ONNX Runtime either | ${gradients.notFinite} |
| classifiers | ${text(classifiers.length)} |
| classifiers of one loss | ${text(same.length)} |
| classifiers refused, by Lowland and by ONNX Runtime | ${apart.map(({ length }) => length).join(" and ")} |
| operators | ${uses.size}, ${text(cells)} pairs of operator and opset |

Of the models ${list(countsOf(results, ({ float }) => [float]))}; packed with ${list(countsOf(results, ({ packing }) => packing))}.

## Failures

${table(
  ["kind", "models", "for one"],
  kinds(failed, ({ failures, last, opset }) => [
    `${failures[0].check}: ${last ?? "?"}`,
    `opset ${opset}: ${failures[0].message}`,
  ]),
)}

## Refusals

${table(
  ["sentence", "models", "why", "for one"],
  kinds([...refused, ...apart[0]], ({ refusal }) => [general(refusal), refusal]).map(withReason),
)}

## Not run by ONNX Runtime

${table(
  ["what it says", "models", "why", "for one"],
  kinds([...engine, ...apart[1]], ({ refusal }) => [general(refusal), refusal]).map(withReason),
)}

## Operators

Of each operator in how many models it is, and in which opsets. ${missing.length > 0 ? `Not drawn: ${missing.map((name) => `${name} (${undrawn[name] ?? "no reason is known"})`).join(", ")}. The others` : "All"} of [docs/operators.md](../operators.md) are in ${few} models at least${rare.length > 0 ? `, but for ${rare.join(", ")}` : ""}.

${table(
  ["operator", "models", "opsets"],
  [...uses]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([operator, { count, opsets }]) => [operator, count, ranges(opsets)]),
)}
`;
}

function withReason([kind, count, example]) {
  const reason = Object.entries(reasons).find(([part]) => example.includes(part));
  return [kind, count, reason?.[1] ?? "", example];
}

function sums(records) {
  const total = { float64: 0, float32: 0, corners: 0, straightThrough: 0, notFinite: 0 };
  for (const record of records) for (const name of Object.keys(total)) total[name] += record[name] ?? 0;
  return total;
}

function usesOf(results) {
  const uses = new Map();
  for (const { operators, opset } of results) {
    for (const operator of operators) {
      const use = uses.get(operator) ?? { count: 0, opsets: new Set() };
      use.count++;
      use.opsets.add(opset);
      uses.set(operator, use);
    }
  }
  return uses;
}

/** The operators of docs/operators.md, but for those that are not ONNX's. */
function coveredOperators() {
  const text = readFileSync(join(root, "docs", "operators.md"), "utf8");
  return [...text.matchAll(/^\| (\w+) \| (\d+|training) \|/gm)]
    .filter(([, , since]) => since !== "training")
    .map(([, name]) => name);
}

function countsOf(results, keysOf) {
  const counts = new Map();
  for (const key of results.flatMap(keysOf)) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}

const list = (counts) => counts.map(([key, count]) => `${key} ${count}`).join(", ");

/** Results by kind, the most frequent first: [kind, how many, one of them]. */
function kinds(results, describe) {
  const found = new Map();
  for (const result of results) {
    const [kind, example] = describe(result);
    const entry = found.get(kind) ?? { count: 0, number: result.number, example };
    entry.count++;
    found.set(kind, entry);
  }
  return [...found]
    .sort(([, a], [, b]) => b.count - a.count)
    .map(([kind, { count, number, example }]) => [kind, count, `${number}: ${example}`]);
}

/** A sentence without its names and numbers. */
function general(sentence) {
  return sentence
    .replaceAll(/Load model from \S+ failed:/g, "")
    .replaceAll(/(node with name|Name:) ?'[^']*'/g, "$1 '…'")
    .replaceAll(/"[^"]*"/g, '"…"')
    .replaceAll(/\[[^\]]*\]/g, "[…]")
    .replaceAll(/-?\d+(\.\d+)?/g, "N")
    .slice(0, 160);
}

function ranges(opsets) {
  const sorted = [...opsets].sort((a, b) => a - b);
  const parts = [];
  for (const opset of sorted) {
    const last = parts.at(-1);
    if (last && last[1] === opset - 1) last[1] = opset;
    else parts.push([opset, opset]);
  }
  return parts.map(([from, to]) => (from === to ? from : `${from}–${to}`)).join(", ");
}

function table(head, rows) {
  if (rows.length === 0) return "None.";
  const cell = (value) =>
    String(value)
      .replaceAll("|", "\\|")
      .replaceAll(/Load model from \S+ failed:/g, "")
      .replaceAll(/\s+/g, " ")
      .slice(0, 300);
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.map(cell).join(" | ")} |`).join("\n");
}
