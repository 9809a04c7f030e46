import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { UserError } from "../../common/errors.ts";
import { decodeImage } from "../image-file.ts";
import type { ImageForm } from "../image-form.ts";
import type { ImageClasses } from "../source.ts";
import { listClassFolder } from "./class-folder.ts";
import type { ImageList } from "./class-parts.ts";
import { loadPictures } from "./pictures.ts";

const pictures = fileURLToPath(new URL("../../../fixtures/datasets/image-folder", import.meta.url));
const form: ImageForm = { channels: 3, height: 12, width: 16, fit: "crop" };

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));
async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "lowland-pictures-"));
  folders.push(folder);
  return folder;
}

/** Good pictures of the fixture, of which some are for validation. */
const all = await listClassFolder(pictures);
const bad = ["truncated.jpg", "bitmap.bmp", "empty.jpg", "web-page.jpg"];
const good = all.train.filter(({ path }) => !bad.some((name) => path.endsWith(name)));
const list: ImageList = {
  ...all,
  train: good.filter((_, index) => index % 4 !== 0),
  validation: good.filter((_, index) => index % 4 === 0),
};

describe("listed pictures as sources", () => {
  test("each part has its own pictures and classes, and all are normalized as training is", async () => {
    const data = await loadPictures(list, { name: "own", form, cacheFolder: await temporary() });
    const { train, validation, test: held } = data;
    assert.ok(validation);
    for (const [source, images] of [
      [train, list.train],
      [validation, list.validation],
      [held, list.test],
    ] as const) {
      assert.equal(source.count, images.length);
      for (const [index, { path, class: number }] of images.entries()) {
        const { image, class: label } = source.read(index);
        assert.deepEqual(
          [image.shape, image.data],
          [[3, 12, 16], (await decodeImage(path, form)).data],
          path,
        );
        assert.deepEqual([...label.data, source.labels[index]], [number, number]);
      }
      assert.deepEqual(
        [source.name, source.classNames, source.mean, source.deviation],
        ["own", list.classNames, train.mean, train.deviation],
      );
    }
    const green = (source: ImageClasses) =>
      Array.from({ length: source.count }, (_, index) => source.read(index).image.data.subarray(192, 384));
    const values = green(train).flatMap((plane) => [...plane]);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length / 255;
    assert.ok(Math.abs(train.mean[1] - mean) < 1e-12, `${train.mean[1]}, not ${mean}`);
    assert.equal(new Set([train, validation, held].map(({ fingerprint }) => fingerprint)).size, 3);
    data.close?.();
  });

  test("another division into parts decodes nothing again, and says once where pixels are kept", async () => {
    const cacheFolder = await temporary();
    const lines: string[] = [];
    let decoded = 0;
    const load = (divided: ImageList) =>
      loadPictures(divided, {
        ...{ name: "own", form, cacheFolder },
        log: (line) => lines.push(line),
        onProgress: () => decoded++,
      });
    const first = await load(list);
    const pixels = good.length + list.test.length;
    assert.equal(decoded, pixels);
    const second = await load({ ...list, train: list.validation, validation: list.train });
    assert.equal(decoded, pixels);
    assert.deepEqual(second.train.read(0), first.validation?.read(0));
    assert.notEqual(second.train.fingerprint, first.train.fingerprint);
    assert.equal(lines.length, 1);
    assert.match(lines[0], /^Decoded pictures are kept in .* \(0\.0 MB\); what is not used for 30 days/);
    assert.ok(lines[0].includes(cacheFolder));
    assert.equal((await readdir(cacheFolder)).length, 2);
  });

  test("files that are no pictures: all counted, of every part, ten named; or left out", async () => {
    const folder = await temporary();
    const broken = Array.from({ length: 12 }, (_, index) => ({
      path: join(folder, `${index}.png`),
      class: 0,
    }));
    for (const { path } of broken) await writeFile(path, "no picture");
    const flawed: ImageList = {
      ...list,
      train: [...list.train, ...broken.slice(0, 5)],
      validation: [...list.validation, ...broken.slice(5, 8)],
      test: [...list.test, ...broken.slice(8), { path: join(folder, "missing.png"), class: 1 }],
    };
    const options = { name: "own", form, cacheFolder: await temporary() };
    await assert.rejects(loadPictures(flawed, options), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(
        error.message,
        /^own: 13 files cannot be used: (?:\S*\.png \([^)]*\), ){10}and 3 more; correct or remove/,
      );
      return true;
    });
    const lines: string[] = [];
    const data = await loadPictures(flawed, {
      ...{ ...options, onBadImage: "skip" },
      log: (line) => lines.push(line),
    });
    assert.deepEqual(
      [data.train.count, data.validation?.count, data.test.count],
      [list.train.length, list.validation.length, list.test.length],
    );
    assert.match(lines[0], /^own: 13 files cannot be used: .* and 3 more; left out$/);
    data.close?.();
  });

  test("refused though bad files are skipped: a class or a part without pictures", async () => {
    const folder = await temporary();
    const path = join(folder, "0.png");
    await writeFile(path, "no picture");
    const options = { name: "own", form, cacheFolder: await temporary(), onBadImage: "skip" } as const;
    const without = list.train.filter((image) => image.class !== 2);
    await assert.rejects(
      loadPictures({ ...list, train: [...without, { path, class: 2 }] }, options),
      new UserError('own: class "dog" has no training picture that can be read'),
    );
    await assert.rejects(
      loadPictures({ ...list, test: [{ path, class: 0 }] }, options),
      new UserError("own has no test picture that can be read"),
    );
  });
});
