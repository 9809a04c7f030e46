import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { randomStream } from "../common/random.ts";
import { parseNpy } from "../data/sets/npy.ts";
import { readModel } from "../onnx/model.ts";
import { lowland, readJsonFile, temporaryFolder } from "../testing/cli.ts";

// 200 photographs of four kinds of clothes (fixtures/garments: the first 50 test images each of Fashion-MNIST, MIT), saved as
// JPEG files of 120×90 to 640×480: trained, named, and run by ONNX Runtime alone from raw pixels.

const root = temporaryFolder();
const environment = { cwd: root, env: { LOWLAND_HOME: join(root, "home") } };
const classes = ["Pullover", "Coat", "Sneaker", "Ankle boot"];
const size = 32;

interface Picture {
  file: string;
  class: string;
}
const held: Picture[] = [];

before(async () => {
  const file = (name: string) =>
    readFileSync(new URL(`../../fixtures/garments/${name}.npy`, import.meta.url));
  const [images, labels] = ["images", "labels"].map((name) => parseNpy(file(name), name).data as Uint8Array);
  const random = randomStream(1, "garments");
  const counts = classes.map(() => 0);
  for (const [index, label] of labels.entries()) {
    const isHeld = counts[label]++ >= 40;
    const folder = join("clothes", isHeld ? "test" : "train", classes[label]);
    const path = join(folder, `${index}.jpg`);
    mkdirSync(join(root, folder), { recursive: true });
    const scale = 30 + random.integer(131);
    await sharp(images.subarray(index * 784, (index + 1) * 784), {
      raw: { width: 28, height: 28, channels: 1 },
    })
      .resize(scale * 4, scale * 3, { fit: "contain" })
      .jpeg({ quality: 90 })
      .toFile(join(root, path));
    if (isHeld) held.push({ file: path, class: classes[label] });
  }
});

test("clothes from JPEG files: trained, named by predict, and as accurate in a bare session", async () => {
  const trained = await lowland(
    [
      ...["train", "--data", "clothes", "--image-size", String(size), "--channels", "1", "--model", "cnn"],
      ...["--optimizer", "sgd", "--batch-size", "16", "--epochs", "12", "--evaluate-every", "12", "--flip"],
      ...["--threads", "1", "--out", "run", "--json"],
    ],
    environment,
  );
  assert.equal(trained.code, 0, trained.stderr);
  const { accuracy } = JSON.parse(trained.stdout).metrics;
  // Chance is 0.25.
  assert.ok(accuracy >= 0.7, `accuracy ${accuracy}`);

  const files = held.map((picture) => picture.file);
  const predicted = await lowland(["predict", "run", ...files, "--json", "--threads", "1"], environment);
  assert.equal(predicted.code, 0, predicted.stderr);
  const named: string[] = JSON.parse(predicted.stdout).pictures.map(
    (picture: { classes: { class: string }[] }) => picture.classes[0].class,
  );
  const share = (names: readonly string[]) =>
    names.filter((name, index) => name === held[index].class).length / held.length;
  assert.equal(share(named), accuracy);

  const path = join(root, "run", "model.onnx");
  const metadata = new Map(readModel(readFileSync(path)).metadataProps.map(({ key, value }) => [key, value]));
  const { range, layout, channels } = JSON.parse(metadata.get("lowland.input") ?? "");
  assert.deepEqual({ range, layout, channels }, { range: [0, 255], layout: "NCHW", channels: "gray" });
  const names: string[] = JSON.parse(metadata.get("lowland.classes") ?? "");
  const session = await InferenceSession.create(path);
  const bare: string[] = [];
  for (const { file } of held) {
    const pixels = await sharp(join(root, file))
      .resize(size, size, { fit: "cover", kernel: "linear", fastShrinkOnLoad: false })
      .grayscale()
      .raw()
      .toBuffer();
    const input = new Tensor("float32", Float32Array.from(pixels), [1, 1, size, size]);
    const logits = (await session.run({ input })).logits.data as Float32Array;
    bare.push(names[logits.indexOf(Math.max(...logits))]);
  }
  assert.deepEqual(bare, named);
});

test("a document that names a file as its network gets pictures in the form that the file states", async () => {
  const document = {
    model: { file: "run/model.onnx" },
    data: "clothes",
    limit: 16,
    epochs: 1,
    batchSize: 16,
  };
  writeFileSync(join(root, "further.json"), JSON.stringify(document));
  const trained = await lowland(["train", "--config", "further.json", "--out", "further"], environment);
  assert.equal(trained.code, 0, trained.stderr);
  const { images } = readJsonFile(root, "further", "run.json").configuration;
  assert.deepEqual([images.size, images.channels], [size, 1]);
});
