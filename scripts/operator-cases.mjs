// node scripts/operator-cases.mjs: runs the tests of operators and counts the random cases behind them.
import { run } from "node:test";
import { build, files, install } from "./project.mjs";

install();
build();

/** What a suite's name says each of its cases is; the first that fits counts. */
const kinds = [
  ["forward against ONNX Runtime's kernel", /^as ONNX Runtime's kernel|^the same in float32 and float64/],
  ["forward by definition", /^by definition/],
  ["gradient by finite differences", /^derivative 1/],
  ["second derivative by finite differences", /^derivative 2/],
];
const counts = new Map(kinds.map(([kind]) => [kind, { rows: new Set(), cases: 0 }]));
let failed = 0;
let finished = [];
const tests = files("dist", ".test.js").filter((file) => /[\\/]ops[\\/]/.test(file));
const stream = run({ files: tests, concurrency: 1 });
stream.on("test:fail", ({ nesting }) => {
  if (nesting === 1) failed++;
});
// Suites are reported after the tests they hold.
stream.on("test:pass", ({ name, nesting }) => {
  if (nesting === 1) finished.push(name);
  if (nesting > 0) return;
  const each = /, (\d+) cases each$/.exec(name);
  const [kind] = kinds.find(([, pattern]) => pattern.test(name)) ?? [];
  if (each && kind) {
    const count = counts.get(kind);
    for (const row of finished) count.rows.add(row);
    count.cases += Number(each[1]) * finished.length;
  }
  finished = [];
});
for await (const _ of stream);
for (const [kind, { rows, cases }] of counts) {
  console.log(`${kind.padEnd(42)} ${String(rows.size).padStart(5)} rows ${String(cases).padStart(6)} cases`);
}
const { operatorNames } = await import("../dist/ops/operator.js");
await import("../dist/ops/registry.js");
const words = new Set(
  [...counts.values()].flatMap(({ rows }) => [...rows].map((row) => row.split(/[^\w]/)[0])),
);
const named = operatorNames().filter((name) => words.has(name));
console.log(
  `${named.length} of ${operatorNames().length} operators have rows of their own name; ${failed} rows failed`,
);
process.exitCode = failed > 0 ? 1 : 0;
