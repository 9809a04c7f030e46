import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadDataset } from "./catalogue.ts";
import { datasetNames } from "./data-options.ts";

test("an unknown name is refused with the choices", async () => {
  await assert.rejects(loadDataset("cifar"), {
    name: "UserError",
    message:
      'there is no data set and no file or folder "cifar"; choose one of fashion-mnist, mnist, digits, cifar10, cifar100, people, wardrobe, or name a folder of pictures',
  });
  const names = ["fashion-mnist", "mnist", "digits", "cifar10", "cifar100", "people", "wardrobe"];
  assert.deepEqual([...datasetNames], names);
});

const datasets = fileURLToPath(new URL("../../fixtures/datasets/", import.meta.url));

function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "lowland-catalogue-"));
}

test("a folder of pictures is its classes, its parts, and images of the size that is asked for", async () => {
  const path = join(datasets, "image-folder");
  const cacheFolder = temporaryFolder();
  const images = { size: 10, channels: 1, onBadImage: "skip" } as const;
  const { train, test } = await loadDataset(path, { images, cacheFolder });
  for (const part of [train, test]) {
    assert.deepEqual([part.name, part.channels, part.height, part.width], [path, 1, 10, 10]);
    assert.deepEqual(part.read(part.count - 1).image.shape, [1, 10, 10]);
    assert.deepEqual(part.mean, train.mean, "normalized as in training");
  }
  assert.deepEqual(train.classNames, test.classNames);
  assert.ok(train.classNames.length > 1 && train.count > test.count, `${train.count}, ${test.count}`);
});

test("a list, an archive of arrays and a folder of IDX files are told apart by what they are", async () => {
  const folder = temporaryFolder();
  const pixels = (seed: number) => Uint8Array.from({ length: 9 * 4 }, (_, index) => (index * seed) % 256);
  const labels = Uint8Array.of(0, 1, 2);
  const idx = (rank: number[], data: Uint8Array) => {
    const header = Buffer.alloc(4 + 4 * rank.length);
    header.set([0, 0, 8, rank.length]);
    for (const [axis, size] of rank.entries()) header.writeUInt32BE(size, 4 + 4 * axis);
    return Buffer.concat([header, data]);
  };
  for (const [part, seed] of [
    ["train", 3],
    ["t10k", 5],
  ] as const) {
    writeFileSync(join(folder, `${part}-images-idx3-ubyte`), idx([3, 3, 4], pixels(seed)));
    writeFileSync(join(folder, `${part}-labels-idx1-ubyte`), idx([3], labels));
  }
  const { train } = await loadDataset(folder);
  assert.deepEqual([train.name, train.count, train.height, train.width], [folder, 3, 3, 4]);
  assert.deepEqual([...train.read(2).image.data], [...pixels(3).subarray(24)]);

  const list = join(folder, "list.csv");
  const pictures: string[] = [];
  for (const entry of readdirSync(join(datasets, "numbered-classes"), { recursive: true, encoding: "utf8" }))
    if (/\.(png|jpe?g)$/.test(entry)) pictures.push(entry);
  // No picture is in two parts: the test part has copies.
  const rows = pictures.flatMap((path, index) => {
    const label = path.split(/[/\\]/)[0];
    const copy = join(folder, `copy ${index}.png`);
    copyFileSync(join(datasets, "numbered-classes", path), copy);
    return [`${join(datasets, "numbered-classes", path)},${label},train`, `${copy},${label},test`];
  });
  writeFileSync(list, ["file,label,split", ...rows].join("\n"));
  const listed = await loadDataset(list, { images: { size: 8 }, cacheFolder: temporaryFolder() });
  assert.deepEqual([listed.train.count, listed.test.count], [pictures.length, pictures.length]);
  assert.deepEqual(listed.train.classNames, ["1", "2", "10"]);

  const other = join(folder, "notes.txt");
  writeFileSync(other, "nothing");
  await assert.rejects(loadDataset(other), { name: "UserError", message: /notes\.txt holds no data that/ });
});
