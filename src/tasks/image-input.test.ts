import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { assertClose } from "../testing/numeric.ts";
import { runModel } from "../testing/onnx-models.ts";
import { imageInput, type Normalization, type StoredImages } from "./image-input.ts";

const dataset = (channels: number): StoredImages => ({
  name: "test",
  channels,
  height: 2,
  width: 2,
  maximum: 255,
  mean: channels === 1 ? [0.25] : [0.1, 0.2, 0.3],
  deviation: channels === 1 ? [0.5] : [0.5, 0.25, 0.2],
});

/** What a model gets of one image, whose pixels are given on the scale 0 … 1. */
async function adapted(channels: number, pixels: number[], shape: number[], normalization: Normalization) {
  const data = dataset(channels);
  const loaded = pixels.map((value) => value * data.maximum);
  const graph = new Graph();
  const images = graph.input("input", "float32", [1, channels, 2, 2]);
  graph.output("y", imageInput(data, normalization).adapt(images, shape));
  const input = tensorData(loaded, [1, channels, 2, 2], "float32");
  const { y } = await runModel(compile(graph), { input });
  assert.deepEqual(y.shape, shape);
  return Array.from(y.data as Float32Array);
}

const gray = [0, 0.5, 1, 0.25];

test("gray images are repeated over the channels, on ImageNet's scale", async () => {
  const expected = [0.485, 0.456, 0.406].flatMap((mean, channel) =>
    gray.map((value) => (value - mean) / [0.229, 0.224, 0.225][channel]),
  );
  assertClose(await adapted(1, gray, [1, 3, 2, 2], "imagenet"), expected, 1e-5, "imagenet");
});

test("channels come last where the model has them last", async () => {
  const expected = gray.flatMap((value) => [value, value, value]);
  assertClose(await adapted(1, gray, [1, 2, 2, 3], "unit"), expected, 1e-6, "unit");
});

test("colors become gray by luminance, from −1 to 1", async () => {
  const colors = [...gray, ...gray.map((value) => value / 2), ...gray.map(() => 0.1)];
  const expected = gray.map((value) => 2 * (0.299 * value + 0.587 * (value / 2) + 0.114 * 0.1) - 1);
  assertClose(await adapted(3, colors, [1, 1, 2, 2], "symmetric"), expected, 1e-5, "symmetric");
});

test("images are stretched to the model's size, and stay on the data set's scale", async () => {
  const loaded = gray.map((value) => (value - 0.25) / 0.5);
  const [a, b, c, d] = loaded;
  const between = (left: number, right: number) => [
    left,
    0.75 * left + 0.25 * right,
    0.25 * left + 0.75 * right,
    right,
  ];
  const rows = [between(a, b), between(c, d)];
  assertClose(await adapted(1, gray, [1, 1, 2, 4], "dataset"), rows.flat(), 1e-6, "dataset");
});

test("as many numbers in another shape are taken as they are", async () => {
  const loaded = gray.map((value) => (value - 0.25) / 0.5);
  assertClose(await adapted(1, gray, [1, 4], "dataset"), loaded, 1e-6, "flat");
});

test("what cannot be made of an image is refused, and what is done is said", () => {
  const { adapt, describe } = imageInput(dataset(3), "unit");
  const images = new Graph().input("input", "float32", [1, 3, 2, 2]);
  assert.throws(
    () => adapt(images, [1, 4, 2, 2]),
    /the model takes \[1, 4, 2, 2\], which images of 3×2×2 cannot be made into/,
  );
  assert.throws(() => adapt(images, [1, 13]), /the model takes \[1, 13\]/);
  assert.equal(
    describe([1, 1, 8, 4]),
    "images 3×2×2 → 1×8×4 (resized, made gray), normalized by mean 0 and deviation 1 (unit)",
  );
});
