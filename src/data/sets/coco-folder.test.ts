import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../../testing/cli.ts";
import { readCocoFolder } from "./coco-folder.ts";

const fixtures = fileURLToPath(new URL("../../../fixtures/datasets", import.meta.url));
const published = join(fixtures, "coco");
const folders = temporaryFolder();
let number = 0;

/** A copy of the published folder, to change. */
function copy(): string {
  const folder = join(folders, `coco-${++number}`);
  cpSync(published, folder, { recursive: true });
  return folder;
}
const annotations = (folder: string, split: string) => join(folder, "annotations", `${split}.json`);

test("the published folder", async () => {
  const { train, test: evaluated } = await readCocoFolder(published);
  assert.equal(train.pictures, join(published, "train2017"));
  assert.equal(evaluated.pictures, join(published, "val2017"));
  assert.deepEqual([train.training.persons.length, evaluated.training.persons.length], [3, 1]);
});

describe("other places", () => {
  test("pictures in images/SPLIT, as SimpleBaseline has them", async () => {
    const folder = copy();
    mkdirSync(join(folder, "images"));
    for (const split of ["train2017", "val2017"])
      renameSync(join(folder, split), join(folder, "images", split));
    assert.equal((await readCocoFolder(folder)).train.pictures, join(folder, "images", "train2017"));
  });

  test("own names of files, pictures named with their folder, other JSON files beside", async () => {
    const folder = copy();
    for (const split of ["train", "val"]) {
      const path = annotations(folder, `person_keypoints_${split}2017`);
      const document = JSON.parse(readFileSync(path, "utf8"));
      for (const image of document.images) image.file_name = `${split}2017/${image.file_name}`;
      writeFileSync(annotations(folder, split), JSON.stringify(document));
      rmSync(path);
    }
    assert.equal((await readCocoFolder(folder)).test.pictures, folder);
  });

  test("COCO's files of other kinds are passed over, and val comes before test", async () => {
    const folder = copy();
    for (const name of ["instances_train2017", "captions_val2017", "person_keypoints_test2017"])
      writeFileSync(annotations(folder, name), "no JSON");
    assert.match((await readCocoFolder(folder)).test.keypoints.name, /person_keypoints_val2017\.json$/);
  });
});

describe("what is refused", () => {
  test("a picture that is missing is named, and how many are", async () => {
    const folder = copy();
    cpSync(
      join(fixtures, "coco-flawed", "missing-image.json"),
      annotations(folder, "person_keypoints_train2017"),
    );
    await assert.rejects(
      readCocoFolder(folder),
      /of 2 pictures with persons 1 are missing in .*train2017, the first is 000000099999\.jpg \(image 9\); put them into/,
    );
  });

  test("a split that is missing or there twice", async () => {
    const folder = copy();
    const val = annotations(folder, "person_keypoints_val2017");
    cpSync(val, annotations(folder, "person_keypoints_val2014"));
    await assert.rejects(
      readCocoFolder(folder),
      /annotations has person_keypoints_val2014\.json, person_keypoints_val2017\.json; it needs one file person_keypoints_val….json/,
    );
    rmSync(val);
    rmSync(annotations(folder, "person_keypoints_val2014"));
    await assert.rejects(
      readCocoFolder(folder),
      /annotations has person_keypoints_train2017\.json; it needs one/,
    );
    await assert.rejects(
      readCocoFolder(join(folders, "nowhere")),
      /nowhere.*could not be read: .*\(ENOENT\)/,
    );
  });

  test("no person to train on, joints in another order", async () => {
    const folder = copy();
    const path = annotations(folder, "person_keypoints_val2017");
    const document = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...document, annotations: [] }));
    await assert.rejects(readCocoFolder(folder), /has no person to train or test on/);
    document.categories[0].keypoints.reverse();
    writeFileSync(path, JSON.stringify(document));
    await assert.rejects(readCocoFolder(folder), /both need the same, in the same order/);
  });
});
