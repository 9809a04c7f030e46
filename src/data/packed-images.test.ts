import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { UserError } from "../common/errors.ts";
import { decodeImage, type ImageForm } from "./image-file.ts";
import { type PackOptions, packImages } from "./packed-images.ts";
import { listClassFolder } from "./sets/class-folder.ts";

const pictures = fileURLToPath(new URL("../../fixtures/datasets/image-folder", import.meta.url));
const form: ImageForm = { channels: 3, height: 12, width: 16, fit: "crop" };

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));
async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "lowland-pack-"));
  folders.push(folder);
  return folder;
}

async function start(options: Partial<PackOptions> = {}) {
  const { train, classNames } = await listClassFolder(pictures);
  const cacheFolder = options.cacheFolder ?? (await temporary());
  const counts: number[] = [];
  const lines: string[] = [];
  const pack = () =>
    packImages(train, {
      name: "pictures",
      classNames,
      form,
      cacheFolder,
      onBadImage: "skip",
      log: (line) => lines.push(line),
      onProgress: (decoded) => counts.push(decoded),
      ...options,
    });
  return { list: train, classNames, cacheFolder, counts, lines, pack };
}

/** Of the folder's pictures those that are broken, or in a format that is not read. */
const bad = ["truncated.jpg", "bitmap.bmp", "empty.jpg", "web-page.jpg"];

describe("pictures decoded into one file", () => {
  test("every image is what its file decodes to, in the list's order", async () => {
    const { list, pack, lines, counts, classNames } = await start();
    const packed = await pack();
    const good = list.filter(({ path }) => !bad.some((name) => path.endsWith(name)));
    assert.equal(packed.count, good.length);
    for (const [index, { path, class: number }] of good.entries()) {
      const { image, class: label } = packed.read(index);
      assert.deepEqual(image.data, (await decodeImage(path, form)).data, path);
      assert.deepEqual(image.shape, [3, 12, 16]);
      assert.deepEqual([...label.data, packed.labels[index]], [number, number]);
    }
    assert.deepEqual(packed.classNames, classNames);
    assert.deepEqual(
      counts,
      list.map((_, index) => index + 1),
    );
    assert.equal(lines.length, 1);
    assert.match(lines[0], /^pictures: 4 files cannot be decoded: .*truncated\.jpg .*; left out$/);
    packed.close();
  });

  test("mean and deviation are those of all pixels", async () => {
    const packed = await (await start()).pack();
    for (let channel = 0; channel < 3; channel++) {
      const values = Array.from({ length: packed.count }, (_, index) =>
        Array.from(
          packed.read(index).image.data.subarray(channel * 192, (channel + 1) * 192),
          (value) => value / 255,
        ),
      ).flat();
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
      assert.ok(Math.abs(packed.mean[channel] - mean) < 1e-12);
      assert.ok(Math.abs(packed.deviation[channel] - Math.sqrt(variance)) < 1e-12);
    }
    packed.close();
  });

  test("is found again, and made again when a file, its time or the form changes", async () => {
    const own = await temporary();
    await cp(pictures, own, { recursive: true });
    const cacheFolder = await temporary();
    const { classNames, train } = await listClassFolder(own);
    const decoded = async (changed: Partial<ImageForm> = {}) => {
      let count = 0;
      const packed = await packImages(train, {
        name: "own",
        classNames,
        form: { ...form, ...changed },
        cacheFolder,
        onBadImage: "skip",
        onProgress: () => count++,
      });
      packed.close();
      return count;
    };
    assert.equal(await decoded(), train.length);
    assert.equal(await decoded(), 0);
    assert.equal(await decoded({ fit: "pad" }), train.length);
    await utimes(train[0].path, new Date(), new Date(86_400_000));
    assert.equal(await decoded(), train.length);
    // A pixel file that was cut off is no longer what the index says.
    for (const file of await readdir(cacheFolder))
      if (file.endsWith(".pixels")) await writeFile(join(cacheFolder, file), "");
    assert.equal(await decoded(), train.length);
  });

  test("names the files that are no pictures, after looking at all, and leaves no half file", async () => {
    const { pack, counts, list, cacheFolder } = await start({ onBadImage: "refuse" });
    await assert.rejects(pack(), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /^pictures: 4 files cannot be decoded: /);
      for (const name of bad) assert.ok(error.message.includes(`${name} (`), name);
      assert.match(error.message, /; remove them, or skip them with --on-bad-image skip$/);
      return true;
    });
    assert.equal(counts.length, list.length);
    assert.deepEqual(
      (await readdir(cacheFolder)).filter((file) => file.endsWith(".part")),
      [],
    );
  });

  test("refuses a class that has no picture left, and names ten of many", async () => {
    const folder = await temporary();
    const list = Array.from({ length: 12 }, (_, index) => ({ path: join(folder, `${index}.png`), class: 1 }));
    for (const { path } of list) await writeFile(path, "no picture");
    const cacheFolder = await temporary();
    const options = { name: "none", classNames: ["a", "b"], form, cacheFolder };
    await assert.rejects(
      packImages(list, options),
      /none: 12 files cannot be decoded: (?:[^,]*, ){10}and 2 more; remove/,
    );
    await assert.rejects(
      packImages(list, { ...options, onBadImage: "skip" }),
      new UserError('none: class "b" has no picture that can be decoded'),
    );
    const [{ path }] = list;
    await rm(path);
    await assert.rejects(packImages(list, options), new UserError(`there is no file ${path}`));
  });

  test("stops when told, and leaves nothing", async () => {
    const { pack, cacheFolder } = await start({ signal: AbortSignal.abort(new Error("stopped")) });
    await assert.rejects(pack(), /stopped/);
    assert.deepEqual(await readdir(cacheFolder), []);
  });
});
