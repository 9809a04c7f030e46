import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { temporaryFolder } from "../testing/cli.ts";
import { type PngOfNumbers, pngOfNumbers } from "../testing/png.ts";
import { decodeMask, sizeOf } from "./mask-file.ts";
import { encodeIndices } from "./png-indices.ts";

// Masks as Pascal VOC has them (fixtures/datasets), whose numbers of pixels by class are known, and PNG files of every form.

const fixture = (path: string) => fileURLToPath(new URL(`../../fixtures/datasets/${path}`, import.meta.url));
const expected = JSON.parse(readFileSync(fixture("expected.json"), "utf8"));
const root = temporaryFolder();
const voc = (name: string) => ({
  image: fixture(`VOCdevkit/VOC2012/JPEGImages/${name}.jpg`),
  mask: fixture(`VOCdevkit/VOC2012/SegmentationClass/${name}.png`),
});

function counts(classes: Uint8Array): Record<string, number> {
  const found: Record<string, number> = {};
  for (const value of classes) found[value] = (found[value] ?? 0) + 1;
  return found;
}

let files = 0;
/** Decodes a PNG file at its own size. */
async function decodedOf(png: PngOfNumbers | Uint8Array, colors?: Parameters<typeof decodeMask>[3]) {
  const file = join(root, `${files++}.png`);
  writeFileSync(file, png instanceof Uint8Array ? png : pngOfNumbers(png));
  const size = await sizeOf(file);
  return decodeMask(file, { ...size, fit: "crop" }, size, colors);
}

describe("a mask file", () => {
  for (const { name, width, height, pixels } of expected.voc.masks) {
    test(`with a palette gives its indices: ${name}`, async () => {
      const { image, mask } = voc(name);
      const size = await sizeOf(image);
      assert.deepEqual(size, { height, width, isTurned: false });
      const { classes, values } = await decodeMask(mask, { height, width, fit: "crop" }, size);
      assert.deepEqual(counts(classes), pixels);
      assert.deepEqual(Object.fromEntries(values), pixels);
      for (const [value, , row, column] of values)
        assert.equal(classes.indexOf(value), row * width + column, "the first pixel of a value");
    });
  }

  test("is resized without mixing classes; what is padded is of no class", async () => {
    const [{ name, width, height, pixels }] = expected.voc.masks;
    const size = { width, height, isTurned: false };
    for (const fit of ["crop", "stretch", "pad"] as const) {
      const { classes, values } = await decodeMask(voc(name).mask, { height: 30, width: 30, fit }, size);
      assert.equal(classes.length, 900);
      for (const value of Object.keys(counts(classes))) assert.ok(value in pixels, `${fit}: ${value}`);
      assert.deepEqual(Object.fromEntries(values), pixels, "what the file holds");
    }
    const padded = await decodeMask(voc(name).mask, { height: 90, width: 90, fit: "pad" }, size);
    // 80×60 becomes 90×67 or 68 and has a border above and below.
    assert.deepEqual(counts(padded.classes.subarray(0, 90 * 10)), { 255: 900 });
  });

  for (const depth of [1, 2, 4, 8] as const) {
    // 11 columns, so that rows end within a byte.
    const numbers = Uint8Array.from({ length: 88 }, (_, at) => (at * 7) % 2 ** depth);
    test(`of ${depth} bits of gray holds numbers, not brightness`, async () => {
      const { classes } = await decodedOf({ numbers, width: 11, depth, type: "gray" });
      assert.deepEqual(classes, numbers);
    });

    test(`of ${depth} bits with a palette holds its indices, whatever the colors and their transparency`, async () => {
      // Two colors only, so that colors cannot tell indices apart.
      const palette = Array.from({ length: 2 ** depth }, (_, index) =>
        index % 2 === 0 ? ([224, 224, 192] as const) : ([0, 0, 0] as const),
      );
      const tRNS = Uint8Array.from(palette, (_, index) => (index * 50) % 256);
      const gAMA = Uint8Array.of(0, 0, 0x40, 0);
      const { classes } = await decodedOf({
        ...{ numbers, width: 11, depth, type: "palette", palette },
        chunks: { tRNS, bKGD: Uint8Array.of(1) },
      });
      assert.deepEqual(classes, numbers);
      const pale = pngOfNumbers({ numbers, width: 11, depth, type: "palette", palette, chunks: { gAMA } });
      assert.deepEqual((await decodedOf(pale)).classes, numbers);
    });
  }

  test("with a palette of few colors keeps indices beyond them, which are then no class", async () => {
    const numbers = Uint8Array.of(0, 1, 1, 9);
    const palette = [
      [0, 0, 0],
      [128, 0, 0],
    ] as const;
    const { values } = await decodedOf({ numbers, width: 2, depth: 8, type: "palette", palette });
    assert.deepEqual(values.at(-1), [9, 1, 1, 1]);
  });

  test("that was written here is read as it was, and as sharp reads its colors", async () => {
    const data = Uint8Array.from({ length: 300 }, (_, at) => (at * 31) % 256);
    const palette = Uint8Array.from({ length: 768 }, (_, at) => (at * 5) % 256);
    const png = encodeIndices({ height: 15, width: 20, data }, palette);
    assert.deepEqual((await decodedOf(png)).classes, data);
    const colors = await sharp(png).raw().toBuffer();
    for (const [at, index] of data.entries())
      assert.deepEqual(
        [...colors.subarray(3 * at, 3 * at + 3)],
        [...palette.subarray(3 * index, 3 * index + 3)],
      );
  });

  test("of colors gives the classes of a table, whatever form the PNG has", async () => {
    const table = new Map([
      [0x000000, 0],
      [0xffffff, 1],
      [0xe0e0c0, 255],
    ]);
    const colors = [0, 0, 0, 224, 224, 192, 255, 255, 255, 0, 0, 0];
    const classes = Uint8Array.of(0, 255, 1, 0);
    const forms: PngOfNumbers[] = [
      { numbers: colors, width: 2, depth: 8, type: "colors" },
      { numbers: colors, width: 2, depth: 8, type: "colors", chunks: { gAMA: Uint8Array.of(0, 0, 0x40, 0) } },
      {
        ...{ numbers: [5, 2, 3, 5], width: 2, depth: 8, type: "palette" },
        palette: [0, 0x40, 0xe0e0c0, 0xffffff, 0, 0].map((color) => [
          color >> 16,
          (color >> 8) & 255,
          color & 255,
        ]),
      },
    ];
    for (const form of forms) assert.deepEqual((await decodedOf(form, table)).classes, classes, form.type);
    // Black and white of one bit, and 255 of gray, which is no class where masks hold numbers.
    const white = { width: 2, type: "gray" } as const;
    assert.deepEqual(
      (await decodedOf({ ...white, numbers: [0, 1, 1, 0], depth: 1 }, table)).classes,
      Uint8Array.of(0, 1, 1, 0),
    );
    assert.deepEqual(
      (await decodedOf({ ...white, numbers: [0, 255, 255, 0], depth: 8 }, table)).classes,
      Uint8Array.of(0, 1, 1, 0),
    );
    await assert.rejects(decodedOf({ ...white, numbers: [0, 255, 254, 0], depth: 8 }, table), {
      name: "UnreadableImage",
      message:
        "its pixel in row 2, column 1 is #fefefe, which is the color of no class; add it to the colors (images.maskColors, --mask-color), or make it the color of pixels of no class (images.ignoredColor, --ignored-color)",
    });
  });

  const refusals: Record<string, RegExp> = {
    "colours.png": /^its pixels are colors \(#000000(, #[0-9a-f]{6})+(, …)?\); a mask holds class numbers/,
    "other-size.png": /^it is 50×70 \(height × width\) and its image 60×80$/,
    "jpeg-mask.jpg": /^it is no PNG file; other formats blur or recolor class numbers$/,
  };
  for (const [file, reason] of Object.entries(refusals)) {
    test(`that is none is refused: ${file}`, async () => {
      const size = { height: 60, width: 80, isTurned: false };
      await assert.rejects(decodeMask(fixture(`voc-flawed/${file}`), { ...size, fit: "crop" }, size), {
        name: "UnreadableImage",
        message: reason,
      });
    });
  }

  test("that is cut off, or has 16 bits, is refused", async () => {
    const whole = { numbers: new Uint8Array(400), width: 20, depth: 8, type: "gray" } as const;
    const bytes = pngOfNumbers(whole);
    const file = join(root, "cut.png");
    for (const length of [0, 20, bytes.length - 14, bytes.length - 4]) {
      writeFileSync(file, bytes.subarray(0, length));
      const size = { height: 20, width: 20, isTurned: false };
      await assert.rejects(decodeMask(file, { ...size, fit: "crop" }, size), {
        message: /^(the file is empty|it is damaged or cut off)$/,
      });
    }
    await assert.rejects(decodedOf({ ...whole, depth: 16 }), {
      message: "it has 16 bits a pixel; a mask has at most 8, so save it with 8",
    });
  });

  test("belongs to stored pixels, whatever the EXIF orientation of its picture says", async () => {
    const turned = join(root, "turned.jpg");
    const gray = { create: { width: 40, height: 30, channels: 3, background: "gray" } } as const;
    await sharp(gray).withMetadata({ orientation: 6 }).jpeg().toFile(turned);
    const size = await sizeOf(turned);
    assert.deepEqual(size, { height: 30, width: 40, isTurned: true });
    const mask = join(root, "upright.png");
    writeFileSync(mask, pngOfNumbers({ numbers: new Uint8Array(1200), width: 30, depth: 8, type: "gray" }));
    await assert.rejects(decodeMask(mask, { ...size, fit: "crop" }, size), {
      message:
        /^it is 40×30 \(height × width\) and its image 30×40 as it is stored: its EXIF orientation is not applied/,
    });
  });

  test("gray with class numbers, and one without any class, are read", async () => {
    const size = { height: 60, width: 80, isTurned: false };
    const form = { ...size, fit: "crop" } as const;
    const gray = counts((await decodeMask(fixture("voc-flawed/grey.png"), form, size)).classes);
    assert.ok(
      Object.keys(gray).every((value) => Number(value) < 21 || value === "255"),
      JSON.stringify(gray),
    );
    const none = await decodeMask(fixture("voc-flawed/all-255.png"), form, size);
    assert.deepEqual(counts(none.classes), { 255: 4800 });
  });
});
