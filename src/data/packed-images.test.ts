import assert from "node:assert/strict";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { UserError } from "../common/errors.ts";
import { decodeImage } from "./image-file.ts";
import type { ImageForm } from "./image-form.ts";
import type { PackOptions } from "./packed-files.ts";
import { packImages } from "./packed-images.ts";
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

const { train } = await listClassFolder(pictures);
const paths = train.map(({ path }) => path);

async function start(options: Partial<PackOptions> = {}) {
  const cacheFolder = options.cacheFolder ?? (await temporary());
  const counts: number[] = [];
  const pack = () =>
    packImages(paths, { form, cacheFolder, onProgress: (decoded) => counts.push(decoded), ...options });
  return { cacheFolder, counts, pack };
}

/** Of the folder's pictures those that are broken, or in a format that is not read. */
const bad = ["truncated.jpg", "bitmap.bmp", "empty.jpg", "web-page.jpg"];

describe("pictures decoded into one file", () => {
  test("every image is what its file decodes to, in the list's order; the bad ones are named with their reason", async () => {
    const { pack, counts } = await start();
    const packed = await pack();
    const good = paths.filter((path) => !bad.some((name) => path.endsWith(name)));
    assert.deepEqual(
      packed.kept.map((place) => paths[place]),
      good,
    );
    for (const [index, path] of good.entries())
      assert.deepEqual(packed.read(index), (await decodeImage(path, form)).data, path);
    assert.deepEqual(packed.bad.map(({ path }) => basename(path)).toSorted(), bad.toSorted());
    const reasons = Object.fromEntries(packed.bad.map(({ path, reason }) => [basename(path), reason]));
    assert.equal(reasons["empty.jpg"], "the file is empty");
    assert.equal(reasons["web-page.jpg"], "it is a web page, not a picture");
    assert.deepEqual(
      counts,
      paths.map((_, index) => index + 1),
    );
    packed.close();
  });

  test("mean and deviation are those of the pixels of some of the images", async () => {
    const packed = await (await start()).pack();
    const chosen = [1, 4, 5, 11];
    const { mean, deviation } = packed.normalization(chosen);
    for (let channel = 0; channel < 3; channel++) {
      const values = chosen.flatMap((index) =>
        Array.from(packed.read(index).subarray(channel * 192, (channel + 1) * 192), (value) => value / 255),
      );
      const average = values.reduce((sum, value) => sum + value, 0) / values.length;
      const variance = values.reduce((sum, value) => sum + (value - average) ** 2, 0) / values.length;
      assert.ok(Math.abs(mean[channel] - average) < 1e-12);
      assert.ok(Math.abs(deviation[channel] - Math.sqrt(variance)) < 1e-12);
    }
    packed.close();
  });

  test("is found again, and made again when a file, its time or the form changes", async () => {
    const own = await temporary();
    await cp(pictures, own, { recursive: true });
    const cacheFolder = await temporary();
    const { train: listed } = await listClassFolder(own);
    const decoded = async (changed: Partial<ImageForm> = {}) => {
      let count = 0;
      const packed = await packImages(
        listed.map(({ path }) => path),
        { form: { ...form, ...changed }, cacheFolder, onProgress: () => count++ },
      );
      packed.close();
      return count;
    };
    assert.equal(await decoded(), listed.length);
    assert.equal(await decoded(), 0);
    assert.equal(await decoded({ fit: "pad" }), listed.length);
    await utimes(listed[0].path, new Date(), new Date(86_400_000));
    assert.equal(await decoded(), listed.length);
    // A pixel file that was cut off is no longer what the index says.
    for (const file of await readdir(cacheFolder))
      if (file.endsWith(".pixels")) await writeFile(join(cacheFolder, file), "");
    assert.equal(await decoded(), listed.length);
  });

  test("what is no file is bad too, and is looked at again when it has become one", async () => {
    const own = await temporary();
    const cacheFolder = await temporary();
    const names = ["good.png", "missing.png", "folder.png", "circle.png", "good.png/inside.png"];
    await cp(join(pictures, "train/Zebra/rgb.png"), join(own, "good.png"));
    await mkdir(join(own, "folder.png"));
    await symlink("circle.png", join(own, "circle.png"));
    const pack = () =>
      packImages(
        names.map((name) => join(own, name)),
        { form, cacheFolder },
      );
    const { bad: found, kept } = await pack();
    assert.deepEqual(kept, [0]);
    assert.deepEqual(
      found.map(({ reason }) => reason),
      [
        "it does not exist",
        "it is a folder",
        "its symbolic links form a loop",
        "a part of the path is a file, not a folder",
      ],
    );
    await cp(join(pictures, "train/Zebra/rgb.png"), join(own, "missing.png"));
    assert.deepEqual((await pack()).kept, [0, 1]);
  });

  test("keeps no file open after it was closed, and opens it again to read", {
    skip: !existsSync("/proc/self/fd"),
  }, async () => {
    const { pack, cacheFolder } = await start();
    const isOpen = () =>
      readdirSync("/proc/self/fd").some((number) => {
        try {
          return readlinkSync(`/proc/self/fd/${number}`).startsWith(cacheFolder);
        } catch {
          return false;
        }
      });
    const packed = await pack();
    assert.ok(!isOpen());
    const first = packed.read(0);
    assert.ok(isOpen());
    packed.close();
    packed.close();
    assert.ok(!isOpen());
    assert.deepEqual(packed.read(0), first);
    packed.close();
  });

  test("removes what nobody used for 30 days, and what killed processes left", async () => {
    const { pack, cacheFolder } = await start();
    const daysAgo = (days: number) => new Date(Date.now() - days * 86_400_000);
    for (const [name, days] of [
      ["old.pixels", 31],
      ["recent.pixels", 29],
      ["killed.pixels.1.part", 1],
      ["running.pixels.2.part", 0],
    ] as const) {
      await writeFile(join(cacheFolder, name), "");
      await utimes(join(cacheFolder, name), daysAgo(days), daysAgo(days));
    }
    await writeFile(join(cacheFolder, "old.json"), "");
    const { key } = await pack();
    assert.deepEqual(
      (await readdir(cacheFolder)).toSorted(),
      [`${key}.json`, `${key}.pixels`, "recent.pixels", "running.pixels.2.part"].toSorted(),
    );
    // Use counts, not age.
    await utimes(join(cacheFolder, `${key}.pixels`), daysAgo(31), daysAgo(31));
    await pack();
    assert.ok((await stat(join(cacheFolder, `${key}.pixels`))).mtime > daysAgo(1));
  });

  test("refuses more pixels than the disk has room for, before it decodes", async () => {
    const { pack, counts, cacheFolder } = await start({
      form: { ...form, height: 10_000_000, width: 10_000_000 },
    });
    await assert.rejects(pack(), (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, /^decoded pictures need \d+\.\d GB, and .* has \d+\.\d GB left; /);
      return true;
    });
    assert.deepEqual([counts, await readdir(cacheFolder)], [[], []]);
  });

  test("stops when told, and leaves nothing", async () => {
    const { pack, cacheFolder } = await start({ signal: AbortSignal.abort(new Error("stopped")) });
    await assert.rejects(pack(), /stopped/);
    assert.deepEqual(await readdir(cacheFolder), []);
  });
});
