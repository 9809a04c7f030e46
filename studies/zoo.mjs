// The networks of the zoo against PyTorch's, whole: counts, logits, gradients, running statistics.
//
//   npm run build && node studies/zoo.mjs [--type float64] [NAME …]
//
// Compares with fixtures/pytorch/zoo.json and zoo-large.json (made by fixtures/pytorch/zoo.py), one network after the
// other on one thread, and prints the table of docs/results/zoo.md; with names, only those. The largest need 5 GB.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { compareWithPyTorch } from "../dist/testing/zoo.js";

const { values: flags, positionals } = parseArgs({
  options: { type: { type: "string", default: "float32" } },
  allowPositionals: true,
});
const read = (name) =>
  JSON.parse(readFileSync(new URL(`../fixtures/pytorch/${name}`, import.meta.url), "utf8")).models;
const models = { ...read("zoo.json"), ...read("zoo-large.json") };
const names = positionals.length > 0 ? positionals : Object.keys(models);
const unknown = names.find((name) => !models[name]);
if (unknown !== undefined || !["float32", "float64"].includes(flags.type)) {
  console.error(`choose --type float32 or float64, and networks from ${Object.keys(models).join(" ")}`);
  process.exit(2);
}

const short = (value) => value.toExponential(1);
console.log("| network | parameters | logits | inference | statistics | gradients | worst parameter |");
console.log("|---|---|---|---|---|---|---|");
for (const [index, name] of names.entries()) {
  console.error(`${index + 1} of ${names.length}: ${name} …`);
  const found = await compareWithPyTorch(name, models[name], flags.type);
  const { logits, inferenceLogits, buffers, gradients, worst } = found;
  const columns = [logits, inferenceLogits, buffers, gradients].map(short);
  console.log(
    `| \`${name}\` | ${models[name].count.toLocaleString("en")} | ${columns.join(" | ")} | \`${worst}\` |`,
  );
}
