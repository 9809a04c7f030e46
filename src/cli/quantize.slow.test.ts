import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { readModel, writeModel } from "../onnx/model.ts";
import { train } from "../runs/train.ts";
import { lowland, refusal, temporaryFolder } from "../testing/cli.ts";

const root = temporaryFolder();
const run = join(root, "run");

before(async () => {
  const settings = {
    data: "digits",
    model: "cnn",
    optimizer: { method: "sgd" },
    learningRate: 0.05,
  } as const;
  await train({ ...settings, epochs: 2, evaluateEvery: 2, threads: 1, out: run });
});

test("a run becomes a file of integers that is as accurate, a third of the size, and evaluated as any file", async () => {
  const out = join(root, "small.onnx");
  const args = ["--weights", "6", "--layer", "conv3=float", "--calibration", "100", "--correct-biases"];
  const ended = await lowland(["quantize", run, "--out", out, ...args, "--threads", "1", "--json"]);
  assert.equal(ended.code, 0, ended.stderr);
  const { float, fake, executed, agreement, layers, operators, size, latency } = JSON.parse(ended.stdout);
  assert.ok(float.metrics.accuracy > 0.9, String(float.metrics.accuracy));
  assert.ok(Math.abs(fake.metrics.accuracy - float.metrics.accuracy) < 0.02);
  assert.ok(Math.abs(executed.metrics.accuracy - fake.metrics.accuracy) < 0.005);
  assert.ok(agreement.executed >= 0.995, String(agreement.executed));
  assert.deepEqual(
    layers.map(({ name, bits }: { name: string; bits?: { weights: number } }) => [name, bits?.weights]),
    [
      ["conv1", 8],
      ["conv2", 6],
      ["conv3", undefined],
      ["conv4", 6],
      ["conv5", 6],
      ["fc", 8],
    ],
  );
  assert.equal(operators.QLinearConv, 4);
  assert.ok(size.quantized < 0.45 * size.float);
  assert.equal(size.quantized, statSync(out).size);
  const page = readFileSync(join(root, "small.html"), "utf8");
  for (const text of ["rounded, in float", "4 QLinearConv", "Bits of each layer", "conv5", "batch 128"])
    assert.ok(page.includes(text), `the page has no "${text}"`);
  assert.deepEqual(
    latency.map(({ batch }: { batch: number }) => batch),
    [1, 128],
  );

  const evaluated = await lowland(["evaluate", out, "--data", "digits", "--threads", "1", "--json"]);
  assert.equal(evaluated.code, 0, evaluated.stderr);
  assert.equal(JSON.parse(evaluated.stdout).metrics.accuracy, executed.metrics.accuracy);

  // What is there stays, and a quantized file is no start.
  const bytes = readFileSync(out);
  const again = await refusal(["quantize", run, "--out", out]);
  assert.deepEqual(again, {
    code: 2,
    text: `${out} exists already; replace it with --overwrite, or name another file with --out`,
  });
  assert.deepEqual(readFileSync(out), bytes);
  const twice = await refusal(["quantize", out, "--data", "digits"]);
  assert.equal(twice.code, 2);
  assert.match(twice.text ?? "", /^the model is quantized already \(\d+ nodes: /);
});

test("operators of before opset 13 become those of it", async () => {
  const older = readModel(new Uint8Array(readFileSync(join(run, "model.onnx"))));
  older.opsetImport[0].version = 11n;
  const path = join(root, "older.onnx");
  writeFileSync(path, writeModel(older));
  const ended = await lowland(["quantize", path, "--data", "digits", "--threads", "1", "--json"]);
  assert.equal(ended.code, 0, ended.stderr);
  const { float, executed, operators } = JSON.parse(ended.stdout);
  assert.ok(Math.abs(executed.metrics.accuracy - float.metrics.accuracy) < 0.02);
  assert.equal(operators.QLinearConv, 5);
});

test("--max-drop spares layers until what is lost is small enough", async () => {
  const out = join(root, "spared.onnx");
  const args = ["--weights", "2", "--activations", "2", "--max-drop", "3", "--threads", "1", "--json"];
  const ended = await lowland(["quantize", run, "--out", out, ...args]);
  assert.equal(ended.code, 0, ended.stderr);
  const { layers, sensitivity } = JSON.parse(ended.stdout);
  const bits = new Map(
    layers.map(({ name, bits }: { name: string; bits?: { weights: number } }) => [name, bits?.weights]),
  );
  const order: string[] = sensitivity.map(({ name }: { name: string }) => name);
  assert.deepEqual(order.toSorted(), ["conv1", "conv2", "conv3", "conv4", "conv5", "fc"]);
  const drops: number[] = sensitivity.map(({ metricDrop }: { metricDrop: number }) => metricDrop);
  assert.deepEqual(
    drops,
    drops.toSorted((a, b) => b - a),
  );
  // Two bits everywhere lose far more; the most sensitive layers are the ones that have more.
  const spared = order.filter((name) => bits.get(name) !== 2 && name !== "conv1" && name !== "fc");
  assert.ok(spared.length >= 1);
  const inner = order.filter((name) => name !== "conv1" && name !== "fc");
  assert.deepEqual(spared, inner.slice(0, spared.length));
});

const refusals: [what: string, args: string[], text: RegExp][] = [
  ["a drop below 0", ["--max-drop", "-1"], /^--max-drop is -1; choose 0 or more points$/],
  ["1 bit", ["--weights", "1"], /^weights: 1 bits were asked for; integers have 2 to 8$/],
  ["17 bits", ["--activations", "17"], /^activations: 17 bits were asked for/],
  ["no calibration data", ["--calibration", "0"], /^calibration is 0; choose a whole number of at least 1$/],
  [
    "a folder that does not exist",
    ["--out", join(root, "none", "none.onnx")],
    /none is not a folder; make it, or name another file with --out$/,
  ],
  [
    "the model itself, by another path",
    ["--overwrite", "--out", `${run}/./model.onnx`],
    /model\.onnx is the model itself; name another file with --out$/,
  ],
  [
    "a layer that is not there",
    ["--layer", "head=float"],
    /^layers: "head" fits no layer; the layers are conv1, /,
  ],
];
for (const [what, args, text] of refusals)
  test(`${what}: one sentence, nothing written`, async () => {
    const refused = await refusal(["quantize", run, "--out", join(root, "none.onnx"), ...args]);
    assert.equal(refused.code, 2);
    assert.match(refused.text ?? "", text);
    assert.throws(() => statSync(join(root, "none.onnx")));
  });

test("a file without layers, and one that is no model", async () => {
  const path = join(root, "text.onnx");
  writeFileSync(path, "hello");
  const refused = await refusal(["quantize", path, "--data", "digits"]);
  assert.equal(refused.code, 2);
  assert.match(refused.text ?? "", /text\.onnx is not an ONNX model/);
});

test("fine-tuning a float run as integers writes the file that is measured, with the share of integers that change", async () => {
  const out = join(root, "tuned");
  const settings = ["--data", "digits", "--epochs", "2", "--optimizer", "sam", "--threads", "1"];
  const bits = ["--quantize", "w4a4", "--quantize-layer", "conv3=float", "--quantize-perturb", "latent"];
  const ended = await lowland(["finetune", run, ...settings, ...bits, "--out", out, "--json"]);
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stderr, /layers that stay float: conv3/);
  const { metrics, testLoss } = JSON.parse(ended.stdout);
  const record = JSON.parse(readFileSync(join(out, "quantization.json"), "utf8"));
  assert.ok(metrics.accuracy > 0.9, String(metrics.accuracy));
  // The file in float, as it says, is what training evaluates; integer kernels round alike.
  assert.equal(record.fake.metrics.accuracy, metrics.accuracy);
  assert.ok(Math.abs(record.fake.loss - testLoss) < 1e-4 * testLoss, `${record.fake.loss} ${testLoss}`);
  assert.ok(record.agreement.executed >= 0.995, String(record.agreement.executed));
  assert.deepEqual(
    record.layers.map(({ bits: own }: { bits?: { weights: number } }) => own?.weights),
    [8, 4, undefined, 4, 4, 8],
  );
  assert.equal(record.operators.QLinearConv, 4);
  assert.ok(record.float.metrics.accuracy > 0.9);
  const epochs = readFileSync(join(out, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line))
    .filter(({ type }) => type === "epoch");
  for (const { integersChanged } of epochs)
    assert.ok(integersChanged > 0 && integersChanged < 0.1, String(integersChanged));
  assert.match(readFileSync(join(out, "report.html"), "utf8"), /Bits of each layer/);
  const evaluated = await lowland(["evaluate", out, "--threads", "1", "--json"]);
  assert.equal(JSON.parse(evaluated.stdout).metrics.accuracy, record.executed.metrics.accuracy);
  const again = await refusal(["finetune", out, "--data", "digits", "--quantize", "8"]);
  assert.match(again.text ?? "", /^the model is quantized already \(\d+ nodes: /);
});

test("a comparison shows what each file of integers gives when it is executed, its bits and size, beside float", async () => {
  const out = join(root, "compared");
  const file = join(root, "comparison.json");
  const document = {
    ...{ data: "digits", model: "cnn", weights: join(run, "model.safetensors"), limit: 640, epochs: 2 },
    ...{ threads: 1, learningRate: 0.01, quantization: { weights: 4, activations: 4 } },
    runs: [
      { name: "float", optimizer: { method: "sgd" }, quantization: "float" },
      { name: "w4a4", optimizer: { method: "sam" }, quantization: { weights: 4, perturb: "latent" } },
      { name: "shared", optimizer: { method: "sgd" } },
    ],
  };
  writeFileSync(file, JSON.stringify(document));
  const args = ["compare", "--config", file, "--out", out];
  const ended = await lowland([...args, "--json"]);
  assert.equal(ended.code, 0, ended.stderr);
  const [float, small, shared] = JSON.parse(ended.stdout);
  assert.ok(!("quantization" in float));
  for (const [name, { quantization, metrics }] of Object.entries({ w4a4: small, shared })) {
    const evaluated = await lowland(["evaluate", join(out, name), "--threads", "1", "--json"]);
    assert.equal(JSON.parse(evaluated.stdout).metrics.accuracy, quantization.executed.metrics.accuracy);
    assert.equal(quantization.fake.metrics.accuracy, metrics.accuracy);
    assert.equal(quantization.size.quantized, statSync(join(out, name, "model.onnx")).size);
  }
  const page = readFileSync(join(out, "report.html"), "utf8");
  assert.match(page, /The files, float and integers/);
  assert.match(page, /id="chart-integers-changed"/);
  const kept = readFileSync(join(out, "w4a4", "quantization.json"), "utf8");

  // What is finished is not measured again, and is shown.
  const again = await lowland([...args, "--resume"]);
  assert.equal(again.code, 0, again.stderr);
  assert.equal(readFileSync(join(out, "w4a4", "quantization.json"), "utf8"), kept);
  assert.match(again.stdout, /w4a8 × 4, w8a8 × 2/);
  assert.match(again.stdout, /w4a4 × 4, w8a8 × 2/);

  // A float run in its place has no integers.
  const settings = ["--data", "digits", "--epochs", "1", "--limit", "320", "--threads", "1", "--overwrite"];
  const replaced = await lowland(["train", ...settings, "--out", join(out, "w4a4"), "--json"]);
  assert.equal(replaced.code, 0, replaced.stderr);
  assert.throws(() => statSync(join(out, "w4a4", "quantization.json")));
});

test("what a quantized file is no start of: training of it, or weights of a network", async () => {
  const file = join(root, "start.onnx");
  const made = await lowland([
    "quantize",
    run,
    "--out",
    file,
    "--calibration",
    "32",
    "--threads",
    "1",
    "--json",
  ]);
  assert.equal(made.code, 0, made.stderr);
  const message =
    /^the model is quantized already \(30 nodes: DequantizeLinear, QuantizeLinear\); it has no float weights to train; train the float model/;
  const data = ["--data", "digits", "--out", join(root, "none")];
  assert.match((await refusal(["finetune", file, ...data])).text ?? "", message);
  const comparison = join(root, "quantized.json");
  const runs = [{ name: "sgd", optimizer: { method: "sgd" } }];
  writeFileSync(comparison, JSON.stringify({ data: "digits", model: { file }, runs }));
  const compared = await refusal(["compare", "--config", comparison, "--out", join(root, "none")]);
  assert.match(compared.text ?? "", message);
  const weights = await refusal(["train", "--model", "cnn", "--weights", file, ...data]);
  assert.match(weights.text ?? "", /start\.onnx are an ONNX file and have to be a safetensors file; /);
});

test("bits that there are not are refused", async () => {
  for (const [bits, text] of [
    ["1", /^quantization.weights is 1; it has to be at least 2/],
    ["17", /^quantization.weights is 17; it has to be at most 8/],
  ] as const)
    assert.match((await refusal(["finetune", run, "--data", "digits", "--quantize", bits])).text ?? "", text);
});
