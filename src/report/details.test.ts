import assert from "node:assert/strict";
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { EvaluationRecord } from "../runs/evaluation-record.ts";
import { train } from "../runs/train.ts";
import { taskRecord, tasks } from "../tasks/index.ts";
import { readJsonFile, temporaryFolder } from "../testing/cli.ts";
import { detailFigures } from "./details-figures.ts";
import { detailSections, pictureKey, shownPictures } from "./details-section.ts";
import { detailTables } from "./details-table.ts";
import type { MatrixChart } from "./drawing/chart.ts";
import { writeReport } from "./html.ts";
import type { Run } from "./read.ts";

const root = temporaryFolder();

/** An evaluation with a row for each share, as many samples as are asked for, and names that are markup. */
function evaluation(recalls: readonly (number | null)[], samples = 2): EvaluationRecord {
  const names = recalls.map((_, index) => `c<${index}>`);
  return {
    ...{ format: 1, task: "classification", data: "made", samples: 10 },
    details: {
      tables: [
        {
          ...{ id: "classes", title: "By class", rowsAre: "class", compared: "recall" },
          columns: [
            { name: "images", label: "images", unit: "" },
            { name: "recall", label: "recall", unit: "%", better: "higher" },
            { name: "mistaken", label: "mistaken for", unit: "" },
          ],
          rows: recalls.map((recall, index) => ({ name: names[index], values: [1234, recall, "c<1> (3)"] })),
        },
      ],
      matrices: [
        {
          ...{ id: "confusion", title: "Confusion", rowsAre: "given", columnsAre: "predicted" },
          ...{ rows: names.slice(0, 2), columns: names.slice(0, 2) },
          counts: [
            [5, 2],
            [0, 3],
          ],
        },
      ],
      samples: [
        {
          ...{ id: "worst", title: "Worst" },
          columns: [
            { name: "given", label: "given", unit: "" },
            { name: "probability", label: "probability", unit: "%" },
            { name: "loss", label: "loss", unit: "" },
          ],
          items: Array.from({ length: samples }, (_, index) => ({
            ...{ index, values: ["c<0>", 0.125, null], picture: `pictures/evaluation/worst-${index}.png` },
          })),
        },
      ],
    },
  };
}

function run(label: string, own?: EvaluationRecord): Run {
  return {
    ...{ name: label, label, task: taskRecord(tasks.classification), status: "finished" },
    ...{ steps: [], epochs: [], folder: "" },
    evaluation: own,
  };
}

/** Cells of a row of a table in markup, as text. */
const rowsOf = (html: string) =>
  [...html.matchAll(/<tr><th scope="row">(.*?)<\/th>(.*?)<\/tr>/g)].map(([, name, cells]) => [
    name,
    ...[...cells.matchAll(/<td[^>]*>(.*?)<\/td>/g)].map(([, cell]) => cell),
  ]);

test("of one run the whole table is shown, names escaped", () => {
  const html = detailSections([run("sgd", evaluation([0.5, null]))], new Map());
  assert.deepEqual(rowsOf(html), [
    ["c&lt;0&gt;", "1,234", "50.0", "c&lt;1&gt; (3)"],
    ["c&lt;1&gt;", "1,234", "–", "c&lt;1&gt; (3)"],
  ]);
  assert.match(html, /<th scope="col" class="text">mistaken for<\/th>/);
  assert.doesNotMatch(html, /c<[01]>/);
});

test("several runs are compared by one column, the best values bold; each has its own table", () => {
  const runs = [
    run("sgd", evaluation([0.5, 0.7, 0.6])),
    run("none"),
    run("sam", evaluation([0.8, 0.7004, null])),
  ];
  const html = detailSections(runs, new Map());
  const [compared, ...own] = html.split("<details>");
  assert.match(compared, /<h3>Recall % by class<\/h3>/);
  assert.deepEqual(rowsOf(compared), [
    ["c&lt;0&gt;", "50.0", "<strong>80.0</strong>"],
    // Both read as 70.0, and the last class has one value.
    ["c&lt;1&gt;", "70.0", "70.0"],
    ["c&lt;2&gt;", "60.0", "–"],
  ]);
  assert.equal(own.length, 2);
  assert.match(own[0], /^<summary>sgd<\/summary>/);
});

test("samples are cards with their picture and what was found of them, fewer where there are several runs", () => {
  const one = [run("sgd", evaluation([1, 1], 30))];
  assert.equal(shownPictures(one).length, 20);
  const pictures = new Map([
    [pictureKey(one[0], "pictures/evaluation/worst-0.png"), "data:image/png;base64,AAAA"],
  ]);
  const html = detailSections(one, pictures);
  const cards = html.match(/<li .*?<\/li>/g)!;
  assert.equal(cards.length, 20);
  assert.match(cards[0], /<img src="data:image\/png;base64,AAAA" alt="Test sample 0">/);
  assert.match(
    cards[0],
    /<span>given c&lt;0&gt;<\/span><span>probability 12\.5\u00a0%<\/span><span>loss –<\/span>/,
  );
  assert.match(cards[1], /The picture of sample 1 is missing/);
  const several = [...one, run("sam", evaluation([1, 1], 30))];
  assert.equal(shownPictures(several).length, 12);
  assert.equal(detailSections(several, pictures).match(/<li /g)!.length, 12);
});

test("a legend names the colors of pictures, which are wide where several stand beside each other", () => {
  const made = evaluation([1, 1]);
  const [set] = made.details.samples;
  const legend = [{ label: "ground" }, { label: "a <b>", color: "#e6194b" }];
  const details = { ...made.details, samples: [{ ...set, panels: 3, legend }] };
  const html = detailSections([run("sgd", { ...made, details })], new Map());
  assert.match(html, /<ul class="samples wide">/);
  assert.match(html, /<ul class="key"><li><svg[^>]*>.*?fill="none".*?<\/svg>ground \(no color\)<\/li>/);
  assert.match(html, /fill="#e6194b"[^>]*\/><\/svg>a &lt;b&gt;<\/li><\/ul>/);
  const plain = detailSections([run("sgd", made)], new Map());
  assert.doesNotMatch(plain, /class="key"|wide/);
});

test("a matrix is a chart for each run, told in words", () => {
  const [figure, ...others] = detailFigures([
    run("sgd", evaluation([1, 1])),
    run("none"),
    run("sam", evaluation([1, 1])),
  ]);
  assert.equal(others.length, 0);
  const charts = figure.charts as MatrixChart[];
  assert.deepEqual(
    charts.map(({ id, title }) => [id, title]),
    [
      ["confusion-1", "sgd"],
      ["confusion-2", "sam"],
    ],
  );
  assert.equal(
    charts[0].alternative,
    "Confusion, given by predicted: 8 of 10 on the diagonal. Most frequent off it: c<0> as c<1> 2.",
  );
  assert.deepEqual(detailFigures([run("none")]), []);
});

test("the terminal shows tables of many rows in part", () => {
  const text = detailTables(evaluation(Array.from({ length: 50 }, () => 0.25)).details);
  const lines = text.split("\n");
  assert.deepEqual([lines[0], lines.at(-1)], ["By class", "… and 10 more (--json has all)"]);
  assert.match(lines[1], /^class +images +recall % +mistaken for$/);
  assert.match(lines[2], /^c<0> +1,234 +25\.0 +c<1> \(3\)$/);
  assert.equal(lines.length, 43);
});

test("the report of a run holds its evaluation, pictures inside; a damaged one is told, an older run has none", async () => {
  const folder = join(root, "run");
  await train({
    ...{ data: "digits", model: "mlp", epochs: 1, limit: 320, batchSize: 64, threads: 1, out: folder },
    ...{ optimizer: { method: "sgd" }, sharpness: { images: 64 } },
  });
  const page = async () => readFileSync(await writeReport(folder), "utf8");
  const holdsEvaluation = (html: string) => /id="chart-confusion-1"|alt="Test sample/.test(html);
  const html = await page();
  const record: EvaluationRecord = readJsonFile(folder, "evaluation.json");
  const [{ rows }] = record.details.tables;
  for (const { name, values } of rows)
    assert.ok(html.includes(`<tr><th scope="row">${name}</th><td>${values[0]}</td>`), name);
  const [{ items }] = record.details.samples;
  const file = readFileSync(join(folder, items[0].picture)).toString("base64");
  assert.ok(html.includes(`<img src="data:image/png;base64,${file}" alt="Test sample ${items[0].index}">`));
  assert.equal(html.match(/<img src="data:/g)!.length, 20);
  assert.ok(html.includes('id="chart-confusion-1"') && holdsEvaluation(html));
  rmSync(join(folder, items[0].picture));
  assert.equal((await page()).match(/<img src="data:/g)!.length, 19);
  copyFileSync(join(folder, "evaluation.json"), join(root, "kept.json"));
  writeFileSync(join(folder, "evaluation.json"), "{}");
  await assert.rejects(page(), /evaluation\.json is damaged: format is missing/);
  rmSync(join(folder, "evaluation.json"));
  assert.ok(!holdsEvaluation(await page()));
  // A run that went on after its evaluation is not shown with it.
  copyFileSync(join(root, "kept.json"), join(folder, "evaluation.json"));
  const metrics = readFileSync(join(folder, "metrics.jsonl"), "utf8");
  const [last] = metrics.trim().split("\n").slice(-1);
  writeFileSync(
    join(folder, "metrics.jsonl"),
    `${metrics}${JSON.stringify({ ...JSON.parse(last), epoch: 2 })}\n`,
  );
  assert.ok(!holdsEvaluation(await page()));
});
