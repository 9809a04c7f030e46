import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import sharp from "sharp";
import { randomStream } from "../common/random.ts";
import { lowland, readJsonFile, temporaryFolder } from "../testing/cli.ts";

// A person's own folder of pictures, from the command line to the written model.

const root = temporaryFolder();
/** Pixels of a picture at a row and a column: what tells the classes apart. */
const patterns: Record<string, (row: number, column: number) => number> = {
  columns: (_, column) => (column % 8 < 4 ? 220 : 30),
  plain: () => 120,
  rows: (row) => (row % 8 < 4 ? 220 : 30),
};
const flags = ["--image-size", "16", "--channels", "1", "--batch-size", "8", "--threads", "1"];
const environment = { cwd: root, env: { LOWLAND_HOME: join(root, "home") } };

before(async () => {
  const random = randomStream(1, "pictures");
  for (const [name, pattern] of Object.entries(patterns)) {
    mkdirSync(join(root, "photos", name), { recursive: true });
    for (let index = 0; index < 15; index++) {
      const [height, width] = [16 + random.integer(8), 16 + random.integer(8)];
      const pixels = Uint8Array.from({ length: height * width }, (_, at) =>
        Math.min(255, Math.max(0, pattern(Math.floor(at / width), at % width) + 10 * random.normal())),
      );
      await sharp(pixels, { raw: { width, height, channels: 1 } })
        .png()
        .toFile(join(root, "photos", name, `${index}.png`));
    }
  }
});

test("a folder of pictures trains, and its run is evaluated on the pictures that were held out", async () => {
  const trained = await lowland(
    ["train", "--data", "photos", "--model", "cnn", "--epochs", "6", "--out", "run", "--json", ...flags],
    environment,
  );
  assert.equal(trained.code, 0, trained.stderr);
  const summary = JSON.parse(trained.stdout);
  assert.ok(summary.metrics.accuracy > 0.6, `accuracy ${summary.metrics.accuracy}`);
  const { configuration } = readJsonFile(root, "run", "run.json");
  assert.deepEqual([configuration.data, configuration.images.size], ["photos", 16]);

  const evaluated = await lowland(["evaluate", "run", "--json", "--threads", "1"], environment);
  assert.equal(evaluated.code, 0, evaluated.stderr);
  const result = JSON.parse(evaluated.stdout);
  // 20 % of 15 pictures of each class.
  assert.deepEqual([result.examples, result.metrics.accuracy], [9, summary.metrics.accuracy]);
  assert.ok(Math.abs(result.loss - summary.testLoss) < 1e-5);
});

test("the file alone is evaluated on pictures of the size and channels that it states, or on others that are named", async () => {
  const file = join("run", "model.onnx");
  const evaluate = async (...more: string[]) => {
    const ended = await lowland(
      ["evaluate", file, "--data", "photos", "--json", "--threads", "1", ...more],
      environment,
    );
    assert.equal(ended.code, 0, ended.stderr);
    return JSON.parse(ended.stdout);
  };
  const { metrics, testLoss } = readJsonFile(root, "run", "summary.json");
  const alone = await evaluate();
  assert.deepEqual([alone.examples, alone.metrics.accuracy], [9, metrics.accuracy]);
  assert.ok(Math.abs(alone.loss - testLoss) < 1e-5);
  assert.equal((await evaluate("--test-share", "0.4")).examples, 18);
  // Decoded at 64×64 and then resized in the graph, pixels are others.
  assert.ok(Math.abs((await evaluate("--image-size", "64")).loss - testLoss) > 1e-4);
});

test("files that are no pictures are refused before anything is written, or skipped", async () => {
  writeFileSync(join(root, "photos", "rows", "broken.png"), "no picture");
  const args = ["train", "--data", "photos", "--epochs", "1", ...flags];
  const refused = await lowland([...args, "--out", "refused"], environment);
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /^lowland: photos: .*broken\.png.*--on-bad-image skip$/m);
  assert.ok(!existsSync(join(root, "refused")));
  const skipped = await lowland([...args, "--on-bad-image", "skip", "--out", "skipped"], environment);
  assert.equal(skipped.code, 0, skipped.stderr);
  assert.match(skipped.stderr, /broken\.png.*left out/);
});
