// Runs ONNX's published tests of operators through the importer: node studies/node-tests.mjs FOLDER …
//
// A FOLDER holds one folder per test (test_abs/model.onnx, test_abs/test_data_set_0/input_0.pb, …). ONNX 1.12's come with
// Debian: apt-get download libonnx-testdata && dpkg-deb -x libonnx-testdata_*.deb DIR, and then
// DIR/usr/share/libonnx-testdata/data/node. Newer ones are made by the onnx package for Python:
//
//     python3 -c "
//     import argparse
//     from onnx.backend.test import cmd_tools
//     from onnx.backend.test.case import node
//     cmd_tools.model_test = argparse.Namespace(collect_testcases=lambda: node.collect_testcases(None))
//     cmd_tools.generate_data(argparse.Namespace(output='DIR'))"
//
// and are in DIR/node (--title says of which version). Writes docs/results/node-tests.md; --list prints every test that
// does not match, --save keeps the smallest of each operator for npm test, --only PART runs those with this in their names.
import { spawn } from "node:child_process";
import { readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build, install, root } from "../scripts/project.mjs";

const { values, positionals: folders } = parseArgs({
  allowPositionals: true,
  options: {
    list: { type: "boolean" },
    only: { type: "string" },
    title: { type: "string" },
    save: { type: "boolean" },
    worker: { type: "boolean" },
  },
});

/** Tests whose numbers is not available, by name, and why: looked into one by one. */
const judged = [
  [/^training_dropout/, "random by specification: what is dropped is the generator's own choice"],
  [
    /^attention.*_bf16/,
    "the test computes in bfloat16 all the way, here it is float32; they differ by a little more than 2⁻⁷",
  ],
  [
    /^resize_downsample_scales_(linear|cubic)_align_corners/,
    "the test divides by a length that is no whole number (0.6 · 4); ONNX's text has the length of the result there",
  ],
  [
    /^maxunpool_export_with_output_shape/,
    "the test counts places in the shape without `output_shape`; PyTorch and ONNX Runtime count in the one asked for",
  ],
];

if (values.worker) {
  const { readNodeTest, runNodeTest } = await import("../dist/testing/node-tests.js");
  for await (const folder of createInterface({ input: process.stdin })) {
    const result = await Promise.resolve()
      .then(() => runNodeTest(readNodeTest(folder)))
      .catch((error) => ({ outcome: "refused", message: error.message }));
    console.log(JSON.stringify({ folder, ...result }));
  }
  process.exit();
}

install();
build();

const tests = folders.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => !values.only || name.includes(values.only))
    .map((name) => join(folder, name)),
);
const results = [];
let shown = 0;
while (results.length < tests.length) {
  await runRest(tests.slice(results.length));
  // A worker that ends early was ended by the test it was at.
  if (results.length < tests.length)
    results.push({ folder: tests[results.length], outcome: "refused", message: "ends the process" });
}
for (const { folder, outcome, message } of results.filter(
  ({ outcome }) => values.list && outcome !== "match",
))
  console.log(`${basename(folder)}\t${outcome}\t${message}`);
const count = results.filter(({ outcome }) => outcome === "match").length;
console.log(`${count} of ${results.length} match`);
if (values.save) await saveSample();
if (!values.only) writeFileSync(join(root, "docs", "results", "node-tests.md"), page());

async function runRest(rest) {
  const worker = spawn(process.execPath, [fileURLToPath(import.meta.url), "--worker"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  worker.stdin.on("error", () => {});
  worker.stdin.end(rest.join("\n"));
  for await (const line of createInterface({ input: worker.stdout })) {
    results.push(JSON.parse(line));
    if (Date.now() - shown < 1000) continue;
    shown = Date.now();
    process.stderr.write(`${results.length} of ${tests.length}\n`);
  }
}

/** The smallest test of every operator, for npm test, as base64. */
async function saveSample() {
  const { readNodeTest } = await import("../dist/testing/node-tests.js");
  const { readModel } = await import("../dist/onnx/model.js");
  const smallest = new Map();
  for (const { folder, outcome } of results) {
    if (outcome !== "match") continue;
    const test = readNodeTest(folder);
    const { node } = readModel(test.model).graph;
    const size = [test.model, ...test.inputs, ...test.outputs].reduce((sum, { length }) => sum + length, 0);
    const known = smallest.get(node[0].opType);
    if (node.length === 1 && size < 8192 && !(known?.size <= size))
      smallest.set(node[0].opType, { size, test });
  }
  const text = (bytes) => Buffer.from(bytes).toString("base64");
  const lines = [...smallest.values()]
    .map(({ test: { name, model, inputs, outputs } }) =>
      JSON.stringify({ name, model: text(model), inputs: inputs.map(text), outputs: outputs.map(text) }),
    )
    .sort();
  writeFileSync(join(root, "fixtures", "import", "node-tests.json"), `[\n${lines.join(",\n")}\n]\n`);
}

/** Why a test that does not match does not, in a few words: an operator, a reason, or else a gap that is named. */
function reasonOf({ folder, message }) {
  const unknown = message.match(/operator (\S+) has no rule/);
  if (unknown)
    return { operator: unknown[1].replace("ai.onnx.preview.training.", "").replace("ai.onnx.", "") };
  if (/string is not computed with|tensor\(string\)/.test(message))
    return { reason: "texts; graphs here hold numbers" };
  const name = basename(folder).replace(/^test_/, "");
  const reason = /^output/.test(message) && judged.find(([pattern]) => pattern.test(name))?.[1];
  return reason ? { reason } : { gap: message };
}

function page() {
  const sections = folders.map((folder) => {
    const own = results.filter((result) => result.folder.startsWith(join(folder, "/")));
    const failed = own
      .filter(({ outcome }) => outcome !== "match")
      .map((result) => ({ ...result, ...reasonOf(result) }));
    const unknown = failed.filter(({ operator }) => operator);
    const explained = failed.filter(({ reason }) => reason);
    const gaps = failed.filter(({ gap }) => gap);
    const count = (number) => number.toLocaleString("en");
    return `## ${versionOf(folder)}: ${count(own.length - failed.length)} of ${count(own.length)} match

${unknown.length} need an operator without a rule:
${wrapped(groups(unknown, "operator").map(([name, { length }]) => `\`${name}\` ${length}`))}

Of the operators that are covered, ${count(own.length - unknown.length)} tests, ${explained.length} cannot match:

${table(groups(explained, "reason"))}

${gaps.length === 0 ? "Nothing else is missing." : `${gaps.length} more are gaps of this project:\n\n${table(groups(gaps, "gap"))}`}
`;
  });
  return `# ONNX's published tests of operators

\`node studies/node-tests.mjs FOLDER …\` runs them and writes this page; where the folders come from is said at its head.
Each model is imported, compiled and run, and its outputs compared by the tolerances of ONNX's own runner (two steps of
half precision, which is computed in float32 here). As shapes are known before a run here, inputs that sizes depend on
are made part of the model where it does not import without. Sequences are fed and read tensor by tensor. Floats of 8
and 4 bits are fed as the float32 they stand for and integers of 4 and 2 bits as 8, since the package for Node takes
neither, and the results are compared in those types.

"Alone" counts those that ONNX Runtime passes on the model as it stands.

${sections.join("\n")}`;
}

function table(rows) {
  const lines = rows.map(([reason, list]) => {
    const alone = list.filter(({ outcome }) => outcome !== "engine").length;
    return `| ${list.length} | ${alone} | ${reason} | ${namesOf(list)} |`;
  });
  return ["| tests | alone | why | which |", "| --- | --- | --- | --- |", ...lines].join("\n");
}

function groups(list, key) {
  const found = new Map();
  for (const one of list) found.set(one[key], [...(found.get(one[key]) ?? []), one]);
  return [...found].sort(([, a], [, b]) => b.length - a.length);
}

/** The tests by what their names have in common: the operator. */
function namesOf(list) {
  const stems = list.map(
    ({ folder }) =>
      basename(folder)
        .replace(/^test_/, "")
        .match(/^[a-z]+(_[a-z]+)?/i)[0],
  );
  const counts = groups(
    stems.map((stem) => ({ stem })),
    "stem",
  );
  return counts.map(([stem, { length }]) => (length > 1 ? `${stem} ${length}` : stem)).join(", ");
}

function wrapped(words) {
  return `${words.join(", ")}.`;
}

function versionOf(folder) {
  return folder.includes("libonnx-testdata") ? "ONNX 1.12" : (values.title ?? "newer ONNX");
}
