// The networks of the zoo against PyTorch's, whole: counts, names, logits, gradients, running statistics.
//
//   npm run build && node studies/zoo.mjs [--type float64] [NAME …]     compares what is missing, in both types
//   node studies/zoo.mjs --table                                        writes the page only
//
// PyTorch's numbers are in fixtures/pytorch/zoo.json and zoo-large.json (made by fixtures/pytorch/zoo.py). Networks are
// compared one after the other on one thread. Each comparison is one line of docs/results/zoo.jsonl, so the study can be
// stopped and resumed at any time; docs/results/zoo.md is made from these lines. The largest need 8 GB of memory.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: flags, positionals } = parseArgs({
  options: { type: { type: "string" }, table: { type: "boolean", default: false } },
  allowPositionals: true,
});
const file = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const modelsOf = (name) => JSON.parse(readFileSync(file(`fixtures/pytorch/${name}`), "utf8")).models;
const models = { ...modelsOf("zoo.json"), ...modelsOf("zoo-large.json") };
const results = file("docs/results/zoo.jsonl");

const names = positionals.length > 0 ? positionals : Object.keys(models);
const types = flags.type === undefined ? ["float32", "float64"] : [flags.type];
if (names.some((name) => !models[name]) || types.some((type) => !["float32", "float64"].includes(type))) {
  console.error(`choose --type float32 or float64, and networks from ${Object.keys(models).join(" ")}`);
  process.exit(2);
}
if (!flags.table) await compareAll();
writeFileSync(file("docs/results/zoo.md"), page(lines()));

async function compareAll() {
  const { compareWithPyTorch } = await import("../dist/testing/zoo.js");
  const done = new Set(lines().map(({ name, type }) => `${name} ${type}`));
  const wanted = names.flatMap((name) => types.map((type) => ({ name, type })));
  const missing = wanted.filter(({ name, type }) => !done.has(`${name} ${type}`));
  for (const [index, { name, type }] of missing.entries()) {
    const started = performance.now();
    process.stderr.write(`${index + 1} of ${missing.length}: ${name} in ${type} … `);
    const found = await compareWithPyTorch(name, models[name], type);
    console.error(
      `${((performance.now() - started) / 1000).toFixed(0)} s, worst gradient ${found.gradients}`,
    );
    appendFileSync(results, `${JSON.stringify({ name, type, ...found })}\n`);
  }
}

function lines() {
  if (!existsSync(results)) return [];
  return readFileSync(results, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

function page(found) {
  const short = (value) => (value === undefined ? "" : value.toExponential(1));
  const rows = Object.entries(models).map(([name, { count, float32 }]) => {
    const [single, double] = ["float32", "float64"].map((type) =>
      found.find((line) => line.name === name && line.type === type),
    );
    const columns = [
      double && Math.max(double.logits, double.inferenceLogits),
      double?.gradients,
      single && Math.max(single.logits, single.inferenceLogits),
      single?.gradients,
      float32.gradients,
    ];
    const worst = single === undefined ? "" : `\`${single.worst}\``;
    return `| \`${name}\` | ${count.toLocaleString("en")} | ${columns.map(short).join(" | ")} | ${worst} |`;
  });
  return `# The zoo against PyTorch

\`\`\`
npm run build && node studies/zoo.mjs
\`\`\`

Every network with the same weights, images and dropped numbers as the PyTorch network it is named after: batches of 4,
3 × 32 × 32 (64 × 64 for networks that halve five times, 48 × 48 for the narrow VGG), 10 classes, cross entropy with
label smoothing 0.1. Of a network that gives maps, the logits are the means of its maps, each pixel with a factor of its
own. Names and shapes of all parameters and buffers are equal, in PyTorch's order. The numbers are relative differences from
PyTorch's float64: of logits, in training and inference mode, from the largest logit; of gradients the worst parameter's, by
its norm. The fixtures hold eight digits, so 5e-8 is no difference.

| network | parameters | logits, float64 | gradients, float64 | logits, float32 | gradients, float32 | PyTorch's own gradients, float32 | worst parameter in float32 |
|---|---|---|---|---|---|---|---|
${rows.join("\n")}

Where a float32 gradient is 1e-3 off and more, PyTorch's own float32 is as far from its float64: in batches of four a
ReLU or a maximum that is decided by rounding moves a whole gradient. In float64 the two agree.
`;
}
