import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import sharp from "sharp";
import { randomStream } from "../../common/random.ts";
import { temporaryFolder } from "../../testing/cli.ts";
import { loadDataset, loadSamples } from "../catalogue.ts";
import { readGenerated } from "../generated-options.ts";
import type { ImageMasks, MaskSample } from "../masks.ts";
import { parseNpy } from "../sets/npy.ts";
import { writeVocFolder } from "../sets/voc-writer.ts";
import { type ImageClasses, imageClasses, selected } from "../source.ts";
import { outlineOf } from "./garment.ts";
import { drawScene } from "./scene.ts";
import { wardrobeOf } from "./wardrobe.ts";

// Scenes of 200 of Fashion-MNIST's garments (fixtures/garments), four classes.

const file = (name: string) =>
  readFileSync(new URL(`../../../fixtures/garments/${name}.npy`, import.meta.url));
const [pixels, labels] = ["images", "labels"].map(
  (name) => parseNpy(file(name), name).data as Uint8Array<ArrayBuffer>,
);
const garments: ImageClasses = imageClasses(
  {
    ...{ name: "garments", channels: 1, height: 28, width: 28, maximum: 255, mean: [0.3], deviation: [0.3] },
    ...{ fingerprint: "garments", labels: Int32Array.from(labels) },
    classNames: ["Pullover", "Coat", "Sneaker", "Ankle boot"],
  },
  (index) => pixels.subarray(784 * index, 784 * (index + 1)),
);
const size = 64;
const form = { size, garments: 4, turn: 60, smallest: 35, largest: 85 };
const draw = (index: number, seed = 1) => drawScene(garments, randomStream(seed, "scenes", index), form);
const scenes = Array.from({ length: 60 }, (_, index) => draw(index));

const outlines = Array.from(labels, (_, index) =>
  outlineOf(pixels.subarray(784 * index, 784 * (index + 1)), 28),
);

/** By the definition: the bilinear share of a garment's outline at a pixel's center. */
function coverage(placement: (typeof scenes)[number]["placements"][number], row: number, column: number) {
  const { index, x, y, angle, side } = placement;
  const outline = outlines[index];
  const at = (i: number, j: number) => (i < 0 || j < 0 || i > 27 || j > 27 ? 0 : outline[28 * j + i]);
  // Turned back about the middle, then from the garment's size in the scene to its own.
  const [dx, dy] = [column + 0.5 - x, row + 0.5 - y];
  const distance = Math.hypot(dx, dy);
  const direction = Math.atan2(dy, dx) - angle;
  const u = 14 + (28 / side) * distance * Math.cos(direction) - 0.5;
  const v = 14 + (28 / side) * distance * Math.sin(direction) - 0.5;
  const [i, j] = [Math.floor(u), Math.floor(v)];
  const [s, t] = [u - i, v - j];
  const above = (1 - s) * at(i, j) + s * at(i + 1, j);
  const below = (1 - s) * at(i, j + 1) + s * at(i + 1, j + 1);
  return (1 - t) * above + t * below;
}

describe("scenes of garments", () => {
  test("the same seed and number give the same bytes, others give other scenes", () => {
    assert.deepEqual(draw(3), scenes[3]);
    assert.notDeepEqual(draw(3, 2).image, scenes[3].image);
    assert.notDeepEqual(scenes[4].image, scenes[3].image);
  });

  test("a pixel's class is that of the highest garment which alone covers half of it, and else the background", () => {
    for (const { mask, placements } of scenes.slice(0, 25)) {
      for (let at = 0; at < mask.length; at++) {
        const shares = placements.map((placement) => coverage(placement, Math.floor(at / size), at % size));
        // Rounding decides about what covers a half.
        if (shares.some((share) => Math.abs(share - 0.5) < 1e-5)) continue;
        const highest = shares.findLastIndex((share) => share >= 0.5);
        assert.equal(mask[at], highest < 0 ? 0 : 1 + labels[placements[highest].index]);
      }
    }
  });

  test("every garment is seen, garments overlap, and no class is missing", () => {
    let overlapping = 0;
    const counts = [0, 0, 0, 0, 0];
    for (const { mask, placements } of scenes) {
      assert.ok(placements.length >= 1 && placements.length <= 4);
      for (const value of mask) counts[value]++;
      const own = placements.map(() => 0);
      const visible = placements.map(() => 0);
      for (let at = 0; at < mask.length; at++) {
        const here = placements.flatMap((placement, number) =>
          coverage(placement, Math.floor(at / size), at % size) >= 0.5 ? [number] : [],
        );
        for (const number of here) own[number]++;
        if (here.length > 0) visible[here[here.length - 1]]++;
        if (here.length > 1) overlapping++;
      }
      for (const [number, share] of visible.entries()) assert.ok(share > 0.14 * own[number] && share > 0);
    }
    const all = size * size * scenes.length;
    assert.ok(overlapping > 0.01 * all, `${overlapping} of ${all} pixels`);
    assert.ok(counts[0] > 0.3 * all && counts.every((count) => count > 0.02 * all), counts.join());
  });

  test("a garment is where the picture differs from the background, by its color", () => {
    // Where one garment is bright it has the hue of its color, up to light and noise.
    let [alike, seen] = [0, 0];
    for (const { image, mask, placements } of scenes) {
      if (placements.length !== 1) continue;
      const { color } = placements[0];
      for (let at = 0; at < mask.length; at++) {
        const rgb = [0, 1, 2].map((channel) => image[channel * size * size + at]);
        if (mask[at] === 0 || Math.max(...rgb) < 80 || Math.max(...rgb) > 250) continue;
        const [a, b] = [Math.hypot(...rgb), Math.hypot(...color)];
        const cosine = rgb.reduce((sum, value, channel) => sum + (value * color[channel]) / (a * b), 0);
        if (cosine > 0.98) alike++;
        seen++;
      }
    }
    assert.ok(seen > 1000 && alike > 0.9 * seen, `${alike} of ${seen}`);
  });
});

test("a garment has its enclosed zeros, and no specks around it", () => {
  const rows = [
    "........5...",
    ".9999.......",
    ".9..9....33.",
    ".9..9....33.",
    ".9999..3333.",
    ".......3.33.",
    ".9.9...3333.",
    ".9.9........",
    ".999........",
    "............",
    "...........4",
    "4...........",
  ];
  const gray = Uint8Array.from(rows.join(""), (each) => (each === "." ? 0 : Number(each)));
  const wanted = [
    "............",
    ".####.......",
    ".####....##.",
    ".####....##.",
    ".####..####.",
    ".......####.",
    ".......####.",
    "............",
    "............",
    "............",
    "............",
    "............",
  ];
  const outline = outlineOf(gray, 12);
  const drawn = wanted.map((_, row) =>
    Array.from(outline.subarray(12 * row, 12 * row + 12), (each) => (each ? "#" : ".")).join(""),
  );
  assert.deepEqual(drawn, wanted);
  const one = Uint8Array.of(0, 0, 0, 0, 7, 7, 0, 0, 0);
  assert.deepEqual(outlineOf(one, 3), Uint8Array.of(0, 0, 0, 0, 1, 1, 0, 0, 0), "the largest is no speck");
});

describe("the set wardrobe", () => {
  const ofClasses = (wanted: readonly number[]) =>
    selected(
      garments,
      [...labels.keys()].filter((index) => wanted.includes(labels[index])),
    );
  /** Pullovers and coats for training, sneakers and ankle boots for testing. */
  const parts = { train: ofClasses([0, 1]), test: ofClasses([2, 3]) };
  const masksOfAll = async ({ count, read }: ReturnType<typeof wardrobeOf>["train"]) => {
    const samples: MaskSample[] = [];
    for (let index = 0; index < count; index++) samples.push(await read(index));
    return samples;
  };

  test("scenes for training are of the training garments, those for testing of the test garments", async () => {
    const { train, test } = wardrobeOf(parts, { train: 40, test: 40 }, "wardrobe");
    const classes = async (part: typeof train) => {
      const masks = (await masksOfAll(part)).map(({ mask }) => [...mask.data]);
      return [...new Set(masks.flat())].toSorted();
    };
    assert.deepEqual(await classes(train), [0, 1, 2]);
    assert.deepEqual(await classes(test), [0, 3, 4]);
    assert.deepEqual(train.classNames, ["background", "Pullover", "Coat", "Sneaker", "Ankle boot"]);
    assert.deepEqual(test.mean, train.mean, "normalized as in training");
    assert.notEqual(train.fingerprint, test.fingerprint);
  });

  test("more scenes keep the first ones; of the same garments both parts have other scenes", async () => {
    const both = { train: garments, test: garments };
    const few = wardrobeOf(both, { train: 4, test: 4 }, "wardrobe");
    const many = wardrobeOf(both, { train: 8, test: 2 }, "wardrobe");
    assert.deepEqual(await few.train.read(3), await many.train.read(3));
    assert.notEqual(few.train.fingerprint, many.train.fingerprint);
    const images = [...(await masksOfAll(few.train)), ...(await masksOfAll(few.test))];
    assert.equal(new Set(images.map(({ image }) => image.data.join())).size, 8);
  });

  test("written in Pascal VOC's format it is read as the same samples", async () => {
    const folder = join(temporaryFolder(), "w");
    const written = wardrobeOf(parts, { train: 12, test: 3, size: 40 }, "wardrobe");
    const progress: number[] = [];
    await writeVocFolder(folder, written, { onProgress: (count) => progress.push(count) });
    assert.equal(progress.at(-1), 15);
    assert.equal(readdirSync(join(folder, "SegmentationClass"))[11], "train_000012.png");
    const list = readFileSync(join(folder, "ImageSets", "Segmentation", "val.txt"), "utf8");
    assert.equal(list, "val_000001\nval_000002\nval_000003\n");
    // VOC's own palette, as a decoder that returns colors sees it.
    const { data } = await sharp(join(folder, "SegmentationClass", "train_000001.png"))
      .raw()
      .toBuffer({ resolveWithObject: true });
    const colors = ["0,0,0", "128,0,0", "0,128,0"];
    const { mask } = await written.train.read(0);
    for (const [at, index] of mask.data.entries())
      assert.equal(data.subarray(3 * at, 3 * at + 3).join(), colors[index]);
    const read = await loadSamples("masks", folder, { images: { size: 40 }, cacheFolder: `${folder}-cache` });
    for (const part of ["train", "test"] as const) {
      const own = read[part] as ImageMasks;
      assert.deepEqual(own.classNames, written[part].classNames);
      assert.deepEqual([own.count, own.classShare], [written[part].count, 1]);
      assert.deepEqual(await masksOfAll(own), await masksOfAll(written[part]));
      for (const [channel, mean] of written[part].mean.entries()) {
        assert.ok(Math.abs(own.mean[channel] - mean) < 1e-12);
        assert.ok(Math.abs(own.deviation[channel] - written[part].deviation[channel]) < 1e-12);
      }
    }
    read.close?.();
    await assert.rejects(writeVocFolder(folder, written), {
      message: `${folder} is not empty; name another folder`,
    });
  });

  test("its name takes options, and says what is wrong with them and with other uses", async () => {
    assert.deepEqual(readGenerated("wardrobe:train=10,size=96", "wardrobe"), { train: 10, size: 96 });
    assert.equal(readGenerated("wardrobes", "wardrobe"), undefined);
    assert.throws(() => readGenerated("wardrobe:size=8", "wardrobe"), {
      message: "wardrobe: size is 8; it has to be a whole number of at least 32",
    });
    assert.deepEqual(readGenerated("wardrobe:garments=4,turn=0", "wardrobe"), { garments: 4, turn: 0 });
    await assert.rejects(loadSamples("masks", "wardrobe:garments=0"), {
      message: "wardrobe: garments is 0; it has to be a whole number of at least 1",
    });
    await assert.rejects(loadDataset("wardrobe:seed=2"), {
      message:
        "wardrobe:seed=2 has a class for each pixel and none for each image; it is for segmentation (task, --task segmentation)",
    });
    await assert.rejects(loadSamples("persons", "wardrobe"), /^UserError: wardrobe has no joints; /);
    await assert.rejects(loadSamples("masks", "wardrobe", { images: { channels: 1 } }), {
      message: "wardrobe has pictures of 3 channels, and images.channels is 1; leave it out",
    });
  });
});
