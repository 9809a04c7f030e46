import assert from "node:assert/strict";
import { before, test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { type ImageDataset, loadDataset } from "../data/dataset.ts";
import { tensorData } from "../graph/constants.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { cast } from "../ops/elementwise.ts";
import { matMul } from "../ops/linear.ts";
import { flatten, transpose } from "../ops/movement.ts";
import { maxPool } from "../ops/pooling.ts";
import { reduceMean, reduceSum } from "../ops/reduction.ts";
import { evaluateModel } from "./evaluate.ts";
import { train } from "./train.ts";

let digits: ImageDataset;
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

const refusal = async (model: Uint8Array) => {
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
    assert.deepEqual([result.images, result.accuracy], [360, share], `batch ${batch}`);
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
  const { accuracy, loss } = await evaluateModel(model, digits, { threads: 1 });
  assert.equal(accuracy, summary!.testAccuracy);
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
  const colours = classifier([60, 8, 8, 3], (image) => {
    const grey = reduceMean(transpose(image, [0, 3, 1, 2]), [1], true);
    return mul(add(grey, -digits.mean[0]), 1 / digits.deviation[0]);
  });
  const adapted = await evaluateModel(colours, digits, {
    threads: 1,
    normalization: "unit",
    onNote: (text) => notes.push(text),
  });
  assert.deepEqual([adapted.images, adapted.accuracy], [360, asLoaded.accuracy]);
  assert.ok(Math.abs(adapted.loss - asLoaded.loss) < 1e-5 * asLoaded.loss);
  assert.deepEqual(notes, [
    "images 1×8×8 → 3×8×8 (grey repeated), normalised by mean 0 and deviation 1 (unit)",
  ]);

  const large = classifier([60, 1, 16, 16], (image) => maxPool(image, [2, 2]));
  const resized = await evaluateModel(large, digits, { threads: 1, onNote: (text) => notes.push(text) });
  assert.match(notes[1], /^images 1×8×8 → 1×16×16 \(resized\), normalised by mean .* \(dataset\)$/);
  assert.ok(Math.abs(resized.accuracy - asLoaded.accuracy) < 0.2);
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
  assert.equal(result.accuracy, share);
  await assert.rejects(evaluateModel(open, digits, { threads: 1 }), UserError);

  const two = alwaysThree();
  two.output("more", reduceSum(mul(two.inputs.get("image")!, 2)));
  const named = await evaluateModel(compile(two), digits, { threads: 1, output: "scores" });
  assert.equal(named.accuracy, share);
  await assert.rejects(
    evaluateModel(compile(two), digits, { output: "logits", name: "m.onnx" }),
    /m\.onnx has no output "logits"; it has scores, more$/,
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
    /^m\.onnx does not take float32 images$/,
  );
  assert.match(
    await refusal(compile(alwaysThree({ classes: 7 }))),
    /^m\.onnx gives \[1, 7\] for 1 images; the 10 classes of digits want \[1, 10\]$/,
  );

  const two = alwaysThree();
  two.output("more", reduceSum(mul(two.inputs.get("image")!, 2)));
  assert.match(
    await refusal(compile(two)),
    /^m\.onnx has 1 inputs and 2 outputs \(scores, more\); a classifier has one input, and one output or one that is named$/,
  );

  const unknown = readModel(compile(alwaysThree()));
  for (const node of unknown.graph!.node) node.opType = "Nonsense";
  assert.match(await refusal(writeModel(unknown)), /^m\.onnx cannot be run by ONNX Runtime: .*Nonsense/);
});
