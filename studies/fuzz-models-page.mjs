// The page of what generated models came to.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../scripts/project.mjs";

export function page(results, seed) {
  const checked = results.filter(({ outcome }) => outcome === "checked");
  const refused = results.filter(({ outcome }) => outcome === "refused");
  const engine = results.filter(({ outcome }) => outcome === "engine");
  const failed = results.filter(({ failures }) => failures.length > 0);
  const gradients = sums(results.map((result) => result.gradients));
  const differentiated = gradients.float64 + gradients.float32;
  const all = differentiated + gradients.corners + gradients.straightThrough + gradients.notFinite;
  const share = (count, of) => `${((100 * count) / of).toFixed(2)} %`;
  const uses = usesOf(results);
  const missing = coveredOperators().filter((operator) => !uses.has(operator));
  return `# Generated models

\`nice node studies/fuzz-models.mjs --models ${results.length} --seed ${seed}\` runs all of this and writes this page; one model again:
\`node studies/fuzz-models.mjs --seed ${seed} --only NUMBER\`.

| | |
| --- | --- |
| models | ${results.length.toLocaleString("en")} |
| checked | ${checked.length.toLocaleString("en")} |
| refused in one sentence | ${refused.length} (${share(refused.length, results.length)}) |
| not run by ONNX Runtime itself | ${engine.length} (${share(engine.length, results.length)}) |
| with failures | ${failed.length} |
| gradients beside finite differences | ${differentiated.toLocaleString("en")}, ${gradients.float64.toLocaleString("en")} of them in float64 |
| at a corner, so not compared | ${gradients.corners} (${share(gradients.corners, all)}) |
| straight through a rounding, so not compared | ${gradients.straightThrough} |
| not finite | ${gradients.notFinite} |

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
  ["sentence", "models", "for one"],
  kinds(refused, ({ refusal }) => [general(refusal), refusal]),
)}

## Not run by ONNX Runtime

${table(
  ["why", "models", "for one"],
  kinds(engine, ({ refusal }) => [general(refusal), refusal]),
)}

## Operators

Of each operator in how many models it is, and in which opsets. ${missing.length > 0 ? `Not drawn: ${missing.join(", ")}.` : "All of docs/operators.md are drawn."}

${table(
  ["operator", "models", "opsets"],
  [...uses]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([operator, { count, opsets }]) => [operator, count, ranges(opsets)]),
)}
`;
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
    .replaceAll(/\\s+/g, " ")
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
  const cell = (value) => String(value).replaceAll("|", "\\|").replaceAll(/\s+/g, " ").slice(0, 300);
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.map(cell).join(" | ")} |`).join("\n");
}
