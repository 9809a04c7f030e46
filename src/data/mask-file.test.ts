import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { crc32, deflateSync } from "node:zlib";
import { temporaryFolder } from "../testing/cli.ts";
import { decodeMask, sizeOf } from "./mask-file.ts";
import { loadMaskFolder } from "./sets/mask-folder.ts";

// Masks as Pascal VOC has them (fixtures/datasets), whose numbers of pixels by class are known, and folders of them.

const fixture = (path: string) => fileURLToPath(new URL(`../../fixtures/datasets/${path}`, import.meta.url));
const expected = JSON.parse(readFileSync(fixture("expected.json"), "utf8"));
const root = temporaryFolder();
const voc = (name: string) => ({
  image: fixture(`VOCdevkit/VOC2012/JPEGImages/${name}.jpg`),
  mask: fixture(`VOCdevkit/VOC2012/SegmentationClass/${name}.png`),
});

/** A PNG file of gray levels as they are, so many bits each. */
function grayPng(levels: Uint8Array, width: number, depth: number): Buffer {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const ends = [data.length, crc32(body)].map((value) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(value);
      return bytes;
    });
    return Buffer.concat([ends[0], body, ends[1]]);
  };
  const height = levels.length / width;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = depth;
  const rows = Array.from({ length: height }, (_, row) => {
    const bytes = Buffer.alloc(1 + (width * depth) / 8);
    for (let x = 0; x < width; x++)
      bytes[1 + ((x * depth) >> 3)] |= levels[row * width + x] << (8 - depth - ((x * depth) & 7));
    return bytes;
  });
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function counts(classes: Uint8Array): Record<string, number> {
  const found: Record<string, number> = {};
  for (const value of classes) found[value] = (found[value] ?? 0) + 1;
  return found;
}

describe("a mask file", () => {
  for (const { name, width, height, pixels } of expected.voc.masks) {
    test(`with a palette gives its indices: ${name}`, async () => {
      const { image, mask } = voc(name);
      assert.deepEqual(await sizeOf(image), [height, width]);
      const form = { channels: 1, height, width, fit: "crop" } as const;
      assert.deepEqual(counts(await decodeMask(mask, form, [height, width])), pixels);
    });
  }

  test("is resized without mixing classes; what is padded is of no class", async () => {
    const [{ name, width, height, pixels }] = expected.voc.masks;
    const small = { channels: 1, height: 30, width: 30 } as const;
    for (const fit of ["crop", "stretch", "pad"] as const) {
      const resized = counts(await decodeMask(voc(name).mask, { ...small, fit }, [height, width]));
      assert.equal(
        Object.values(resized).reduce((a, b) => a + b),
        900,
      );
      for (const value of Object.keys(resized)) assert.ok(value in pixels, `${fit}: ${value}`);
    }
    const large = { channels: 1, height: 90, width: 90, fit: "pad" } as const;
    const padded = await decodeMask(voc(name).mask, large, [height, width]);
    // 80×60 becomes 90×67 or 68 and has a border above and below.
    assert.deepEqual(counts(padded.subarray(0, 90 * 10)), { 255: 900 });
  });

  for (const depth of [1, 2, 4, 8]) {
    test(`of ${depth} bits of gray holds numbers, not brightness`, async () => {
      const classes = Uint8Array.from({ length: 64 }, (_, at) => at % Math.min(2 ** depth, 16));
      const file = join(root, `gray-${depth}.png`);
      writeFileSync(file, grayPng(classes, 8, depth));
      const form = { channels: 1, height: 8, width: 8, fit: "crop" } as const;
      assert.deepEqual(await decodeMask(file, form, [8, 8]), classes);
    });
  }

  const refusals: Record<string, RegExp> = {
    "colours.png": /^its pixels are colors; a mask holds class numbers/,
    "other-size.png": /^it is 50×70 \(height × width\) and its image 60×80$/,
    "jpeg-mask.jpg": /^it is no PNG file; other formats blur or recolor class numbers$/,
  };
  for (const [file, reason] of Object.entries(refusals)) {
    test(`that is none is refused: ${file}`, async () => {
      const form = { channels: 1, height: 60, width: 80, fit: "crop" } as const;
      await assert.rejects(decodeMask(fixture(`voc-flawed/${file}`), form, [60, 80]), {
        name: "UnreadableImage",
        message: reason,
      });
    });
  }

  test("gray with class numbers, and one without any class, are read", async () => {
    const form = { channels: 1, height: 60, width: 80, fit: "crop" } as const;
    const gray = counts(await decodeMask(fixture("voc-flawed/grey.png"), form, [60, 80]));
    assert.ok(
      Object.keys(gray).every((value) => Number(value) < 21 || value === "255"),
      JSON.stringify(gray),
    );
    const none = await decodeMask(fixture("voc-flawed/all-255.png"), form, [60, 80]);
    assert.deepEqual(counts(none), { 255: 4800 });
  });
});

describe("a folder of images and masks", () => {
  let folders = 0;
  /** A folder with the pairs of VOC in the given parts. */
  function folderOf(parts: Record<string, readonly string[]>, classNames?: readonly string[]): string {
    const folder = join(root, `set-${folders++}`);
    for (const [part, names] of Object.entries(parts)) {
      for (const kind of ["images", "masks"]) mkdirSync(join(folder, part, kind), { recursive: true });
      for (const name of names) {
        writeFileSync(join(folder, part, "images", `${name}.jpg`), readFileSync(voc(name).image));
        writeFileSync(join(folder, part, "masks", `${name}.png`), readFileSync(voc(name).mask));
      }
    }
    if (classNames) writeFileSync(join(folder, "classes.txt"), `${classNames.join("\r\n")}\r\n`);
    return folder;
  }
  const all: string[] = [...expected.voc.train, ...expected.voc.val];
  const form = { channels: 3, height: 32, width: 32, fit: "stretch" } as const;
  const refused = (folder: string, message: RegExp) =>
    assert.rejects(loadMaskFolder(folder, { form }), { name: "UserError", message });

  test("has its parts by folders, and the names of classes.txt", async () => {
    const folder = folderOf({ train: expected.voc.train, val: expected.voc.val }, expected.voc.classes);
    const { train, test: held } = await loadMaskFolder(folder, { form });
    assert.deepEqual([train.count, held.count, train.classNames], [2, 2, expected.voc.classes]);
    assert.deepEqual([train.mean, train.deviation], [held.mean, held.deviation]);
    const { image, mask } = await train.read(0);
    assert.deepEqual(
      [image.shape, mask.shape],
      [
        [3, 32, 32],
        [32, 32],
      ],
    );
    assert.deepEqual(Object.keys(counts(mask.data as Uint8Array)), ["0", "1", "15", "255"]);
  });

  test("without parts gives a share for testing, by the seed", async () => {
    const folder = folderOf({ "": all });
    const first = await loadMaskFolder(folder, { form, testShare: 0.25 });
    const again = await loadMaskFolder(folder, { form, testShare: 0.25 });
    assert.deepEqual([first.train.count, first.test.count], [3, 1]);
    assert.equal(first.test.fingerprint, again.test.fingerprint);
    assert.equal(first.train.classNames.length, 21, "0 … 20");
  });

  test("with a mask or an image too few or with another class is refused by name", async () => {
    const missing = folderOf({ "": all });
    writeFileSync(join(missing, "images", "extra.jpg"), readFileSync(voc(all[0]).image));
    await refused(missing, /images\/extra\.jpg has no mask; .*masks\/extra\.png was expected$/);
    const few = folderOf({ "": all }, expected.voc.classes.slice(0, 16));
    await refused(
      few,
      /masks\/2007_0000\d\d\.png has the value \d+ in \d+ of 1024 pixels; there are 16 classes \(0 … 15\), and 255 for pixels of none$/,
    );
    const damaged = folderOf({ "": all });
    for (const name of all.slice(0, 2)) writeFileSync(join(damaged, "masks", `${name}.png`), "no picture");
    await refused(
      damaged,
      /: 2 files cannot be used: masks\/2007_000032\.png \(it is no PNG file;.*\), masks\/2007_000039\.png/,
    );
    await refused(
      join(root, "nowhere"),
      /^there is no folder .*nowhere; data with masks are a folder with images\/ and masks\/$/,
    );
  });
});
