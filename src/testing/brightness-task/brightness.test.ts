import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { loadDataset } from "../../data/catalogue.ts";
import type { DatasetPair } from "../../data/source.ts";
import { compile } from "../../lower/compile.ts";
import { flatten, linear, sequential } from "../../nn/layers.ts";
import { buildModel, initialTensors, type Layer } from "../../nn/module.ts";
import { readModel } from "../../onnx/model.ts";
import { softmax } from "../../ops/softmax.ts";
import { chartFigures } from "../../report/charts.ts";
import { reportData } from "../../report/data.ts";
import { describe as describeRuns } from "../../report/description.ts";
import { findingsOf } from "../../report/findings.ts";
import { metricsOfRuns, readComparison } from "../../report/read.ts";
import { comparisonTable } from "../../report/table.ts";
import { train } from "../../runs/train.ts";
import { startNode, temporaryFolder, timelessMetrics } from "../cli.ts";
import { brightness } from "./brightness.ts";

// A task is one folder and one line: this one is given to `train`, and added to the table of tasks of a copy of the
// compiled package, whose every command then knows it.

const root = temporaryFolder();
const settings = {
  data: "digits",
  model: "mlp",
  optimizer: { method: "sgd" },
  epochs: 10,
  batchSize: 32,
  learningRate: 0.05,
  sharpness: { images: 100 },
  threads: 1,
} as const;
const json = (...path: string[]) => JSON.parse(readFileSync(join(root, ...path), "utf8"));

let digits: DatasetPair;
before(async () => {
  digits = await loadDataset("digits");
});

const meanOf = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;

describe("given to train as an object", () => {
  test("it trains, writes its metrics by their names, and its model tells how bright pictures are", async () => {
    const out = join(root, "own");
    const { summary, model } = await train({ ...settings, task: brightness, dimming: 0.2, out });
    assert.ok(summary);
    assert.ok(summary.metrics.r2 > 0.6, `R² ${summary.metrics.r2}`);
    assert.deepEqual(Object.keys(summary.metrics), ["r2", "error"]);
    const { name, examples, loss, metrics } = brightness;
    const { task, configuration } = json("own", "run.json");
    assert.deepEqual(task, { name, examples, loss, metrics });
    assert.deepEqual([configuration.task, configuration.dimming], ["brightness", 0.2]);

    const proto = readModel(model);
    const metadata = Object.fromEntries(
      proto.metadataProps.map(({ key, value }) => [key, JSON.parse(value)]),
    );
    assert.deepEqual(metadata, {
      "lowland.task": "brightness",
      "lowland.input": { layout: "NCHW", channels: "gray", range: [0, 16] },
    });
    const session = await InferenceSession.create(model);
    assert.deepEqual([session.inputNames, session.outputNames], [["input"], ["brightness"]]);
    const samples = Array.from(
      { length: digits.test.count },
      (_, index) => digits.test.read(index).image.data,
    );
    const pixels = Float32Array.from(samples.flatMap((image) => Array.from(image)));
    const { brightness: given } = await session.run({
      input: new Tensor("float32", pixels, [samples.length, 1, 8, 8]),
    });
    const errors = samples.map((image, index) => Math.abs(Number(given.data[index]) - meanOf(image) / 16));
    assert.ok(Math.abs(16 * meanOf(errors) - summary.metrics.error) < 1e-4);
  });

  test("tables, sentences and charts speak of it in its own words, without its code", async () => {
    const comparison = await readComparison(join(root, "own"));
    const { runs } = comparison;
    const figures = chartFigures(reportData(comparison), metricsOfRuns(runs));
    const shown = [
      comparisonTable(comparison),
      describeRuns(runs),
      ...findingsOf(runs).map(({ topic, text }) => `${topic}: ${text}`),
      ...figures.flatMap(({ title, text, charts }) => [
        title,
        ...text,
        ...charts.map(({ title: own, alternative }) => `${own} ${alternative}`),
        ...charts.map((chart) => (chart.kind === "lines" ? chart.y.name : "")),
      ]),
    ].join("\n");
    for (const own of ["R²", "test error", "levels", "training pictures"])
      assert.ok(shown.includes(own), `${own} in:\n${shown}`);
    for (const other of [/accuracy/i, /cross entropy/i, /nats/, /image/i, /class/i])
      assert.doesNotMatch(shown, other);
  });

  test("what does not fit is refused in a sentence", async () => {
    const refused = (options: Parameters<typeof train>[0], message: RegExp) =>
      assert.rejects(train(options), { name: "UserError", message });
    await refused(
      { ...settings, task: brightness, dimming: 2 } as never,
      /^dimming is 2; it has to be less than 1$/,
    );
    await refused(
      { ...settings, task: brightness, labelNoise: 0.1 } as never,
      /^labelNoise is a setting of classification, and the task is brightness; leave it out$/,
    );
    await refused(
      { ...settings, task: { ...brightness, name: "classification" } },
      /^task: Lowland has a task "classification" of its own; give yours another name$/,
    );
    await refused(
      { ...settings, task: { ...brightness, settings: { seed: brightness.settings.dimming } } } as never,
      /^the task brightness has a setting "seed", and so has every run; give the task's another name$/,
    );
    const two: Layer = sequential({ flatten: flatten(), fc: linear(64, 2) });
    await refused(
      { ...settings, task: brightness, model: two },
      /^the network gives \[32, 2\] for a batch of 32; for digits it has to give \[batch, 1\]$/,
    );
  });

  test("a file of ten outputs gets a head of one; one that ends in a Softmax is refused", async () => {
    const fileOf = (name: string, layer: Layer) => {
      const model = buildModel(layer, { inputShape: [1, 8, 8], batchSize: 1, training: false });
      model.graph.output("y", model.logits);
      const file = join(root, name);
      const weights = new Map(Object.entries(initialTensors(model, 3)));
      writeFileSync(file, compile(model.graph, { weights, symbolicBatch: "batch" }));
      return file;
    };
    const ten = sequential({ flatten: flatten(), fc: linear(64, 10) });
    const file = fileOf("ten.onnx", ten);
    const notes: string[] = [];
    const { summary, model } = await train({
      ...{ ...settings, task: brightness, model: { file }, learningRate: 0.02 },
      onNote: (note) => notes.push(note),
    });
    assert.match(notes[0], / is re-initialized: 64 features → 1 outputs in place of 10$/);
    assert.ok(summary && summary.metrics.r2 > 0.5, `R² ${summary?.metrics.r2}`);
    assert.deepEqual((await InferenceSession.create(model)).outputNames, ["y"]);
    const likely = fileOf("likely.onnx", (x, scope) => softmax(ten(x, scope)));
    await assert.rejects(train({ ...settings, task: brightness, model: { file: likely } }), {
      name: "UserError",
      message:
        'output "y" holds probabilities of classes, and the task takes values; export the model without its Softmax, or name another output (output, --output)',
    });
  });
});

/** The compiled package with one more folder and one more line. */
function packageWithTask(): string {
  const folder = join(root, "package");
  const at = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
  mkdirSync(folder);
  cpSync(at("dist"), join(folder, "dist"), {
    recursive: true,
    filter: (path) => !path.includes("testing") && !/\.(test\.js|d\.ts)$/.test(path),
  });
  cpSync(at("package.json"), join(folder, "package.json"));
  for (const name of ["node_modules", "assets"]) symlinkSync(at(name), join(folder, name));
  cpSync(
    at("dist/testing/brightness-task/brightness.js"),
    join(folder, "dist/tasks/brightness/brightness.js"),
  );
  const index = join(folder, "dist/tasks/index.js");
  const text = readFileSync(index, "utf8");
  const line = /export const tasks = \{/;
  assert.match(text, line);
  writeFileSync(
    index,
    `import { brightness } from "./brightness/brightness.js";\n${text.replace(line, "$& brightness,")}`,
  );
  return join(folder, "dist/cli/main.js");
}

describe("as a line of the table of tasks", { skip: process.platform === "win32" }, () => {
  let program: string;
  before(() => {
    program = packageWithTask();
    const document = { ...settings, task: "brightness", dimming: 0.2 };
    writeFileSync(join(root, "run.json"), JSON.stringify(document));
    const { optimizer: _, ...shared } = document;
    const methods = ["sgd", "bilateral-sam"].map((method) => ({ name: method, optimizer: { method } }));
    writeFileSync(join(root, "comparison.json"), JSON.stringify({ ...shared, epochs: 2, runs: methods }));
  });
  const start = (...args: string[]) => startNode([program, ...args], { cwd: root });
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await start(...args).ended;
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return { stdout, stderr };
  };

  test("it trains, and a run that was killed is resumed to the same bits", async () => {
    const args = ["train", "--config", "run.json"];
    await run(...args, "--out", "whole");
    const { child, ended } = start(...args, "--out", "killed");
    const metrics = join(root, "killed", "metrics.jsonl");
    while (
      child.exitCode === null &&
      !(existsSync(metrics) && readFileSync(metrics, "utf8").includes('"epoch":2,'))
    )
      await wait(5);
    child.kill("SIGKILL");
    await ended;
    await run(...args, "--out", "killed", "--resume");
    const [whole, killed] = ["whole", "killed"].map((out) => join(root, out));
    assert.deepEqual(timelessMetrics(killed), timelessMetrics(whole));
    const model = (folder: string) => readFileSync(join(folder, "model.onnx"));
    assert.ok(model(killed).equals(model(whole)), "the same model");
    assert.ok(existsSync(join(whole, "report.html")));
  });

  test("its run is evaluated as it was at its end", async () => {
    const { metrics, testLoss } = json("whole", "summary.json");
    const { stdout } = await run("evaluate", "whole", "--json", "--threads", "1");
    const result = JSON.parse(stdout);
    assert.deepEqual([result.task, result.examples], ["brightness", 360]);
    assert.ok(Math.abs(result.loss - testLoss) < 1e-6);
    assert.ok(Math.abs(result.metrics.r2 - metrics.r2) < 1e-4);
    assert.match(
      (await run("evaluate", "whole", "--threads", "1")).stdout,
      /^whole\/model\.onnx on 360 test pictures of digits: R² 0\.\d{4}, error \d\.\d{3} levels, loss /,
    );
  });

  test("flatness and landscapes of its run are those of its own loss and metrics", async () => {
    const { testLoss, metrics } = json("whole", "summary.json");
    const few = ["--threads", "1", "--subset", "360", "--batch-size", "180"];
    const { stdout } = await run("flatness", "whole", ...few, "--measure", "sharpness", "--steps", "1");
    assert.match(stdout, /the first 360 test pictures of digits in batches of 180: mean squared error/);
    const record = json("whole", "flatness.json");
    assert.ok(Math.abs(record.loss - testLoss) < 1e-6);
    assert.ok(Math.abs(record.metrics.error - metrics.error) < 1e-4);
    assert.equal(record.description.dimming, 0.2);
    assert.ok(
      record.sharpness.every(
        ({ oneStep }: { oneStep: { maxSharpness: number } }) => oneStep.maxSharpness > 0,
      ),
    );
    await run("landscape", "whole", ...few, "--line", "--points", "5");
    const { grid } = json("whole", "landscape.json");
    assert.ok(Math.abs(grid.loss[2] - testLoss) < 1e-6);
    assert.ok(Math.abs(grid.metrics.error[2] - metrics.error) < 1e-4);
  });

  test("a comparison of it has its metrics for columns", async () => {
    const { stdout } = await run("compare", "--config", "comparison.json", "--out", "both");
    assert.match(stdout, /\bR²/);
    assert.match(stdout, /levels/);
    assert.doesNotMatch(stdout, /accuracy|image/);
    assert.ok(existsSync(join(root, "both", "report.html")));
  });

  test("predict refuses its model, and Lowland without it refuses its run, in a sentence", async () => {
    const predicted = await start("predict", "whole", "picture.png").ended;
    assert.equal(predicted.code, 2);
    assert.equal(
      predicted.stderr,
      "lowland: whole/model.onnx is a model for brightness; predict names the classes that a model for classification sees in pictures\n",
    );
    const without = fileURLToPath(new URL("../../cli/main.js", import.meta.url));
    const evaluated = await startNode([without, "evaluate", "whole"], { cwd: root }).ended;
    assert.equal(evaluated.code, 2);
    assert.match(
      evaluated.stderr,
      /^lowland: there is no task "brightness" in this version of Lowland, only /,
    );
  });
});
