import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { loadDataset } from "../data/catalogue.ts";
import type { ImageClasses } from "../data/source.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import { smallFloatBits, smallFloatValue } from "../onnx/small-floats.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { cast } from "../ops/elementwise.ts";
import { matMul } from "../ops/linear.ts";
import { flatten, transpose } from "../ops/movement.ts";
import { maxPool } from "../ops/pooling.ts";
import { reduceMean, reduceSum } from "../ops/reduction.ts";
import { softmax } from "../ops/softmax.ts";
import { type TrainOptions, train } from "../runs/train.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { normalized } from "../testing/images.ts";
import { assertClose } from "../testing/numeric.ts";
import { evaluateModel } from "./evaluate.ts";

const folder = temporaryFolder();
let digits: ImageClasses;
before(async () => {
  digits = (await loadDataset("digits")).test;
});

interface Shape {
  batch?: number;
  size?: number;
  classes?: number;
  type?: "float32" | "float64";
}

/** A model whose logits are 1 for class 3 and 0 for the others, whatever the image. */
function alwaysThree({ batch = 1, size = 8, classes = 10, type = "float32" }: Shape = {}) {
  const graph = new Graph();
  const image = graph.input("image", type, [batch, 1, size, size]);
  const weight = graph.constant(
    tensorData(new Float64Array(size ** 2 * classes), [size ** 2, classes], "float32"),
  );
  const bias = graph.constant(
    tensorData(
      Array.from({ length: classes }, (_, i) => (i === 3 ? 1 : 0)),
      [classes],
      "float32",
    ),
  );
  const pixels: Value = type === "float32" ? image : cast(image, "float32");
  graph.output("scores", add(matMul(flatten(pixels), weight), bias));
  return graph;
}

const refusal = async (model: Uint8Array | string) => {
  const error = await evaluateModel(model, digits, { name: "m.onnx", threads: 1 }).then(
    () => undefined,
    (reason) => reason,
  );
  assert.ok(error instanceof UserError, String(error?.stack));
  assert.doesNotMatch(error.message, /\n/);
  return error.message;
};

test("accuracy and loss are those of the definition, whatever the names and the batch size of the model", async () => {
  const share = digits.labels.filter((label) => label === 3).length / digits.count;
  // −log(e / (e + 9)) for a three, −log(1 / (e + 9)) for the others.
  const loss = Math.log(Math.E + 9) - share;
  for (const batch of [1, 50, 400]) {
    const progress: number[] = [];
    const result = await evaluateModel(compile(alwaysThree({ batch })), digits, {
      threads: 1,
      onProgress: (images, total) => progress.push(images / total),
    });
    assert.deepEqual([result.examples, result.metrics.accuracy], [360, share], `batch ${batch}`);
    assert.ok(Math.abs(result.loss - loss) < 1e-6, `batch ${batch}: ${result.loss}, ${loss}`);
    assert.equal(progress.length, Math.ceil(360 / batch));
    assert.equal(progress.at(-1), 1);
  }
});

test("a run's model has the accuracy and loss that the run told", async () => {
  const { model, summary } = await train({
    data: "digits",
    model: "cnn",
    epochs: 1,
    limit: 256,
    batchSize: 32,
    sharpness: { images: 64 },
    threads: 1,
  });
  const { metrics, loss } = await evaluateModel(model, digits, { threads: 1 });
  assert.equal(metrics.accuracy, summary!.metrics.accuracy);
  assert.ok(Math.abs(loss - summary!.testLoss) < 1e-5 * loss);
});

test("images are made to fit a model of another layout, number of channels, size and scale", async () => {
  const random = randomStream(4, "linear classifier");
  const weights = tensorData(
    Array.from({ length: 640 }, () => random.normal()),
    [64, 10],
    "float32",
  );
  /** The same linear classifier over what `toDigits` makes of its input. */
  const classifier = (shape: number[], toDigits: (image: Value) => Value) => {
    const graph = new Graph();
    const image = graph.input("image", "float32", shape);
    graph.output("logits", matMul(flatten(toDigits(image)), graph.constant(weights)));
    return compile(graph);
  };
  const asLoaded = await evaluateModel(
    classifier([60, 1, 8, 8], (image) => image),
    digits,
    { threads: 1 },
  );
  const notes: string[] = [];
  const colors = classifier([60, 8, 8, 3], (image) => {
    const gray = reduceMean(transpose(image, [0, 3, 1, 2]), [1], true);
    return mul(add(gray, -digits.mean[0]), 1 / digits.deviation[0]);
  });
  const adapted = await evaluateModel(colors, digits, {
    threads: 1,
    normalization: "unit",
    onNote: (text) => notes.push(text),
  });
  assert.deepEqual([adapted.examples, adapted.metrics], [360, asLoaded.metrics]);
  assert.ok(Math.abs(adapted.loss - asLoaded.loss) < 1e-5 * asLoaded.loss);
  assert.deepEqual(notes, [
    "images 1×8×8 → 3×8×8 (gray repeated), normalized by mean 0 and deviation 1 (unit)",
  ]);

  const large = classifier([60, 1, 16, 16], (image) => maxPool(image, [2, 2]));
  const resized = await evaluateModel(large, digits, { threads: 1, onNote: (text) => notes.push(text) });
  assert.match(notes[1], /^images 1×8×8 → 1×16×16 \(resized\), normalized by mean .* \(dataset\)$/);
  assert.ok(Math.abs(resized.metrics.accuracy - asLoaded.metrics.accuracy) < 0.2);
});

test("open axes are the data's, or as they are named; one output of several is taken by its name", async () => {
  const model = readModel(compile(alwaysThree({ size: 16 })));
  const dims = (model.graph!.input[0].type!.value.value as { shape: { dim: { value: unknown }[] } }).shape
    .dim;
  for (const [axis, name] of ["N", "", "height", "width"].entries()) {
    if (name) dims[axis].value = { case: "dimParam", value: name };
  }
  const open = writeModel(model);
  const share = digits.labels.filter((label) => label === 3).length / digits.count;
  const sizes = { height: 16, width: 16 };
  const result = await evaluateModel(open, digits, { threads: 1, dimensions: sizes });
  assert.equal(result.metrics.accuracy, share);
  await assert.rejects(evaluateModel(open, digits, { threads: 1 }), UserError);

  const two = alwaysThree();
  two.output("more", reduceSum(mul(two.inputs.get("image")!, 2)));
  const named = await evaluateModel(compile(two), digits, { threads: 1, output: "scores" });
  assert.equal(named.metrics.accuracy, share);
  await assert.rejects(
    evaluateModel(compile(two), digits, { output: "logits", name: "m.onnx" }),
    /the model has no output "logits"; it has scores, more$/,
  );
});

test("a model that is none, or for other data, is refused with what was got and wanted", async () => {
  assert.match(await refusal(new TextEncoder().encode("hello")), /^m\.onnx is not an ONNX model/);
  const sequence = new Graph();
  sequence.output("logits", reduceSum(sequence.input("image", "float32", [1, 65, 2]), [2]));
  assert.match(
    await refusal(compile(sequence)),
    /^the model takes \[1, 65, 2\], which images of 1×8×8 cannot be made into; /,
  );
  assert.match(
    await refusal(compile(alwaysThree({ type: "float64" }))),
    /^input "image" is float64; float32, or floats of fewer bits, were expected$/,
  );
  assert.match(
    await refusal(compile(alwaysThree({ classes: 7 }))),
    /^the model has 7 classes and digits has 10; fine-tune it for 10 classes first, /,
  );

  const two = alwaysThree();
  two.output("more", reduceSum(mul(two.inputs.get("image")!, 2)));
  assert.match(
    await refusal(compile(two)),
    /^the model has the outputs scores, more; say which one holds the logits \(output, --output\)$/,
  );

  const unknown = readModel(compile(alwaysThree()));
  for (const node of unknown.graph!.node) node.opType = "Nonsense";
  assert.match(await refusal(writeModel(unknown)), /^m\.onnx cannot be run by ONNX Runtime: .*Nonsense/);
});

const field = (name: string) => fileURLToPath(new URL(`../../fixtures/field/${name}`, import.meta.url));

/** Loss and accuracy of a file by their definition, from what a bare session gives for batches of the given size. */
async function byDefinition(
  path: string,
  probabilityOf: (row: number[], label: number) => number,
  { batchSize = 360, half = false } = {},
) {
  const session = await InferenceSession.create(path, { intraOpNumThreads: 1, logSeverityLevel: 4 });
  let [loss, right] = [0, 0];
  try {
    const images = normalized(digits);
    for (let start = 0; start < digits.count; start += batchSize) {
      const input = images.slice(start * 64, (start + batchSize) * 64);
      const target = digits.labels.subarray(start, start + batchSize);
      const shape = [batchSize, 1, 8, 8];
      const x = half
        ? new Tensor(
            "float16",
            Uint16Array.from(input, (value) => smallFloatBits(value, "float16")),
            shape,
          )
        : new Tensor(input, shape);
      const { y } = await session.run({ x });
      const values = y.type === "float16" ? Array.from(y.data as Uint16Array, fromHalf) : y.data;
      for (const [image, label] of target.entries()) {
        const row = Array.from(values as Float32Array).slice(image * 10, image * 10 + 10);
        loss -= Math.log(probabilityOf(row, label)) / digits.count;
        right += row.indexOf(Math.max(...row)) === label ? 1 / digits.count : 0;
      }
    }
  } finally {
    await session.release();
  }
  return { loss, accuracy: right };
}

/** The bits may be a view of a Float16Array, where JavaScript has one. */
const fromHalf = (bits: number) => (Number.isInteger(bits) ? smallFloatValue(bits, "float16") : bits);

const softmaxOf = (row: number[], label: number) =>
  Math.exp(row[label]) / row.reduce((sum, logit) => sum + Math.exp(logit), 0);
const itself = (row: number[], label: number) => row[label];

const cases: Record<string, [file: string, typeof softmaxOf, Parameters<typeof byDefinition>[2]?]> = {
  probabilities: ["evaluate-probabilities/softmax_out.onnx", itself],
  "probabilities behind a Reshape": ["softmax-then-reshape/softmax_reshape.onnx", itself],
  "logits of four axes": ["logits-four-axes/logits4.onnx", softmaxOf],
  "a batch of −1": ["open-sizes/dim_m1.onnx", softmaxOf],
  "weights in another file": ["evaluate-external-data/ext_plain/model.onnx", softmaxOf],
  "an output of 16 bits": ["evaluate-half-output/half_out.onnx", softmaxOf],
  "an input of 16 bits": ["evaluate-half-input/half_all.onnx", softmaxOf, { half: true }],
  "a batch of one in a Reshape": ["fixed-batch/reshape_one.onnx", softmaxOf, { batchSize: 1 }],
};

for (const [name, [file, probabilityOf, options]] of Object.entries(cases)) {
  test(`${name}: the loss of what ONNX Runtime gives`, async () => {
    const expected = await byDefinition(field(file), probabilityOf, options);
    const { loss, metrics } = await evaluateModel(field(file), digits, { threads: 1 });
    assertClose([loss, metrics.accuracy], [expected.loss, expected.accuracy], 1e-4, name);
  });
}

const fineTuned: Record<string, TrainOptions["model"]> = {
  "of probabilities": { file: field("evaluate-probabilities/softmax_out.onnx") },
  "of half precision": { file: field("evaluate-half-input/half_all.onnx") },
  "of half precision at its end": { file: field("evaluate-half-output/half_out.onnx") },
  "with weights in another file": { file: field("evaluate-external-data/ext_plain/model.onnx") },
  "of more classes than the data": { file: field("evaluate-probabilities/softmax_out.onnx"), classes: 12 },
  "of four axes": { file: field("logits-four-axes/logits4.onnx") },
};

for (const [name, model] of Object.entries(fineTuned)) {
  test(`a fine-tuned model ${name} has the test loss of its run`, async () => {
    const { model: bytes, summary } = await train({
      ...{ data: "digits", model, epochs: 2, limit: 512, batchSize: 32, learningRate: 0.02, threads: 1 },
      sharpness: { images: 64 },
    });
    const { loss, metrics } = await evaluateModel(bytes, digits, { threads: 1 });
    // Weights and results of 16 bits are rounded.
    const tolerance = name.includes("half") ? 2e-3 : 1e-4;
    assertClose([loss], [summary!.testLoss], tolerance, "loss");
    assert.ok(
      Math.abs(metrics.accuracy - summary!.metrics.accuracy) < 2 / 360,
      `${metrics.accuracy}, ${summary!.metrics.accuracy}`,
    );
  });
}

test("a file whose operators are not read is run regardless; its rows tell what they are", async () => {
  const notes: string[] = [];
  const model = readModel(readFileSync(field("evaluate-probabilities/softmax_out.onnx")));
  const graph = model.graph!;
  const relu = graph.node.find(({ opType }) => opType === "Relu")!;
  // A fused operator of ONNX Runtime's own, which here clips as Relu does.
  Object.assign(relu, { opType: "QuickGelu", domain: "com.microsoft" });
  model.opsetImport.push({ ...model.opsetImport[0], domain: "com.microsoft", version: 1n });
  const path = join(folder, "fused.onnx");
  writeFileSync(path, writeModel(model));
  const expected = await byDefinition(path, itself);
  const { loss } = await evaluateModel(path, digits, { threads: 1, onNote: (text) => notes.push(text) });
  assertClose([loss], [expected.loss], 1e-4);
  assert.match(notes.join("; "), /run without reading its graph \(.*QuickGelu/);
});

test("probabilities that cannot be undone are measured as they are, if they are whole, and else refused", async () => {
  const graph = (end: (p: Value) => Value) => {
    const random = randomStream(5, "mean of two");
    const built = new Graph();
    const image = flatten(built.input("x", "float32", [60, 1, 8, 8]));
    const part = () =>
      softmax(
        matMul(
          image,
          built.constant(
            tensorData(
              Array.from({ length: 640 }, () => random.normal() / 8),
              [64, 10],
              "float32",
            ),
          ),
        ),
      );
    built.output("y", end(mul(add(part(), part()), 0.5)));
    return compile(built);
  };
  const whole = join(folder, "mean.onnx");
  writeFileSync(
    whole,
    graph((p) => p),
  );
  const expected = await byDefinition(whole, itself, { batchSize: 60 });
  assertClose([(await evaluateModel(whole, digits, { threads: 1 })).loss], [expected.loss], 1e-4);
  assert.match(
    await refusal(graph((p) => mul(p, 3))),
    /^output "y" holds probabilities that cannot be undone/,
  );
});

test("weights in another file: by a relative path, and through the links of a hub's cache", async () => {
  const place = join(folder, "hub");
  mkdirSync(join(place, "blobs"), { recursive: true });
  mkdirSync(join(place, "snapshots/abc"), { recursive: true });
  for (const [blob, name] of [
    ["1111", "model.onnx"],
    ["2222", "model.onnx.data"],
  ]) {
    copyFileSync(field(`evaluate-external-data/ext_plain/${name}`), join(place, "blobs", blob));
    symlinkSync(`../../blobs/${blob}`, join(place, "snapshots/abc", name));
  }
  const direct = await evaluateModel(field(cases["weights in another file"][0]), digits, { threads: 1 });
  const linked = relative(process.cwd(), join(place, "snapshots/abc/model.onnx"));
  const { loss, metrics } = await evaluateModel(linked, digits, { threads: 1 });
  assert.deepEqual([loss, metrics], [direct.loss, direct.metrics]);
});
