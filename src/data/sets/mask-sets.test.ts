import assert from "node:assert/strict";
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../../testing/cli.ts";
import { type PngOfNumbers, pngOfNumbers } from "../../testing/png.ts";
import { loadSamples } from "../catalogue.ts";
import type { DataOptions } from "../data-options.ts";
import { decodeImage } from "../image-file.ts";
import type { ImageMasks } from "../masks.ts";

// Folders of pictures and masks: Pascal VOC's format with the fixture's known pixels, and `images` beside `masks`.

const datasets = fileURLToPath(new URL("../../../fixtures/datasets", import.meta.url));
const { voc } = JSON.parse(readFileSync(join(datasets, "expected.json"), "utf8"));
const published = join(datasets, "VOCdevkit", "VOC2012");
const root = temporaryFolder();
const cacheFolder = join(root, "cache");
let folders = 0;
const newFolder = () => join(root, `set-${folders++}`);

interface Loaded extends Record<"train" | "test", ImageMasks> {
  validation?: ImageMasks;
  log: string[];
}

async function load(folder: string, options: DataOptions = {}): Promise<Loaded> {
  const log: string[] = [];
  const own = { images: { size: 32 }, cacheFolder, log: (line: string) => log.push(line), ...options };
  const { train, validation, test, close } = await loadSamples("masks", folder, own);
  close?.();
  return { train, test, ...(validation && { validation }), log } as Loaded;
}
const refused = (folder: string, message: RegExp, options: DataOptions = {}) =>
  assert.rejects(load(folder, options), (error: Error) => {
    assert.equal(error.name, "UserError");
    assert.match(error.message.replaceAll(root, ""), message);
    return true;
  });

/** A file, with the folders that it is in. */
function put(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** The published folder, with lists of one's own, somewhere where it may be changed. */
function vocFolder(lists: Readonly<Record<string, string>>, name = "voc"): string {
  const folder = join(newFolder(), name);
  for (const each of ["JPEGImages", "SegmentationClass"])
    cpSync(join(published, each), join(folder, each), { recursive: true });
  for (const [list, text] of Object.entries(lists))
    put(join(folder, "ImageSets", "Segmentation", `${list}.txt`), text);
  return folder;
}

/** Pixels of each class in all masks of a part at their own size, which only a form of that size shows. */
function classesIn({ count, read }: ImageMasks): Promise<number[]> {
  const samples = Array.from({ length: count }, (_, index) => read(index));
  return Promise.all(samples).then((all) =>
    [...new Set(all.flatMap(({ mask }) => [...mask.data]))].toSorted((a, b) => a - b),
  );
}

describe("a folder in Pascal VOC's format", () => {
  test("as published has its parts by lists, with any line ends, and VOC's classes", async () => {
    const { train, test: held, validation, log } = await load(published);
    assert.deepEqual([train.count, held.count, validation], [2, 2, undefined]);
    assert.deepEqual(train.classNames, voc.classes);
    assert.deepEqual(await classesIn(train), [0, 1, 15, 20, 255]);
    assert.deepEqual(await classesIn(held), [0, 3, 9, 12, 255]);
    assert.deepEqual([train.mean, train.deviation], [held.mean, held.deviation]);
    const { image } = await train.read(0);
    const form = { channels: 3, height: 32, width: 32, fit: "crop" } as const;
    const picture = join(published, "JPEGImages", `${voc.train[0]}.jpg`);
    assert.deepEqual(image.data, (await decodeImage(picture, form)).data);
    // 3,894 + 4,423 of 9,600 pixels are background, 377 aeroplane.
    assert.match(
      log.at(-1) ?? "",
      /: 2 training pictures; share of pixels: background 86\.6 %, aeroplane 3\.9 %, .*person 2\.6 %.*no class 4\.2 %$/,
    );
    const devkit = await load(dirname(published));
    assert.deepEqual(devkit.train.fingerprint, train.fingerprint, "the folder around it");
  });

  test("at the size of its pictures has the classes of every pixel", async () => {
    const folder = vocFolder({ train: "2007_000068\n", val: "2007_000063\n" });
    const { train } = await load(folder, { images: { size: 64 } });
    const { mask } = await train.read(0);
    const counts = new Map<number, number>();
    for (const value of mask.data) counts.set(value, (counts.get(value) ?? 0) + 1);
    assert.deepEqual(Object.fromEntries(counts), voc.masks[3].pixels);
    assert.equal(train.classShare, 1 - 172 / 4096);
    assert.equal(train.classNames.length, 13, "numbers, up to the largest of all masks");
  });

  test("with val and test has a validation part; test pictures without masks are passed over", async () => {
    const three = await load(
      vocFolder({ train: "2007_000032\n2007_000039", val: "2007_000063", test: "2007_000068" }),
    );
    assert.deepEqual(
      [three.train, three.validation, three.test].map((part) => part?.count),
      [2, 1, 1],
    );
    assert.deepEqual(await classesIn(three.validation as ImageMasks), [0, 9, 12, 255]);
    assert.deepEqual(three.train.mean, three.validation?.mean);
    const hidden = await load(
      vocFolder({
        train: "2007_000032\n2007_000039",
        val: "2007_000063",
        test: "2008_000001\r\n2008_000002",
      }),
    );
    assert.deepEqual([hidden.validation, hidden.test.count], [undefined, 1]);
    assert.match(hidden.log[0], /test\.txt names no picture with a mask; it is left out$/);
  });

  test("without lists, or with one for training, gives a share for testing, by the seed", async () => {
    const trainval = "2007_000032\n2007_000039\n2007_000063\n2007_000068\n";
    const both: Record<string, string>[] = [{}, { trainval }];
    for (const lists of both) {
      const folder = vocFolder(lists);
      const first = await load(folder, { images: { size: 32, testShare: 0.25 } });
      const again = await load(folder, { images: { size: 32, testShare: 0.25 } });
      assert.deepEqual([first.train.count, first.test.count], [3, 1]);
      assert.equal(first.test.fingerprint, again.test.fingerprint);
    }
  });

  test("takes the names of its own files, and the colors of CVAT's", async () => {
    const lists = { train: "2007_000032\n2007_000039", val: "2007_000063" };
    const named = vocFolder(lists);
    put(
      join(named, "class_names.txt"),
      `\uFEFF${Array.from({ length: 21 }, (_, index) => `thing ${index}`).join("\r\n")}\r\n`,
    );
    assert.equal((await load(named)).train.classNames[20], "thing 20");
    const cvat = vocFolder(lists);
    // Other numbers than the palette's: the colors count.
    put(
      join(cvat, "labelmap.txt"),
      "# label:color_rgb:parts:actions\naeroplane:128,0,0::\nbackground:0,0,0::\nrest:192,128,128::\ntrain:0,64,128::\nchair:192,0,0::\ndiningtable:192,128,0::\ndog:64,0,128::\ncat:64,0,0::\n",
    );
    const { train } = await load(cvat);
    assert.deepEqual(train.classNames.slice(0, 3), ["aeroplane", "background", "rest"]);
    assert.deepEqual(await classesIn(train), [0, 1, 2, 3, 255]);
  });

  test("with a line too many or a file too few is refused by name", async () => {
    const train = "2007_000032\n2007_000039\n";
    await refused(
      vocFolder({ train, val: "2007_000063\n2007_000099\n" }),
      /^2007_000099 in \S*val\.txt has no picture \S*JPEGImages\/2007_000099\.jpg; add it, or remove the line$/,
    );
    const folder = vocFolder({ train, val: "2007_000063\n" });
    rmSync(join(folder, "SegmentationClass", "2007_000039.png"));
    await refused(
      folder,
      /^2007_000039 in \S*train\.txt has no mask \S*SegmentationClass\/2007_000039\.png; add it, or remove the line$/,
    );
    await refused(
      vocFolder({ train, val: "2007_000039\n" }),
      /^2007_000039 is listed in both \S*train\.txt and \S*val\.txt; remove one of the lines$/,
    );
    await refused(
      vocFolder({ train: `${train}2007_000032\n` }),
      /^2007_000032 is listed twice in \S*train\.txt; remove/,
    );
    await refused(vocFolder({ val: "2007_000063\n" }), /ImageSets\/Segmentation has no train\.txt; add it/);
  });
});

/** Masks of 4×4 by name, with a gray picture each, in `images` and `masks` of a folder. */
function maskFolder(
  masks: Readonly<Record<string, Partial<PngOfNumbers> & Pick<PngOfNumbers, "numbers">>>,
  classNames?: readonly string[],
  place: (kind: string, name: string) => string = (kind, name) => `${kind}/${name}`,
): string {
  const folder = newFolder();
  for (const [name, mask] of Object.entries(masks)) {
    const gray = { width: 4, depth: 8, type: "gray" } as const;
    const picture = { ...gray, numbers: Uint8Array.from({ length: 16 }, (_, at) => 10 * at) };
    put(join(folder, place("images", `${name}.png`)), pngOfNumbers(picture));
    put(join(folder, place("masks", `${name}.png`)), pngOfNumbers({ ...gray, ...mask }));
  }
  if (classNames) put(join(folder, "classes.txt"), `${classNames.join("\r\n")}\r\n`);
  return folder;
}
const filled = (...values: number[]) => ({
  numbers: Uint8Array.from({ length: 16 }, (_, at) => values[at % values.length]),
});
const names = ["a", "b", "c", "d", "e"];
const all = (...values: number[]) => Object.fromEntries(names.map((name) => [name, filled(...values)]));
const small = { images: { size: 4 } };

describe("a folder of images and masks", () => {
  test("has its parts by folders around images and masks, or in them", async () => {
    const parts = [
      ...[..."abc"].map((name) => `train ${name}`),
      ...[..."de"].map((name) => `val ${name}`),
      "test f",
    ];
    const masks = Object.fromEntries(parts.map((part) => [part, filled(0, 1, 2)]));
    for (const isOuter of [true, false]) {
      const place = (kind: string, name: string) => {
        const [part, file] = name.split(" ");
        return isOuter ? `${part}/${kind}/${file}` : `${kind}/${part}/${file}`;
      };
      const folder = maskFolder(masks, ["ground", "square", "disc"], place);
      const { train, validation, test: held } = await load(folder, small);
      assert.deepEqual([train.count, validation?.count, held.count], [3, 2, 1]);
      assert.deepEqual(train.classNames, ["ground", "square", "disc"]);
      const { image, mask } = await held.read(0);
      assert.deepEqual(
        [image.shape, mask.shape],
        [
          [3, 4, 4],
          [4, 4],
        ],
      );
      assert.deepEqual(mask.data, masks["test f"].numbers);
    }
    const { test: without, validation } = await load(
      maskFolder(
        { "train a": filled(0, 1), "val b": filled(0, 1) },
        undefined,
        (kind, name) => `${name.split(" ")[0]}/${kind}/${name}`,
      ),
      small,
    );
    assert.deepEqual([without.count, validation], [1, undefined], "val is the test set");
  });

  test("without parts gives a share for testing, by the seed, from the pixels that are kept", async () => {
    const folder = maskFolder(all(0, 3, 255, 1));
    const first = await load(folder, small);
    assert.deepEqual([first.train.count, first.test.count, first.train.classNames.length], [4, 1, 4]);
    assert.equal(first.train.classShare, 0.75);
    const before = readdirSync(cacheFolder).length;
    const other = await load(folder, { images: { size: 4, testShare: 0.4 } });
    assert.deepEqual([other.train.count, other.test.count], [3, 2]);
    assert.equal(readdirSync(cacheFolder).length, before, "another share reads the same file");
  });

  test("of colors takes its classes from a table; two-valued masks do so too", async () => {
    const colored = {
      ...{ type: "colors" as const, width: 4 },
      numbers: Array.from({ length: 4 }, () => [0, 0, 0, 255, 0, 0, 0, 0, 255, 224, 224, 192]).flat(),
    };
    const folder = maskFolder({ a: colored, b: colored, c: colored });
    const maskColors = { background: "#000000", cat: "#FF0000", dog: "#0000ff" };
    const { train, log } = await load(folder, { images: { size: 4, maskColors, ignoredColor: "#e0e0c0" } });
    assert.deepEqual(train.classNames, ["background", "cat", "dog"]);
    assert.deepEqual((await train.read(0)).mask.data.subarray(0, 4), Uint8Array.of(0, 1, 2, 255));
    assert.match(log.at(-1) ?? "", /background 25\.0 %, cat 25\.0 %, dog 25\.0 %, no class 25\.0 %$/);
    await refused(
      folder,
      /: 3 files cannot be used: \S*masks\/a\.png \(its pixel in row 1, column 4 is #e0e0c0, which is the color of no class; add it/,
      { images: { size: 4, maskColors } },
    );
    await refused(
      folder,
      /masks\/a\.png \(its pixels are colors \(#000000, #ff0000, #0000ff, #e0e0c0\); a mask holds class numbers/,
    );
    const black = { background: "#000000", thing: "#ffffff" };
    const binary = await load(maskFolder(all(0, 255)), { images: { size: 4, maskColors: black } });
    assert.deepEqual(await classesIn(binary.train), [0, 1]);
  });

  test("of 0 and 255 only is refused with the setting that makes 255 a class", async () => {
    const advice = (first: string, second: string) =>
      new RegExp(
        `: the training masks hold no class but 0.*, and 255; 255 is for pixels of no class, and if it stands for class 1 here, say so with --mask-color ${first}=#000000 --mask-color ${second}=#ffffff; segmentation needs two classes or more$`,
      );
    await refused(maskFolder(all(0, 255)), advice("background", "object"), small);
    await refused(maskFolder(all(0, 255), ["ground", "thing"]), advice("ground", "thing"), small);
    await refused(
      maskFolder(all(1)),
      /: the training masks hold no class but 1; segmentation needs two/,
      small,
    );
  });

  test("with a value that is no class is refused with the mask, the value, and where it is", async () => {
    const folder = maskFolder({ ...all(0, 1), c: filled(0, 0, 1, 0, 0, 7) }, ["ground", "square", "disc"]);
    await refused(
      folder,
      /: the mask masks\/c\.png has the value 7 in row 2, column 2 \(2 of 16 pixels\); there are 3 classes \(0 … 2\) and 255 for pixels of none, so correct the mask, or name the class in \S*classes\.txt$/,
      small,
    );
    // A value that a smaller size would leave out.
    const large = {
      width: 40,
      numbers: Uint8Array.from({ length: 1600 }, (_, at) => (at === 41 ? 9 : at % 2)),
    };
    const pictures = maskFolder(all(0, 1), ["ground", "square"]);
    put(join(pictures, "masks", "a.png"), pngOfNumbers({ ...large, depth: 8, type: "gray" }));
    put(join(pictures, "images", "a.png"), pngOfNumbers({ ...large, depth: 8, type: "gray" }));
    await refused(pictures, /masks\/a\.png has the value 9 in row 2, column 2 \(1 of 1600 pixels\)/, small);
  });

  test("with masks of no class at all says so once", async () => {
    const { log, train } = await load(maskFolder({ ...all(0, 1), b: filled(255), d: filled(255) }), small);
    const said = log.filter((line) => line.includes("no pixel of any class"));
    assert.equal(said.length, 1);
    assert.match(
      said[0],
      /: 2 masks have no pixel of any class \(all 255\), so that their pictures add nothing to the loss: masks\/b\.png, masks\/d\.png$/,
    );
    assert.ok(train.count === 4);
  });

  test("with a mask of another size, or an image too few, is refused by name, or left out", async () => {
    const folder = maskFolder({ ...all(0, 1), b: { ...filled(0, 1), width: 8 } });
    await refused(
      folder,
      /: 1 file cannot be used: \S*masks\/b\.png \(it is 2×8 \(height × width\) and its image 4×4\); correct or remove them, or skip/,
      small,
    );
    const {
      train,
      test: held,
      log,
    } = await load(folder, { images: { size: 4, onBadImage: "skip", testShare: 0.4 } });
    assert.equal(train.count + held.count, 4);
    assert.match(log[0], /masks\/b\.png .*; left out$/);
    const lonely = maskFolder(all(0, 1));
    copyFileSync(join(lonely, "images", "a.png"), join(lonely, "images", "extra.png"));
    await refused(
      lonely,
      /images\/extra\.png has no mask; add \S*masks\/extra\.png, or remove the image$/,
      small,
    );
    rmSync(join(lonely, "images", "extra.png"));
    rmSync(join(lonely, "images", "a.png"));
    await refused(
      lonely,
      /^the mask \S*masks\/a\.png has no image of the same name in \S*images; add it, or remove/,
      small,
    );
    await refused(
      join(root, "nowhere"),
      /^there is no folder \/nowhere; data with masks are a folder with images\/ and masks\/, or one in Pascal VOC's format/,
    );
  });

  test("with a table of colors that is none is refused", async () => {
    const folder = maskFolder(all(0, 1));
    const withColors = (maskColors: Record<string, string>, message: RegExp) =>
      refused(folder, message, { images: { size: 4, maskColors } });
    await withColors(
      { a: "red", b: "#000000" },
      /^the color of a in images\.maskColors is "red"; write it as #ff8000/,
    );
    await withColors(
      { a: "#AAAAAA", b: "#aaaaaa" },
      /^#aaaaaa is the color of both a and b in images\.maskColors; give/,
    );
    await withColors({ a: "#aaaaaa" }, /^images\.maskColors has 1 class; segmentation needs two or more$/);
    const withIgnored = (ignoredColor: string, message: RegExp, maskColors?: Record<string, string>) =>
      refused(folder, message, { images: { size: 4, maskColors, ignoredColor } });
    const two = { a: "#000000", b: "#ffffff" };
    await withIgnored("white", /^images\.ignoredColor is "white"; write it as #ff8000/, two);
    await withIgnored("#FFFFFF", /^#FFFFFF is images\.ignoredColor and the color of b; choose another/, two);
    await withIgnored(
      "#ffffff",
      /^images\.ignoredColor is #ffffff, and no class has a color; name these too/,
    );
  });
});
