import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { UserError } from "../../common/errors.ts";
import { decodeImage } from "../image-file.ts";
import { UnreadableImage } from "../image-form.ts";
import { listClassFolder } from "./class-folder.ts";
import { byCodePoint, stratifiedSplit } from "./class-parts.ts";

const datasets = fileURLToPath(new URL("../../../fixtures/datasets/", import.meta.url));

interface ExpectedFile {
  file: string;
  accept: boolean | "either" | "ignored";
  width: number;
  height: number;
  mean: number[];
  quarters: number[][];
  tolerance: number;
  meanOverWhite?: number[];
}

const expected = JSON.parse(await readFile(join(datasets, "expected.json"), "utf8")).imageFolder as {
  classes: string[];
  files: ExpectedFile[];
};

/** Formats that are refused where the expectation allows either. */
const refusedFormats = ["image-folder/train/dog/bitmap.bmp"];

/** Mean of each channel over a rectangle. */
function means(
  data: Uint8Array,
  width: number,
  height: number,
  [left, top, right, bottom]: number[],
): number[] {
  return [0, 1, 2].map((channel) => {
    let sum = 0;
    for (let y = top; y < bottom; y++)
      for (let x = left; x < right; x++) sum += data[(channel * height + y) * width + x];
    return sum / ((right - left) * (bottom - top));
  });
}

/** Expected means are rounded to two digits, those of quarters to one. */
const [rounding, quarterRounding] = [0.0051, 0.051];

function assertNear(actual: number[], wanted: number[], tolerance: number, what: string) {
  for (const [index, value] of actual.entries())
    assert.ok(
      Math.abs(value - wanted[index]) <= tolerance + rounding,
      `${what}: ${actual.map((each) => each.toFixed(2))}, expected ${wanted} ± ${tolerance}`,
    );
}

describe("pictures as Pillow decodes them", () => {
  for (const { file, accept, width, height, mean, quarters, tolerance, meanOverWhite } of expected.files) {
    if (accept === "ignored") continue;
    test(file, async () => {
      const path = join(datasets, file);
      if (accept === false || refusedFormats.includes(file)) {
        await assert.rejects(decodeImage(path), UnreadableImage);
        return;
      }
      const image = await decodeImage(path);
      assert.deepEqual([image.width, image.height, image.channels], [width, height, 3]);
      const whole = [0, 0, width, height];
      if (meanOverWhite) {
        assertNear(means(image.data, width, height, whole), meanOverWhite, 1, "over white");
        return;
      }
      assertNear(means(image.data, width, height, whole), mean, tolerance, "mean");
      const [x, y] = [width / 2, height / 2];
      const corners = [
        [0, 0, x, y],
        [x, 0, width, y],
        [0, y, x, height],
        [x, y, width, height],
      ];
      if (width > 1)
        for (const [index, corner] of corners.entries())
          assertNear(
            means(image.data, width, height, corner),
            quarters[index],
            tolerance + quarterRounding,
            `quarter ${index}`,
          );
    });
  }
});

describe("a picture as an image of one size", () => {
  const source = join(datasets, "image-folder/train/Zebra/rgb.png");

  test("gray is Pillow's luminance", async () => {
    const color = await decodeImage(source);
    const gray = await decodeImage(source, { channels: 1 });
    const pixels = color.width * color.height;
    for (let at = 0; at < pixels; at++) {
      const [red, green, blue] = [0, 1, 2].map((channel) => color.data[channel * pixels + at]);
      assert.ok(Math.abs(gray.data[at] - (0.299 * red + 0.587 * green + 0.114 * blue)) <= 0.501);
    }
  });

  test("crop covers, pad fits inside, stretch changes proportions", async () => {
    for (const fit of ["crop", "pad", "stretch"] as const) {
      const image = await decodeImage(source, { width: 24, height: 24, fit });
      assert.deepEqual([image.width, image.height], [24, 24]);
      const topRow = means(image.data, 24, 24, [0, 0, 24, 1]);
      assert.equal(Math.max(...topRow) === 0, fit === "pad", `${fit}: the first row is ${topRow}`);
    }
    // 48×36 has 6 columns too many on each side of its square: in the crop they are missing.
    const [whole, crop] = await Promise.all([
      decodeImage(source),
      decodeImage(source, { width: 36, height: 36, fit: "crop" }),
    ]);
    assertNear(
      means(crop.data, 36, 36, [0, 0, 36, 36]),
      means(whole.data, 48, 36, [6, 0, 42, 36]),
      0.5,
      "the middle",
    );
  });
});

describe("a folder of pictures", () => {
  test("classes in code-point order, files of folders below, nothing that is no picture", async () => {
    const folder = join(datasets, "image-folder");
    const { classNames, train, test: held } = await listClassFolder(folder);
    assert.deepEqual(classNames, expected.classes);
    const wanted = expected.files
      .filter(({ file, accept }) => accept !== "ignored" && file.startsWith("image-folder/train/"))
      .map(({ file }) => file);
    const listed = train.map(({ path }) => relative(datasets, path).replaceAll("\\", "/"));
    assert.deepEqual(listed.toSorted(), wanted.toSorted());
    for (const image of train) assert.ok(image.path.includes(join("train", classNames[image.class])));
    assert.deepEqual(
      held.map((image) => image.class),
      [0, 1, 2],
    );
  });

  test("every file of the fixture is expected in one way or another", async () => {
    const found = await readdir(join(datasets, "image-folder"), { recursive: true, withFileTypes: true });
    const paths = found
      .filter((entry) => entry.isFile())
      .map((entry) => relative(datasets, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
    assert.deepEqual(paths.toSorted(), expected.files.map(({ file }) => file).toSorted());
  });

  test("a class without pictures is named", async () => {
    const folder = join(datasets, "empty-class");
    await assert.rejects(listClassFolder(folder), new UserError(`class "void" in ${folder} has no pictures`));
  });

  test("numbers are names: 1, 10, 2", async () => {
    const classes = listClassFolder(join(datasets, "numbered-classes"));
    await assert.rejects(
      classes,
      new UserError('class "1" has 1 picture; it needs two or more, one of them to test on'),
    );
    assert.deepEqual(["2", "10", "1"].toSorted(byCodePoint), ["1", "10", "2"]);
    assert.deepEqual(["cat", "Zebra", "äther", "😀", "\uffee"].toSorted(byCodePoint), [
      "Zebra",
      "cat",
      "äther",
      "\uffee",
      "😀",
    ]);
  });

  const folders: string[] = [];
  after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));
  /** A folder with empty files at these paths. */
  async function folderOf(...paths: string[]): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "lowland-folder-"));
    folders.push(folder);
    for (const path of paths) {
      await mkdir(join(folder, path, ".."), { recursive: true });
      await writeFile(join(folder, path), "");
    }
    return folder;
  }
  const refused = async (paths: string[], sentence: RegExp) => {
    const folder = await folderOf(...paths);
    await assert.rejects(listClassFolder(folder), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, sentence);
      return true;
    });
  };

  test("what is refused", async () => {
    await refused(["full/a.png", "full/b.png", "void/notes.txt"], /class "void" in .* has no pictures$/);
    await refused(["a.png"], /has no folder; a data set needs two classes or more/);
    await refused(["only/a.png"], /has one folder, only; a data set needs/);
    await refused(["Cat/a.png", "cat/b.png"], /the classes "Cat" and "cat" differ by case only; rename one/);
    await refused(
      ["train/a/1.png", "train/b/2.png", "test/c/3.png"],
      /test has the class "c", which the training folder lacks; it has a, b/,
    );
    await refused(["train/a/1.png", "train/b/2.png", "test/a/notes.txt"], /test has no pictures/);
    await assert.rejects(listClassFolder(join(tmpdir(), "lowland-no-such-folder")), /there is no folder/);
    await assert.rejects(listClassFolder(join(datasets, "expected.json")), /is a file; a folder of pictures/);
  });

  test("val is the test set where there is no test folder, and validation where there is", async () => {
    const files = ["train/a/1.png", "train/b/2.png", "val/a/3.png"];
    const one = await listClassFolder(await folderOf(...files));
    assert.deepEqual([one.train.length, one.validation.length, one.test.length], [2, 0, 1]);
    const two = await listClassFolder(await folderOf(...files, "Test/b/4.PNG"));
    assert.deepEqual([two.train.length, two.validation.length, two.test.length], [2, 1, 1]);
  });
});

describe("a share for testing", () => {
  const images = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1].map((number, index) => ({
    path: `${index}`,
    class: number,
  }));
  const names = ["many", "few"];

  test("of each class, by the seed, nothing twice", () => {
    const { train, test: held } = stratifiedSplit(images, names, { testShare: 0.3, seed: 4 });
    assert.deepEqual(
      [0, 1].map((number) => held.filter((image) => image.class === number).length),
      [3, 1],
    );
    assert.deepEqual(new Set([...train, ...held]), new Set(images));
    assert.equal(train.length + held.length, images.length);
    assert.deepEqual(stratifiedSplit(images, names, { testShare: 0.3, seed: 4 }).test, held);
    const others = [5, 6, 7, 8].map((seed) => stratifiedSplit(images, names, { testShare: 0.3, seed }).test);
    assert.ok(others.some((other) => other.some((image) => !held.includes(image))));
  });

  test("refused: a share that is none", () => {
    for (const testShare of [0, 1, -0.5, Number.NaN])
      assert.throws(() => stratifiedSplit(images, names, { testShare }), UserError);
  });
});
