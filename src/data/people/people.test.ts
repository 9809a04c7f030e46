import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadDataset } from "../catalogue.ts";
import { cocoJoints } from "../coco-joints.ts";
import { readGenerated } from "../generated-options.ts";
import { measuredPersonsOf } from "../persons.ts";
import { Canvas } from "./canvas.ts";
import { loadPeople } from "./people.ts";
import { drawScene } from "./scene.ts";

const scenes = Array.from({ length: 60 }, (_, index) => drawScene(7, index, 96));

describe("pictures of people", () => {
  test("the same seed and number give the same bytes, others give other pictures", () => {
    assert.deepEqual(drawScene(7, 3, 96), scenes[3]);
    assert.notDeepEqual(drawScene(8, 3, 96).image, scenes[3].image);
    assert.notDeepEqual(scenes[4].image, scenes[3].image);
  });

  test("twice the size is the same scene: joints, box and area scale, and pixels agree on average", () => {
    for (let index = 0; index < 10; index++) {
      const [small, large] = [scenes[index], drawScene(7, index, 192)];
      for (let joint = 0; joint < cocoJoints.length; joint++) {
        const [x, y, seen] = small.keypoints.subarray(3 * joint, 3 * joint + 3);
        const [u, v, seenToo] = large.keypoints.subarray(3 * joint, 3 * joint + 3);
        assert.equal(seen === 0, seenToo === 0);
        assert.ok(
          Math.abs(u - 2 * x) < 1e-3 && Math.abs(v - 2 * y) < 1e-3,
          `${cocoJoints[joint]} of ${index}`,
        );
      }
      for (const [at, value] of small.box.entries()) assert.ok(Math.abs(large.box[at] - 2 * value) <= 4);
      assert.ok(Math.abs(large.area / small.area / 4 - 1) < 0.05, `area ${small.area}, ${large.area}`);
      const mean = (image: Uint8Array) => image.reduce((sum, value) => sum + value, 0) / image.length;
      assert.ok(Math.abs(mean(small.image) - mean(large.image)) < 1.5);
    }
  });

  test("boxes hold every visible joint, and the area is that of pixels in the box", () => {
    for (const { keypoints, box, area } of scenes) {
      const [left, top, width, height] = box;
      assert.ok(area > 0 && area <= width * height);
      assert.ok(left >= 0 && top >= 0 && left + width <= 96 && top + height <= 96);
      for (let at = 0; at < keypoints.length; at += 3) {
        if (keypoints[at + 2] !== 2) continue;
        const [x, y] = [keypoints[at], keypoints[at + 1]];
        assert.ok(x >= left && x <= left + width && y >= top && y <= top + height);
      }
    }
  });

  test("more than half of the joints are visible, and some are hidden", () => {
    const counts = [0, 0, 0];
    for (const { keypoints } of scenes)
      for (let at = 2; at < keypoints.length; at += 3) counts[keypoints[at]]++;
    const total = counts[0] + counts[1] + counts[2];
    assert.ok(counts[2] > 0.5 * total && counts[1] > 0.05 * total, counts.join());
  });

  test("left limbs have stripes and right ones none, so a mirrored figure is not one with swapped labels", () => {
    // Brightness along a limb changes at every stripe.
    const changes = ({ image, keypoints }: (typeof scenes)[number], from: string, to: string) => {
      const at = (name: string) => 3 * cocoJoints.indexOf(name as (typeof cocoJoints)[number]);
      const [a, b] = [at(from), at(to)].map((place) => keypoints.subarray(place, place + 3));
      if (a[2] !== 2 || b[2] !== 2 || Math.hypot(a[0] - b[0], a[1] - b[1]) < 10) return undefined;
      const values = Array.from({ length: 40 }, (_, step) => {
        const share = 0.1 + (0.7 * step) / 39;
        const [x, y] = [a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])].map(Math.floor);
        return [0, 1, 2].reduce((sum, channel) => sum + image[channel * 96 * 96 + y * 96 + x], 0);
      });
      return values.slice(1).reduce((sum, value, index) => sum + Math.abs(value - values[index]), 0);
    };
    const mean = (side: string) => {
      const found = scenes.flatMap((scene) => changes(scene, `${side}_hip`, `${side}_knee`) ?? []);
      return found.reduce((sum, value) => sum + value, 0) / found.length;
    };
    assert.ok(mean("left") > 1.5 * mean("right"), `${mean("left")} ${mean("right")}`);
  });

  test("the painter's edges are exact: an ellipse covers its area, a capsule its own", () => {
    const covered = (paint: (canvas: Canvas) => void) => {
      const canvas = new Canvas(64);
      paint(canvas);
      return canvas.pixels.subarray(0, 64 * 64).reduce((sum, value) => sum + value, 0);
    };
    const paint = { color: [1, 1, 1], id: 1 } as const;
    const disk = covered((canvas) => canvas.ellipse({ x: 32.3, y: 31.1 }, [12, 12], 0, paint));
    assert.ok(Math.abs(disk / (Math.PI * 144) - 1) < 0.01, `${disk}`);
    const capsule = covered((canvas) => canvas.capsule({ x: 15, y: 20 }, { x: 45, y: 33 }, [5, 5], paint));
    const exact = Math.PI * 25 + 10 * Math.hypot(30, 13);
    assert.ok(Math.abs(capsule / exact - 1) < 0.01, `${capsule} ${exact}`);
  });
});

describe("the set people", () => {
  test("its parts share no picture, and more pictures keep the first ones", async () => {
    const [few, many] = [await loadPeople({ train: 6, test: 6 }), await loadPeople({ train: 12, test: 6 })];
    const images = [few.train, few.test].flatMap(({ read }) =>
      Array.from({ length: 6 }, (_, index) =>
        (read(index) as { image: { data: Uint8Array } }).image.data.join(),
      ),
    );
    assert.equal(new Set(images).size, 12);
    assert.deepEqual(await few.train.read(5), await many.train.read(5));
    assert.notEqual(few.train.fingerprint, many.train.fingerprint);
    assert.notEqual(few.train.fingerprint, few.test.fingerprint);
  });

  test("coordinates are those of pixels' centers, and mean and deviation those of its pixels", async () => {
    const { train } = await loadPeople({ train: 4, test: 1, seed: 3 });
    const { keypoints } = await train.read(1);
    const scene = drawScene(3, 2, 96);
    for (let at = 0; at < keypoints.data.length; at += 3)
      if (keypoints.data[at + 2] > 0)
        assert.ok(Math.abs(keypoints.data[at] - (scene.keypoints[at] - 0.5)) < 1e-5);
    const pixels = Array.from({ length: 4 }, (_, index) => drawScene(3, 2 * index, 96).image);
    const red = pixels.flatMap((image) => Array.from(image.subarray(0, 96 * 96)));
    const mean = red.reduce((sum, value) => sum + value, 0) / red.length;
    assert.ok(Math.abs(train.mean[0] - mean / 255) < 1e-9);
    const measured = await measuredPersonsOf(train);
    assert.equal(train.labelled, measured.labelled);
    assert.ok(train.labelled > 12 && train.labelled <= 17);
  });

  test("its name takes options, and says what is wrong with them", async () => {
    assert.deepEqual(readGenerated("people:train=10,seed=2", "people"), { train: 10, seed: 2 });
    assert.equal(readGenerated("peoples", "people"), undefined);
    assert.throws(() => readGenerated("people:count=3", "people"), {
      message: 'people has no option "count"; it has train, test, size, seed',
    });
    assert.throws(() => readGenerated("people:train=0", "people"), {
      message: "people: train is 0; it has to be a whole number of at least 1",
    });
    await assert.rejects(loadDataset("people"), {
      message: "people has persons with joints and no classes; it is for pose estimation (task, --task pose)",
    });
  });
});
