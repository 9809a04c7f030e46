import assert from "node:assert/strict";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Script } from "node:vm";
import { UserError } from "../common/errors.ts";
import { parseRun, type RunSettings } from "../runs/configuration.ts";
import { taskRecord, tasks } from "../tasks/index.ts";
import type { EpochRecord, Measurements, RunRecord, RunSummary, StepRecord } from "../train/records.ts";
import type { MetricInfo } from "../train/task-record.ts";
import type { ReportData } from "./data.ts";
import { describe } from "./description.ts";
import type { LineChart } from "./drawing/chart.ts";
import { findingsOf } from "./findings.ts";
import { writeReport } from "./html.ts";
import { readComparison, readRun } from "./read.ts";
import { comparisonTable } from "./table.ts";

const root = mkdtempSync(join(tmpdir(), "lowland-report-"));
after(() => rmSync(root, { recursive: true, force: true }));

test("a comparison is read in its order, with runs that are unfinished, cut off or not started", async () => {
  const folder = comparison([sgd(0.757), bilateral(0.815), { ...sam(0.1, 0.8), name: "later" }]);
  rmSync(join(folder, "bilateral", "summary.json"));
  appendFileSync(join(folder, "bilateral", "metrics.jsonl"), '{"type":"step","step":7,"ep');
  rmSync(join(folder, "later"), { recursive: true });
  const { runs, name } = await readComparison(folder);
  assert.equal(name, "example");
  const states = runs.map((run) => `${run.name}: ${run.status}`).join(", ");
  assert.equal(states, "sgd: finished, bilateral: unfinished, later: not started");
  assert.equal(runs[1]!.steps.length, 6);
  assert.equal(runs[1]!.outcome?.metrics?.accuracy, 0.815);
  assert.equal(runs[2]!.outcome, undefined);
});

test("a resumed run counts the later of two lines for a step, and metrics newer than the summary", async () => {
  const folder = join(comparison([sgd(0.7)]), "sgd");
  const again = [step(5, 3, { loss: 9 }), step(6, 3, { loss: 9 }), epoch(3, 6, 0.72), epoch(4, 8, 0.74)];
  appendFileSync(
    join(folder, "metrics.jsonl"),
    again.map((record) => `${JSON.stringify(record)}\n`).join(""),
  );
  const run = await readRun(folder);
  assert.equal(
    run.steps.map((record) => `${record.step}:${record.loss}`).join(" "),
    "1:1 2:1 3:1 4:1 5:9 6:9",
  );
  assert.equal(
    run.epochs.map((record) => record.metrics!.accuracy.toFixed(2)).join(" "),
    "0.50 0.60 0.72 0.74",
  );
  assert.equal(run.status, "unfinished");
  assert.equal(run.outcome?.metrics?.accuracy, 0.74);
});

test("what cannot be read is named in one sentence", async () => {
  const empty = mkdtempSync(join(root, "empty-"));
  await assert.rejects(writeReport(empty), (error) =>
    isAbout(error, /neither a run folder .* nor a comparison folder/),
  );
  const folder = comparison([sgd(0.7)]);
  const metrics = join(folder, "sgd", "metrics.jsonl");
  writeFileSync(metrics, `not a record\n${readFileSync(metrics, "utf8")}`);
  await assert.rejects(readComparison(folder), (error) => isAbout(error, /metrics\.jsonl: line 1 is not/));
  writeFileSync(join(folder, "comparison.json"), '{"runs": "sgd"}');
  await assert.rejects(readComparison(folder), (error) => isAbout(error, /"runs" must be a list/));
  writeFileSync(join(folder, "comparison.json"), '{"runs": ');
  await assert.rejects(readComparison(folder), (error) =>
    isAbout(error, /comparison\.json is not a JSON object/),
  );
});

test("the table fits its width, aligns numbers right and stars every run that shows the best value", async () => {
  const read = await readComparison(comparison(five()));
  for (const options of [{}, { color: true }, { width: 80 }, { width: 80, color: true }]) {
    const width = options.width ?? 100;
    const lines = plain(comparisonTable(read, options)).split("\n");
    for (const line of lines) assert.ok(line.length <= width, `${width}: ${line}`);
  }
  const text = comparisonTable(read);
  assert.equal(text, plain(text), "no color unless asked for");
  assert.match(text, /sam \(ρ 0\.1\) +81\.5\*/);
  assert.match(text, /bilateral-sam \(paper.* +81\.5\*/);
  assert.doesNotMatch(text, /81\.2\*|75\.7\*/);
  assert.match(text, /% wrong/);
  assert.match(text, /ρ = 0\.05 on 1,000 fixed training images/);
  assert.notEqual(comparisonTable(read, { color: true }), plain(comparisonTable(read, { color: true })));
});

test("columns without numbers are left out, a diverged run shows dashes, different radii are not compared", async () => {
  const diverged = { ...sam(0.1, 0.1), testLoss: Number.NaN };
  const clean = comparison([
    { ...sgd(0.9), wrong: undefined },
    { ...diverged, wrong: undefined, rho: 0.1 },
  ]);
  const text = comparisonTable(await readComparison(clean));
  assert.doesNotMatch(text, /% wrong|NaN|null/);
  assert.match(text, /sam \(ρ 0\.1\) +10\.0 +–/);
  assert.match(text, /different radii/);
  const findings = findingsOf((await readComparison(clean)).runs);
  assert.match(topic(findings, "Flatness"), /different radii/);
});

test("the findings name the winners, the gain over SGD and what the radius-matched SAM says", async () => {
  const findings = findingsOf((await readComparison(comparison(five()))).runs);
  const accuracy = topic(findings, "Test accuracy");
  assert.match(accuracy, /sam \(ρ 0\.1\) and bilateral-sam \(paper\) share the best test accuracy, 81\.5 %/);
  assert.match(accuracy, /SGD has 75\.7 %, 5\.8 points less/);
  const text = topic(findings, "Bilateral SAM");
  assert.match(text, /bilateral-sam \(paper\) is 5\.8 points above SGD and level with sam \(ρ 0\.1\)/);
  assert.match(
    text,
    /bilateral-sam \(released\) is 5\.5 points above SGD and 0\.3 points below sam \(ρ 0\.1\)/,
  );
  assert.match(topic(findings, "Wrong labels learned"), /SGD 62\.0 %/);
  assert.match(topic(findings, "Cost"), /bilateral-sam \(released\): 18 gradients \(3 times SGD's\)/);
  assert.match(topic(findings, "How far to trust this"), /one seed/);
});

test("when SGD wins the findings say so, and a missing control is named", async () => {
  const runs = [sgd(0.85), sam(0.05, 0.82), bilateral(0.84)];
  const findings = findingsOf((await readComparison(comparison(runs))).runs);
  assert.match(
    topic(findings, "Test accuracy"),
    /SGD wins here: bilateral-sam \(paper\), .* is 1 point behind/,
  );
  assert.match(topic(findings, "Bilateral SAM"), /1 point below SGD/);
  assert.match(topic(findings, "Bilateral SAM"), /No SAM run with the total radius .*\(ρ = 0\.1\)/);
});

test("metrics of other tasks: the lower may be the better, and not all are shares", async () => {
  const error: MetricInfo = { name: "accuracy", label: "test error", unit: "", better: "lower" };
  const fit: MetricInfo = {
    name: "wrongLabelAccuracy",
    label: "R²",
    unit: "",
    better: "higher",
    meaning: "a fit",
  };
  const { runs } = await readComparison(
    comparison([{ ...sgd(0.757), peak: 0.5 }, sam(0.05, 0.803), bilateral(0.75)]),
  );
  const findings = findingsOf(runs, [error, fit]);
  assert.match(
    topic(findings, "Test error"),
    /^bilateral-sam \(paper\) has the best test error, 0\.750\. SGD has 0\.757, 0\.007 more\.$/,
  );
  assert.match(topic(findings, "Bilateral SAM"), /is 0\.007 below SGD/);
  assert.match(
    topic(findings, "During training"),
    /^SGD was at 0\.500 after epoch 2 and lost 0\.257 by the end/,
  );
  assert.equal(
    topic(findings, "R²"),
    "bilateral-sam (paper) 0.110, sam (ρ 0.05) 0.220 and SGD 0.620. A fit. The higher, the better.",
  );
  const upward = findingsOf(runs, [{ ...error, better: "higher" }]);
  assert.match(topic(upward, "Test error"), /sam \(ρ 0\.05\) has the best test error, 0\.803/);
});

test("a run under way is left out of the findings, and a fall from a higher accuracy is told", async () => {
  const folder = comparison([{ ...sgd(0.75), peak: 0.8 }, bilateral(0.9)]);
  rmSync(join(folder, "bilateral", "summary.json"));
  const findings = findingsOf((await readComparison(folder)).runs);
  assert.match(topic(findings, "Not finished"), /unfinished after epoch 3\) is left out/);
  assert.match(topic(findings, "Test accuracy"), /^The test accuracy of SGD is 75\.0 %/);
  assert.match(topic(findings, "During training"), /SGD was at 80\.0 % after epoch 2 and lost 5\.0 points/);
  assert.equal(findingsOf([])[0]?.topic, "Nothing yet");
});

test("the description uses the settings that are there and names those that differ", async () => {
  const { runs } = await readComparison(comparison(five()));
  assert.match(
    describe(runs),
    /^mlp \(1,000 parameters\) was trained on 4,000 training images of fashion-mnist, 40 % of them with a wrong label, once with each of 5 optimizers: 3 epochs, batches of 128/,
  );
  runs[1]!.record!.configuration = { ...runs[1]!.record!.configuration, learningRate: 0.2 };
  assert.match(describe(runs), /differ in more than their optimizer: learningRate\./);
  for (const run of runs) run.record!.configuration = {};
  assert.match(
    describe(runs),
    /^A network .* was trained on the training images, once with each of 5 optimizers\.$/,
  );
});

test("the description says how images are augmented, in the document's own format", async () => {
  const lead = async (augmentation: RunSettings["augmentation"]) => {
    const { runs } = await readComparison(comparison(five()));
    for (const run of runs) run.record!.configuration = { ...parseRun({ augmentation }) };
    return describe(runs);
  };
  assert.match(await lead({ flip: true }), /, images augmented by flips, seed 1\./);
  assert.match(
    await lead({ crop: 2, flip: true }),
    /, images augmented by flips and crops padded by 2, seed/,
  );
  assert.match(
    await lead({ crop: 2, flip: true, cutout: { size: 8 } }),
    /, images augmented by flips, crops padded by 2 and cutout of 8×8 in 50 %, seed/,
  );
  for (const none of [undefined, {}, { flip: false, crop: 0 }]) {
    assert.doesNotMatch(await lead(none), /augment/);
  }
});

test("the page is one file that loads nothing, stays small and whose script parses", async () => {
  const folder = comparison(five());
  const path = await writeReport(folder);
  assert.equal(path, join(folder, "report.html"));
  assert.ok(readdirSync(folder).every((name) => !name.endsWith(".partial")));
  const html = readFileSync(path, "utf8");
  assert.ok(html.length < 1_300_000, String(html.length));
  assert.doesNotMatch(
    markup(html),
    /<(?:link|img|iframe)\b[^>]*(?:href|src)=|<script[^>]+src=|@import|url\(/,
  );
  assert.match(html, /Content-Security-Policy" content="default-src 'none'/);
  for (const [, source] of html.matchAll(/<script>([\s\S]*?)<\/script>/g)) new Script(source!);
  for (const id of [
    "test-accuracy",
    "wrong-labels-learned",
    "bilateral-sharpness",
    "scale",
    "conflict",
    "rho-min",
  ]) {
    assert.match(html, new RegExp(`id="chart-${id}" role="img" aria-label="[^"]{20,}"`));
  }
  assert.match(html, /<strong>81\.5<\/strong>/);
});

test("the page's charts hold the runs' numbers, against each axis, and its downloads every epoch", async () => {
  const folder = comparison([sgd(0.757), sam(0.1, 0.815)]);
  const html = readFileSync(await writeReport(folder), "utf8");
  const { charts, files, data } = JSON.parse(
    /<script type="application\/json" id="page-data">([\s\S]*?)<\/script>/.exec(html)![1]!,
  ) as { charts: LineChart[]; files: Record<string, { text: string }>; data: ReportData };
  const chart = charts.find(({ id }) => id === "test-accuracy")!;
  assert.deepEqual([chart.y.name, chart.y.percent], ["%", true]);
  assert.deepEqual(
    [chart, ...chart.views!].map(({ x, lines }) => [
      x.name,
      lines[1]!.name,
      lines[1]!.style,
      lines[1]!.points,
    ]),
    [
      [
        "epoch",
        [
          [1, 0.615],
          [2, 0.715],
          [3, 0.815],
        ],
      ],
      [
        "gradient evaluations",
        [
          [4, 0.615],
          [8, 0.715],
          [12, 0.815],
        ],
      ],
      [
        "seconds of training",
        [
          [2, 0.615],
          [4, 0.715],
          [6, 0.815],
        ],
      ],
    ].map(([name, points]) => [name, "sam (ρ 0.1)", 1, points]),
  );
  const choices = [...html.matchAll(/<input type="radio" name="axis-learning" value="([^"]*)"/g)];
  assert.deepEqual(
    choices.map(([, name]) => name),
    ["epoch", "gradient evaluations", "seconds of training"],
  );
  const rows = (text: string) => text.trimEnd().split("\r\n");
  const [head, first] = rows(files.epochs!.text);
  assert.match(head!, /^run,optimizer,epoch,step,gradientEvaluations,trainingSeconds,metrics\.accuracy,/);
  assert.match(first!, /^sgd,sgd,1,2,2,1,0\.557,0\.62,/);
  assert.equal(rows(files.epochs!.text).length, 1 + 2 * 3);
  const [names, ended] = rows(files.results!.text).map((line) => line.split(","));
  const column = (name: string) => ended![names!.indexOf(name)];
  assert.deepEqual(
    [column("run"), column("status"), column("metrics.accuracy"), column("sharpness.rho"), column("epochs")],
    ["sgd", "finished", "0.757", "0.05", "3"],
  );
  assert.equal(names!.filter((name) => name === "optimizer").length, 1);
  assert.deepEqual(
    data.runs.map(({ outcome }) => outcome?.metrics),
    [
      { accuracy: 0.757, wrongLabelAccuracy: 0.62 },
      { accuracy: 0.815, wrongLabelAccuracy: 0.22 },
    ],
  );
});

test("a single run makes a page of its own, even before its first epoch", async () => {
  const folder = join(comparison([sgd(0.7)]), "sgd");
  const html = readFileSync(await writeReport(folder), "utf8");
  assert.match(html, /<h1>sgd<\/h1>/);
  assert.doesNotMatch(html, /id="chart-scale"/);
  rmSync(join(folder, "summary.json"));
  writeFileSync(join(folder, "metrics.jsonl"), "");
  assert.match(readFileSync(await writeReport(folder), "utf8"), /No run has been measured yet/);
});

test("names and settings cannot become markup", async () => {
  const evil = `<img src=x onerror=alert(1)>"'&</script><script>alert(2)</script><!--`;
  const folder = comparison([{ ...sgd(0.7), label: evil, data: evil }, bilateral(0.8)], evil);
  const html = readFileSync(await writeReport(folder), "utf8");
  assert.doesNotMatch(markup(html), /<img|<script>alert|onerror=alert\(1\)>"/);
  const data = /<script type="application\/json" id="page-data">([\s\S]*?)<\/script>/.exec(html)![1]!;
  assert.equal((JSON.parse(data) as { title: string }).title, evil);
});

test("a report that cannot be written leaves the old one and nothing beside it", async () => {
  const folder = comparison([sgd(0.7)]);
  mkdirSync(join(folder, "report.html"));
  await assert.rejects(writeReport(folder), (error) => isAbout(error, /report\.html could not be written/));
  assert.ok(existsSync(join(folder, "report.html")));
  assert.ok(readdirSync(folder).every((name) => !name.endsWith(".partial")));
});

interface Example {
  name: string;
  label: string;
  optimizer: Record<string, unknown>;
  evaluations: number;
  accuracy: number;
  peak?: number;
  testLoss?: number;
  wrong?: number;
  rho?: number;
  data?: string;
}

function sgd(accuracy: number): Example {
  return { name: "sgd", label: "sgd", optimizer: { method: "sgd" }, evaluations: 1, accuracy, wrong: 0.62 };
}

function sam(rho: number, accuracy: number): Example {
  const optimizer = { method: "sam", rho };
  return { name: `sam-${rho}`, label: `sam (ρ ${rho})`, optimizer, evaluations: 2, accuracy, wrong: 0.22 };
}

function bilateral(accuracy: number, variant = "paper"): Example {
  const optimizer = { method: "bilateral-sam", variant, rhoMax: 0.05, rhoMin: 0.05 };
  const label = `bilateral-sam (${variant}, ρmax 0.05, ρmin 0.05→0)`;
  const name = variant === "paper" ? "bilateral" : `bilateral-${variant}`;
  return { name, label, optimizer, evaluations: 3, accuracy, wrong: 0.11 };
}

function five(): Example[] {
  return [sgd(0.757), sam(0.05, 0.803), sam(0.1, 0.815), bilateral(0.815), bilateral(0.812, "released")];
}

/** Writes a comparison of runs of three epochs of two steps. */
function comparison(examples: Example[], name = "example"): string {
  const folder = mkdtempSync(join(root, "runs-"));
  writeJson(join(folder, "comparison.json"), {
    name,
    createdAt: "2025-01-02T03:04:05Z",
    runs: examples.map((e) => e.name),
  });
  for (const example of examples) writeRun(join(folder, example.name), example);
  return folder;
}

function writeRun(folder: string, example: Example): void {
  mkdirSync(folder);
  const { name, optimizer, accuracy } = example;
  const record: RunRecord = {
    format: 3,
    name,
    task: taskRecord(tasks.classification),
    createdAt: "2025-01-02T03:04:05Z",
    configuration: {
      data: example.data ?? "fashion-mnist",
      limit: 4000,
      labelNoise: 0.4,
      model: "mlp",
      epochs: 3,
      batchSize: 128,
      learningRate: 0.05,
      schedule: "cosine",
      seed: 1,
      optimizer,
    },
    versions: { node: "20.19.0" },
    machine: { platform: "linux", arch: "x64", cpu: "cpu", cores: 2, memoryGiB: 8 },
  };
  const inside = optimizer.method === "bilateral-sam" ? { scale: 1.2, cosGradMin: 0.5, curvature: 3 } : {};
  const lines: (StepRecord | EpochRecord)[] = [];
  const accuracies = [accuracy - 0.2, example.peak ?? accuracy - 0.1, accuracy];
  accuracies.forEach((value, index) => {
    for (const number of [2 * index + 1, 2 * index + 2]) {
      const scalars: StepRecord["scalars"] =
        "scale" in inside ? { rhoMax: 0.05, rhoMin: 0.05 * (1 - (number - 1) / 6) } : {};
      lines.push(step(number, index + 1, { ...inside, scalars }));
    }
    lines.push(epoch(index + 1, 2 * index + 2, value, example));
  });
  const {
    type,
    epoch: epochs,
    step: steps,
    examplesPerSecond,
    ...last
  } = lines.at(-1) as EpochRecord & Measurements;
  const summary: RunSummary = {
    ...last,
    name,
    task: "classification",
    optimizer: example.label,
    method: String(optimizer.method),
    base: "sgd",
    status: "finished",
    epochs,
    steps,
    parameters: 1000,
  };
  writeJson(join(folder, "run.json"), record);
  writeJson(join(folder, "summary.json"), summary);
  writeFileSync(join(folder, "metrics.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

function step(number: number, epochNumber: number, more: Partial<StepRecord> = {}): StepRecord {
  return {
    type: "step",
    step: number,
    epoch: epochNumber,
    learningRate: 0.05,
    scalars: {},
    loss: 1,
    gradNorm: 1,
    directionNorm: 1,
    ...more,
  };
}

function epoch(number: number, steps: number, testAccuracy: number, example?: Example): EpochRecord {
  const { evaluations = 1, testLoss = 1 - testAccuracy, wrong, rho = 0.05 } = example ?? {};
  const sharpness = {
    rho,
    images: 1000,
    loss: 1,
    maxSharpness: 0.2 - 0.2 * testAccuracy,
    minSharpness: 0.1,
    bilateralSharpness: 0.3 - 0.2 * testAccuracy,
    gradNorm: 1,
  };
  return {
    type: "epoch",
    epoch: number,
    step: steps,
    trainLoss: 1,
    testLoss,
    metrics: { accuracy: testAccuracy, ...(wrong !== undefined && { wrongLabelAccuracy: wrong }) },
    sharpness,
    seconds: evaluations,
    examplesPerSecond: 100,
    gradientEvaluations: steps * evaluations,
  };
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, JSON.stringify(value));
}

function topic(findings: { topic: string; text: string }[], name: string): string {
  return findings.find((finding) => finding.topic === name)?.text ?? "";
}

function isAbout(error: unknown, pattern: RegExp): boolean {
  return error instanceof UserError && pattern.test(error.message);
}

/** The page without its two programs: ECharts holds strings of markup. */
function markup(html: string): string {
  const parts = html.split(/<script>[\s\S]*?<\/script>/);
  assert.equal(parts.length, 3, "two scripts and no more");
  return parts.join("");
}

/** Without the terminal's color sequences. */
function plain(text: string): string {
  return text.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, "g"), "");
}
