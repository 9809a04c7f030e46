import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, describe, test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { lowland, readJsonFile, temporaryFolder } from "../testing/cli.ts";
import { pngOfNumbers } from "../testing/png.ts";
import { squareAndDisc } from "../testing/scenes.ts";

// A folder in Pascal VOC's format, from its files to a trained network, its metrics in a bare session, and masks of
// pictures, with the commands of docs/data.md.

const root = temporaryFolder();
const environment = { cwd: root, env: { LOWLAND_HOME: join(root, "home") } };
const size = 16;
const classNames = ["ground", "square", "disc"];
const parts = { train: 48, val: 12, test: 12 };

const scene = (index: number) => squareAndDisc(index, { channels: 3, size });

const palette = Array.from({ length: 256 }, (_, index) => [index, 255 - index, 7] as const);
const raw = { raw: { width: size, height: size, channels: 3 } } as const;

function put(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

async function writeVoc(folder: string): Promise<void> {
  let index = 0;
  for (const [part, count] of Object.entries(parts)) {
    const names = Array.from(
      { length: count },
      (_, place) => `2026_${String(index + place).padStart(6, "0")}`,
    );
    for (const name of names) {
      const { image, mask } = scene(index++);
      put(
        join(folder, "JPEGImages", `${name}.jpg`),
        await sharp(image, raw).jpeg({ quality: 95 }).toBuffer(),
      );
      const png = pngOfNumbers({ numbers: mask, width: size, depth: 8, type: "palette", palette });
      put(join(folder, "SegmentationClass", `${name}.png`), png);
    }
    put(join(folder, "ImageSets", "Segmentation", `${part}.txt`), `${names.join("\r\n")}\r\n`);
  }
  put(join(folder, "classes.txt"), `${classNames.join("\n")}\n`);
}

const train = ["train", "--task", "segmentation", "--image-size", String(size)];
const settings = [
  "--epochs",
  "5",
  "--batch-size",
  "8",
  "--learning-rate",
  "0.05",
  "--optimizer",
  "sgd",
  "--threads",
  "1",
];
const run = async (...args: string[]) => {
  const { code, stdout, stderr } = await lowland(args, environment);
  assert.equal(code, 0, stderr);
  return { stdout, stderr };
};

describe("a folder in Pascal VOC's format", () => {
  before(() => writeVoc(join(root, "voc")));

  test("trains; a bare session of the written model has the run's metrics; predict paints and writes masks", async () => {
    const { stderr } = await run(...train, "--data", "voc", ...settings, "--out", "run");
    assert.match(
      stderr,
      /^voc: 48 training pictures; share of pixels: ground \d+\.\d %, square \d+\.\d %, disc \d+\.\d %, no class \d+\.\d %$/m,
    );
    const { metrics } = readJsonFile(root, "run", "summary.json");
    assert.ok(metrics.meanIou > 0.6, JSON.stringify(metrics));
    assert.ok(metrics.validationMeanIou > 0.6, "the validation part is measured");

    const session = await InferenceSession.create(join(root, "run", "model.onnx"));
    const counts = [0, 1, 2].map(() => [0, 0, 0]);
    const names = readFileSync(join(root, "voc", "ImageSets", "Segmentation", "test.txt"), "utf8").split(
      "\r\n",
    );
    for (const [place, name] of names.filter(Boolean).entries()) {
      const { data } = await sharp(join(root, "voc", "JPEGImages", `${name}.jpg`))
        .raw()
        .toBuffer({ resolveWithObject: true });
      const pixels = Float32Array.from(
        data,
        (_, at) => data[3 * (at % (size * size)) + Math.floor(at / (size * size))],
      );
      const { logits } = await session.run({ input: new Tensor("float32", pixels, [1, 3, size, size]) });
      const values = logits.data as Float32Array;
      const { mask } = scene(parts.train + parts.val + place);
      for (const [at, truth] of mask.entries()) {
        if (truth === 255) continue;
        const scores = [0, 1, 2].map((own) => values[own * size * size + at]);
        counts[truth][scores.indexOf(Math.max(...scores))]++;
      }
    }
    const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
    const ious = counts.map(
      (row, own) => row[own] / (sum(row) + sum(counts.map((each) => each[own])) - row[own]),
    );
    const dice = ious.map((iou) => (2 * iou) / (1 + iou));
    const right = sum(counts.map((row, own) => row[own])) / sum(counts.flat());
    // A pixel on the edge of two classes may fall to the other side in another build of the graph.
    for (const [name, value] of Object.entries({
      meanIou: sum(ious) / 3,
      meanDice: sum(dice) / 3,
      pixelAccuracy: right,
    }))
      assert.ok(Math.abs(metrics[name] - value) < 2e-3, `${name}: ${metrics[name]}, ${value}`);

    const evaluated = JSON.parse((await run("evaluate", "run", "--json", "--threads", "1")).stdout);
    assert.equal(evaluated.examples, 12);
    assert.deepEqual(
      evaluated.details.tables.map(({ id }: { id: string }) => id),
      ["classes", "conventions"],
    );
    const pictures = readdirSync(join(root, "run", "pictures", "evaluation"));
    assert.equal(pictures.length, 24, "the eight best, worst and in the middle");
    const report = readFileSync(join(root, "run", "report.html"), "utf8");
    for (const text of ["Pictures with the lowest mean IoU", "Mean IoU by convention", "</svg>square</li>"])
      assert.ok(report.includes(text), text);

    const picture = join("voc", "JPEGImages", "2026_000060.jpg");
    const { stdout } = await run("predict", "run", picture, "--out", "drawn", "--json", "--threads", "1");
    const [found] = JSON.parse(stdout).pictures;
    assert.deepEqual(
      found.classes.map((each: { class: string }) => each.class).toSorted(),
      classNames.toSorted(),
    );
    assert.ok(Math.abs(sum(found.classes.map(({ share }: { share: number }) => share)) - 1) < 1e-9);
    const drawn = await sharp(join(root, found.picture)).metadata();
    assert.deepEqual([drawn.width, drawn.height, drawn.channels], [size, size, 3]);
    const { isPalette, width, height } = await sharp(join(root, found.mask)).metadata();
    assert.deepEqual([width, height, isPalette], [size, size, true]);

    const text = (await run("predict", "run", picture, "--threads", "1", "--out", "drawn")).stdout;
    assert.match(
      text,
      /^voc\/JPEGImages\/2026_000060\.jpg: ground \d+\.\d %.*; drawn in drawn\/1-2026_000060\.png, class numbers in drawn\/1-2026_000060-mask\.png$/m,
    );
    const { code, stderr: refusal } = await lowland(["predict", "run", picture, "--top", "3"], environment);
    assert.deepEqual(
      [code, refusal],
      [2, "lowland: --top has no meaning for run, which is a model for segmentation; leave it out\n"],
    );
  });

  test("with bad masks is refused in one sentence, and nothing is written", async () => {
    const mask = (name: string) => join(root, "bad", "SegmentationClass", `2026_${name}.png`);
    const list = join(root, "bad", "ImageSets", "Segmentation", "val.txt");
    const gray = { width: size, depth: 8, type: "gray" } as const;
    const same = new Uint8Array(size * size);
    const cases: [spoil: () => void, RegExp][] = [
      [
        () => put(mask("000003"), pngOfNumbers({ ...gray, numbers: new Uint8Array(size * 4) })),
        /SegmentationClass\/2026_000003\.png \(it is 4×16 \(height × width\) and its image 16×16\)/,
      ],
      [
        () =>
          put(mask("000003"), pngOfNumbers({ ...gray, numbers: same.map((_, at) => (at === 40 ? 7 : 0)) })),
        /the mask SegmentationClass\/2026_000003\.png has the value 7 in row 3, column 9 \(1 of 256 pixels\); there are 3 classes \(0 … 2\) and 255 for pixels of none/,
      ],
      [
        () =>
          put(
            mask("000003"),
            pngOfNumbers({ ...gray, type: "colors", numbers: new Uint8Array(3 * size * size) }),
          ),
        /SegmentationClass\/2026_000003\.png \(its pixels are colors \(#000000\); a mask holds class numbers/,
      ],
      [
        () => put(list, "2026_000048\n2026_000999\n"),
        /^lowland: 2026_000999 in bad\/ImageSets\/Segmentation\/val\.txt has no picture bad\/JPEGImages\/2026_000999\.jpg; add it, or remove the line\n$/,
      ],
      [
        () => {
          for (const name of readdirSync(dirname(mask(""))))
            put(
              join(dirname(mask("")), name),
              pngOfNumbers({ ...gray, numbers: new Uint8Array(size * size).fill(255) }),
            );
        },
        /^lowland: bad: the training masks hold no class; segmentation needs two classes or more\n$/m,
      ],
    ];
    for (const [spoil, message] of cases) {
      await writeVoc(join(root, "bad"));
      spoil();
      const { code, stderr } = await lowland(
        [...train, "--data", "bad", ...settings, "--out", "refused"],
        environment,
      );
      assert.equal(code, 2, stderr);
      assert.match(stderr, message);
      assert.equal(stderr.match(/^lowland: /gm)?.length, 1);
      assert.ok(!existsSync(join(root, "refused")));
    }
  });
});
