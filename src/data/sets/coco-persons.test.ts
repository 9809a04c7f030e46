import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { parseRun } from "../../runs/configuration.ts";
import { openTask } from "../../runs/open-task.ts";
import { temporaryFolder } from "../../testing/cli.ts";
import { loadSamples } from "../catalogue.ts";
import { decodeImage } from "../image-file.ts";
import { loadPeople } from "../people/people.ts";
import type { PersonSample, Persons } from "../persons.ts";
import { partAround } from "./coco-parts.ts";
import { loadCocoPersons } from "./coco-persons.ts";
import { writeCocoFolder } from "./coco-writer.ts";

const root = temporaryFolder();
const cacheFolder = join(root, "cache");
const published = fileURLToPath(new URL("../../../fixtures/datasets/coco", import.meta.url));

describe("people written as a folder in COCO's format", () => {
  const folder = join(root, "people");
  let people: Record<"train" | "test", Persons>;
  let read: Record<"train" | "test", Persons>;
  before(async () => {
    people = await loadPeople({ train: 12, test: 5, seed: 4 });
    await writeCocoFolder(folder, people);
    read = await loadCocoPersons(folder, { size: 96, cacheFolder });
  });

  test("has the same persons: joints, limbs, boxes, areas, where they are in their pictures", async () => {
    for (const part of ["train", "test"] as const) {
      assert.equal(read[part].count, people[part].count);
      assert.deepEqual(read[part].joints, people[part].joints);
      assert.deepEqual(read[part].limbs, people[part].limbs);
      for (let index = 0; index < people[part].count; index++) {
        const [drawn, found] = [await people[part].read(index), await read[part].read(index)];
        const [first, above, factor] = found.place.data;
        assert.equal(factor, 1);
        const moved = (values: Float32Array, at: number, labelled: boolean) =>
          labelled ? values[at] + [first, above][at % 3] : values[at];
        for (let at = 0; at < drawn.keypoints.data.length; at++) {
          const isPlace = at % 3 < 2 && drawn.keypoints.data[at - (at % 3) + 2] > 0;
          const value = isPlace ? moved(found.keypoints.data, at, true) : found.keypoints.data[at];
          assert.ok(Math.abs(value - drawn.keypoints.data[at]) < 1e-4);
        }
        assert.equal(found.area.data[0], drawn.area.data[0]);
        assert.deepEqual(
          [found.box.data[0] + first, found.box.data[1] + above, found.box.data[2], found.box.data[3]],
          Array.from(drawn.box.data),
        );
      }
    }
  });

  test("makes the same rows: inputs to a rounding, targets to float32's", async () => {
    const task = async (data: Record<"train" | "test", Persons>) =>
      (await openTask(parseRun({ task: "pose" }), data)).task;
    const [own, other] = [await task(people), await task(read)];
    for (let index = 0; index < 12; index++) {
      const [a, b] = [own.row(await people.train.read(index)), other.row(await read.train.read(index))];
      const difference = (name: string) =>
        Math.max(
          ...Array.from(a[name].data as Float32Array, (value, at) =>
            Math.abs(value - Number(b[name].data[at])),
          ),
        );
      assert.ok(difference("input") <= 1);
      assert.ok(difference("target") < 1e-4);
      assert.equal(difference("weight"), 0);
    }
  });

  test("is not written over what is there", async () => {
    await assert.rejects(writeCocoFolder(folder, people), {
      name: "UserError",
      message: `${folder} is not empty; name another folder`,
    });
  });
});

describe("a published folder", () => {
  test("a part is where its place says, each pixel the mean of as many of the picture", async () => {
    const { train } = await loadCocoPersons(published, { size: 32, cacheFolder });
    const annotations = JSON.parse(
      readFileSync(join(published, "annotations", "person_keypoints_train2017.json"), "utf8"),
    );
    for (let index = 0; index < train.count; index++) {
      const { image, place, picture } = await train.read(index);
      const [first, above, factor] = place.data;
      const { file_name } = annotations.images[picture.data[0]];
      const whole = await decodeImage(join(published, "train2017", file_name), { orientation: "ignore" });
      const [channels, rows, columns] = image.shape;
      assert.equal(channels, 3);
      for (const [row, column] of [
        [0, 0],
        [rows - 1, columns - 1],
        [rows >> 1, columns >> 1],
      ]) {
        let [sum, count] = [0, 0];
        for (let y = 0; y < factor; y++)
          for (let x = 0; x < factor; x++) {
            const [v, u] = [above + row * factor + y, first + column * factor + x];
            if (v >= whole.height || u >= whole.width) continue;
            sum += whole.data[v * whole.width + u];
            count++;
          }
        assert.equal(image.data[row * columns + column], Math.round(sum / count));
      }
    }
  });

  test("a joint lies in its part where it lies in its picture", async () => {
    const { test: part } = await loadCocoPersons(published, { size: 32, cacheFolder });
    const { annotations } = JSON.parse(
      readFileSync(join(published, "annotations", "person_keypoints_val2017.json"), "utf8"),
    );
    const samples: PersonSample[] = [];
    for (let index = 0; index < part.count; index++) samples.push(await part.read(index));
    const inPicture = samples.flatMap(({ keypoints, place }) => {
      const [first, above, factor] = place.data;
      const [x, y, visibility] = keypoints.data;
      return visibility > 0
        ? [[(x + 0.5) * factor - 0.5 + first, (y + 0.5) * factor - 0.5 + above]]
        : [[0, 0]];
    });
    const noses = annotations.map(({ keypoints }: { keypoints: number[] }) => keypoints.slice(0, 2));
    for (const [x, y] of inPicture)
      assert.ok(noses.some(([u, v]: number[]) => Math.abs(u - x) < 1e-3 && Math.abs(v - y) < 1e-3));
  });

  test("a picture that was turned after it was annotated, and one that is damaged, are named", async () => {
    const folder = join(root, "turned");
    cpSync(published, folder, { recursive: true });
    const path = join(folder, "train2017", "000000000009.jpg");
    const stored = await sharp(path).metadata();
    // An orientation in the file alone changes nothing: annotations belong to stored pixels.
    writeFileSync(path, await sharp(path).withMetadata({ orientation: 6 }).toBuffer());
    const { train } = await loadCocoPersons(folder, { size: 32, cacheFolder });
    assert.ok(train.count > 0);
    writeFileSync(path, await sharp(path).rotate(90).withMetadata({ orientation: 1 }).toBuffer());
    await assert.rejects(loadCocoPersons(folder, { size: 32, cacheFolder }), {
      name: "UserError",
      message: new RegExp(`says that 000000000009.jpg is ${stored.width}×${stored.height}, the picture is `),
    });
    writeFileSync(path, readFileSync(path).subarray(0, 200));
    await assert.rejects(loadCocoPersons(folder, { size: 32, cacheFolder }), {
      name: "UserError",
      message:
        /^.*person_keypoints_train2017\.json: 1 file cannot be used: .*000000000009\.jpg \(.*\); correct or remove them, or skip them with --on-bad-image skip$/,
    });
    const lines: string[] = [];
    const log = (line: string) => lines.push(line);
    const left = await loadCocoPersons(folder, { size: 32, cacheFolder, onBadImage: "skip", log });
    assert.match(
      lines.join("\n"),
      /1 file cannot be used: .*000000000009\.jpg \(.*\); their persons are left out/,
    );
    const { annotations, images } = JSON.parse(
      readFileSync(join(folder, "annotations", "person_keypoints_train2017.json"), "utf8"),
    );
    const damaged = images.findIndex(
      ({ file_name }: { file_name: string }) => file_name === "000000000009.jpg",
    );
    assert.ok(annotations.some(({ image_id }: { image_id: number }) => image_id === images[damaged].id));
    assert.ok(left.train.count > 0 && left.train.count < train.count);
    for (let index = 0; index < left.train.count; index++)
      assert.notEqual((await left.train.read(index)).picture.data[0], damaged);
    left.close();
  });
});

describe("parts of pictures in the cache", () => {
  const folder = join(root, "cached");
  const counted = async () => {
    let count = 0;
    const persons = await loadCocoPersons(folder, {
      ...{ size: 32, cacheFolder, onProgress: () => count++ },
    });
    return { count, persons };
  };

  test("each picture is decoded once, and again when it or a box changes", async () => {
    cpSync(published, folder, { recursive: true });
    const first = await counted();
    assert.ok(first.count > 1);
    const again = await counted();
    assert.equal(again.count, 0);
    assert.equal(again.persons.train.fingerprint, first.persons.train.fingerprint);
    for (let index = 0; index < first.persons.train.count; index++)
      assert.deepEqual(await again.persons.train.read(index), await first.persons.train.read(index));
    const file = join(folder, "annotations", "person_keypoints_val2017.json");
    const annotated = JSON.parse(readFileSync(file, "utf8"));
    for (const { bbox } of annotated.annotations) for (const side of [2, 3]) bbox[side] /= 3;
    writeFileSync(file, JSON.stringify(annotated));
    const changed = await counted();
    assert.equal(changed.count, 1);
    assert.notDeepEqual(
      (await changed.persons.test.read(0)).image.shape,
      (await first.persons.test.read(0)).image.shape,
    );
    for (const { persons } of [first, again, changed]) persons.close();
  });

  test("a part is cut out of the whole picture, whatever order persons are read in", async () => {
    const { persons } = await counted();
    const { train } = persons;
    const { images } = JSON.parse(
      readFileSync(join(folder, "annotations", "person_keypoints_train2017.json"), "utf8"),
    );
    for (let index = train.count - 1; index >= 0; index--) {
      const { image, place, picture, box } = await train.read(index);
      const path = join(folder, "train2017", images[picture.data[0]].file_name);
      const whole = await decodeImage(path, { orientation: "ignore" });
      const [first, above, factor] = place.data;
      const inPicture = (value: number, start: number) => (value + 0.5) * factor - 0.5 + start;
      const [left, top, width, height] = box.data;
      const own = [inPicture(left, first), inPicture(top, above), width * factor, height * factor];
      const part = partAround(whole, own.map((value) => Math.round(1000 * value) / 1000) as never, 32);
      assert.deepEqual([part.image.shape, part.place], [image.shape, place]);
      assert.deepEqual(part.image.data, image.data);
    }
    persons.close();
  });
});

test("persons that cannot be trained on are left out and counted, whatever is wrong with them", async () => {
  const folder = join(root, "odd");
  await writeCocoFolder(folder, await loadPeople({ train: 6, test: 2, size: 64 }));
  const file = join(folder, "annotations", "person_keypoints_train.json");
  const annotated = JSON.parse(readFileSync(file, "utf8"));
  const [unlabelled, outside, crowd, zero, text] = annotated.annotations;
  unlabelled.keypoints.fill(0);
  outside.bbox = [70, 70, 5, 5];
  crowd.iscrowd = 1;
  zero.id = 0;
  zero.keypoints.splice(0, 3, -30, 200, 2);
  text.id = "fifth";
  writeFileSync(file, JSON.stringify(annotated));
  const lines: string[] = [];
  const log = (line: string) => lines.push(line.replace(/^.*person_keypoints_/, ""));
  const { train, close } = await loadCocoPersons(folder, { size: 64, cacheFolder, log });
  assert.equal(train.count, 3);
  assert.deepEqual(
    lines.filter((line) => line.startsWith("train.json")).toSorted(),
    [
      "train.json: persons without a labelled joint: 1, the first is annotation 1; they are left out of training",
      "train.json: boxes outside their picture: 1, the first is that of annotation 2, [70, 70, 5, 5] in 64×64; their persons are left out of training",
      "train.json: annotations without a number above 0 as id: 2, the first is annotation 0; other tools lose them, Lowland numbers them itself",
      "train.json: labelled joints outside their picture: 1, the first is nose of annotation 0 at -30, 200; they count where a part of their heat map is seen",
      "train.json: persons that are left out: 1 (crowd), 1 (no labelled joint), 1 (box outside the picture)",
    ].toSorted(),
  );
  // They stay in the truth that evaluation knows.
  assert.equal(train.annotated?.persons.length, 6);
  close();
});

test("what holds no persons is refused in a sentence", async () => {
  const advice =
    "for pose estimation name people, or a folder in COCO's format (annotations/*.json and pictures)";
  await assert.rejects(loadSamples("persons", "digits"), { message: `digits has no joints; ${advice}` });
  await assert.rejects(loadSamples("persons", join(root, "none")), {
    message: `there is no folder "${join(root, "none")}"; ${advice}`,
  });
});
