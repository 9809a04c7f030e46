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
// and are in DIR/node. Writes docs/results/node-tests.md; --list prints every test that does not match.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build, install } from "../scripts/project.mjs";

const { values, positionals: folders } = parseArgs({
  allowPositionals: true,
  options: { list: { type: "boolean" }, only: { type: "string" }, worker: { type: "boolean" } },
});

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

async function runRest(rest) {
  const worker = spawn(process.execPath, [fileURLToPath(import.meta.url), "--worker"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  worker.stdin.on("error", () => {});
  worker.stdin.end(rest.join("\n"));
  for await (const line of createInterface({ input: worker.stdout })) {
    results.push(JSON.parse(line));
    if (process.stderr.isTTY) process.stderr.write(`\r${results.length} of ${tests.length}`);
  }
}
