import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../../common/random.ts";
import { assertClose } from "../../testing/numeric.ts";
import { type Affine, inverse, type Pixels, transformed, warped } from "./affine.ts";
import {
  checkPoseAugmentation,
  drawPlacement,
  halfBodyRegion,
  type PoseAugmentation,
  referenceAugmentation,
} from "./pose-augmentation.ts";
import { placementMatrix, type Region, regionArea, regionOf, transformedKeypoints } from "./region.ts";
import { cocoSkeleton } from "./skeleton.ts";

const random = randomStream(4, "regions");
const picture = (channels: number, height: number, width: number): Pixels => ({
  channels,
  height,
  width,
  data: Uint8Array.from({ length: channels * height * width }, () => random.integer(256)),
});

describe("a picture under a map", () => {
  /** Bilinear reading, pixel by pixel from the definition. */
  function byDefinition(
    source: Pixels,
    matrix: Affine,
    [columns, rows]: readonly [number, number],
  ): number[] {
    const back = inverse(matrix);
    const pixel = (channel: number, x: number, y: number) =>
      x < 0 || y < 0 || x >= source.width || y >= source.height
        ? 0
        : source.data[(channel * source.height + y) * source.width + x];
    return Array.from({ length: source.channels * rows * columns }, (_, at) => {
      const channel = Math.floor(at / (rows * columns));
      const [x, y] = transformed(back, [at % columns, Math.floor(at / columns) % rows]);
      let sum = 0;
      for (const px of [Math.floor(x), Math.floor(x) + 1])
        for (const py of [Math.floor(y), Math.floor(y) + 1])
          sum += (1 - Math.abs(x - px)) * (1 - Math.abs(y - py)) * pixel(channel, px, py);
      return sum;
    });
  }

  const cases: [string, Affine][] = [
    ["turned and larger", [1.3, 0.7, -3.2, -0.6, 1.4, 5.1]],
    ["mirrored and smaller", [-0.6, 0.1, 9.7, 0.05, 0.4, 0.3]],
    ["mostly outside", [1, 0, -14.5, 0, 1, 8.25]],
  ];
  for (const [name, matrix] of cases) {
    test(name, () => {
      const source = picture(3, 11, 17);
      const found = warped(source, matrix, [13, 9]);
      const expected = byDefinition(source, matrix, [13, 9]);
      assert.equal(found.length, expected.length);
      for (const [at, value] of expected.entries())
        assert.ok(Math.abs(found[at] - value) <= 0.5 + 1e-9, `pixel ${at}: ${found[at]}, not ${value}`);
      assert.ok(expected.some((value) => value > 0));
    });
  }

  test("whole steps and mirrors move bytes as they are", () => {
    const source = picture(2, 4, 5);
    assert.deepEqual(warped(source, [1, 0, 0, 0, 1, 0], [5, 4]), source.data);
    const turned = warped(source, [-1, 0, 4, 0, -1, 3], [5, 4]);
    assert.deepEqual(turned.subarray(0, 20), source.data.slice(0, 20).reverse());
    const moved = warped(source, [1, 0, 2, 0, 1, 0], [5, 4]);
    assert.deepEqual(moved.subarray(0, 5), Uint8Array.of(0, 0, ...source.data.subarray(0, 3)));
  });
});

describe("placements", () => {
  const input = [48, 64] as const;
  const region: Region = { center: [40, 50], size: [60, 80] };

  test("with udp the crop of a mirrored picture is the mirrored crop", () => {
    const source = picture(1, 100, 90);
    const flat = placementMatrix({ ...region, rotation: 0, mirrored: false }, input, "udp");
    const flipped = placementMatrix({ ...region, rotation: 0, mirrored: true }, input, "udp");
    const [crop, mirrored] = [flat, flipped].map((matrix) => warped(source, matrix, input));
    const turned = crop.map((_, at) => crop[at - (at % 48) + 47 - (at % 48)]);
    assert.deepEqual(mirrored, turned);
  });

  test("with plain it is what the reference makes: mirror picture and center first, then cut", () => {
    const [width, height] = [90, 100];
    const source = picture(1, height, width);
    const mirror = {
      ...source,
      data: source.data.map((_, at) => source.data[at - 2 * (at % width) + width - 1]),
    };
    for (const rotation of [0, 25]) {
      const center = [width - 1 - region.center[0], region.center[1]] as const;
      const reference = placementMatrix({ ...region, center, rotation, mirrored: false }, input, "plain");
      const matrix = placementMatrix({ ...region, rotation, mirrored: true }, input, "plain");
      const [expected, found] = [warped(mirror, reference, input), warped(source, matrix, input)];
      for (const [at, value] of expected.entries()) assert.ok(Math.abs(value - found[at]) <= 1);
    }
  });

  test("joints go where their pixels go, and pairs change places in a mirror", () => {
    const skeleton = { joints: ["nose", "left_hand", "right_hand", "tail"], pairs: [[1, 2]] as const };
    const keypoints = [40, 50, 2, 30, 30, 1, 55, 62, 2, 7, 7, 0];
    for (const mirrored of [false, true]) {
      const placement = { ...region, rotation: 20, mirrored };
      const matrix = placementMatrix(placement, input, "plain");
      const found = transformedKeypoints(keypoints, matrix, skeleton, mirrored);
      assert.deepEqual(
        [2, 5, 8, 11].map((at) => found[at]),
        mirrored ? [2, 2, 1, 0] : [2, 1, 2, 0],
      );
      assert.deepEqual(found.slice(9), [0, 0, 0]);
      // The pixel of a joint alone, and where it is brightest in the crop.
      for (const [joint, place] of [
        [0, 0],
        [1, mirrored ? 2 : 1],
        [2, mirrored ? 1 : 2],
      ]) {
        const data = new Uint8Array(100 * 90);
        data[keypoints[3 * joint + 1] * 90 + keypoints[3 * joint]] = 255;
        const crop = warped({ channels: 1, height: 100, width: 90, data }, matrix, input);
        const at = crop.indexOf(Math.max(...crop));
        const [x, y] = found.slice(3 * place);
        assert.ok(Math.hypot((at % 48) - x, Math.floor(at / 48) - y) < 1, `joint ${joint}`);
      }
    }
  });

  test("a region holds its box, and its area counts the padding", () => {
    const found = regionOf([10, 20, 30, 100], [192, 256]);
    assertClose(found.size, [93.75, 125], 1e-12);
    assertClose([regionArea(found)], [93.75 * 125], 1e-12);
  });
});

describe("what is drawn", () => {
  const input = [192, 256] as const;
  const region: Region = { center: [100, 120], size: [150, 200] };
  const keypoints = cocoSkeleton.joints.flatMap((_, joint) => [60 + 3 * joint, 30 + 11 * joint, 2]);
  const person = { region, keypoints };
  const draw = (augmentation: PoseAugmentation, seed: number) =>
    drawPlacement(person, cocoSkeleton, augmentation, input, randomStream(seed, "augment"));
  const many = (augmentation: PoseAugmentation) =>
    Array.from({ length: 2000 }, (_, seed) => draw(augmentation, seed));

  test("nothing without settings", () => {
    for (const placement of many({}).slice(0, 20))
      assert.deepEqual(placement, { ...region, rotation: 0, mirrored: false });
  });

  test("the reference's distribution: flips, factors within 1 ± 0.3, 60 % turned within ± 80°", () => {
    const placements = many(referenceAugmentation);
    const share = (isSo: (placement: (typeof placements)[0]) => boolean) =>
      placements.filter(isSo).length / placements.length;
    const near = (found: number, expected: number) =>
      // Four standard errors of a share.
      assert.ok(Math.abs(found - expected) < (4 * 0.5) / Math.sqrt(2000), `${found}, not ${expected}`);
    near(
      share(({ mirrored }) => mirrored),
      0.5,
    );
    near(
      share(({ rotation }) => rotation !== 0),
      0.6,
    );
    // |N| > 2 in 4.55 % of the draws of those turned, |N| > 1 in 31.7 % of the factors.
    near(
      share(({ rotation }) => Math.abs(rotation) === 80),
      0.6 * 0.0455,
    );
    near(
      share(({ size }) => Math.abs(size[0] / 150 - 1) > 0.3 - 1e-9),
      0.317,
    );
    assert.ok(placements.every(({ size }) => Math.abs(size[0] / 150 - 1) < 0.3 + 1e-9));
    assert.ok(placements.every(({ size }) => Math.abs(size[1] / size[0] - 4 / 3) < 1e-9));
    assert.ok(placements.every(({ center }) => center[0] === 100 && center[1] === 120));
  });

  test("a setting changes only what it is about", () => {
    const { flip, scale, rotation } = referenceAugmentation;
    const [all, flipped, grown, turned] = [referenceAugmentation, { flip }, { scale }, { rotation }].map(
      (augmentation) => draw(augmentation, 7),
    );
    assert.deepEqual(all, {
      ...grown,
      rotation: turned.rotation,
      mirrored: flipped.mirrored,
    });
  });

  test("half bodies are the labelled joints of one half, 1.5 times as large, the upper one in 69 %", () => {
    const half = (upperFirst: boolean, joints = keypoints) =>
      halfBodyRegion(joints, cocoSkeleton.upperBody, upperFirst, input);
    // Joints 0 … 10: x from 60 to 90, y from 30 to 140. Joints 11 … 16: x from 93 to 108, y from 151 to 206.
    assertClose(half(true)?.center ?? [], [75, 85], 1e-12);
    assertClose(half(true)?.size ?? [], [110 * 0.75 * 1.5, 110 * 1.5], 1e-12);
    assertClose(half(false)?.center ?? [], [100.5, 178.5], 1e-12);
    const centers = many({ halfBody: 0.3 }).map(({ center }) => center[1]);
    const [upper, lower] = [85, 178.5].map(
      (y) => centers.filter((value) => Math.abs(value - y) < 1e-9).length,
    );
    assert.ok(Math.abs((upper + lower) / 2000 - 0.3) < 0.045);
    assert.ok(Math.abs(upper / (upper + lower) - 0.691) < 0.08);
    // Two labelled joints of the lower half are too few, and so are eight in all.
    const visible = (count: number) =>
      keypoints.map((value, at) => (at % 3 === 2 && at >= 3 * count ? 0 : value));
    assert.deepEqual(half(false, visible(13)), half(true));
    assert.equal(half(true, visible(8)), undefined);
  });

  test("settings out of range are refused", () => {
    checkPoseAugmentation({ ...referenceAugmentation, halfBody: 0.3 }, cocoSkeleton);
    assert.throws(
      () => checkPoseAugmentation({ flip: 1.5 }, cocoSkeleton),
      /flip is 1\.5; choose a probability/,
    );
    assert.throws(() => checkPoseAugmentation({ scale: 1 }, cocoSkeleton), /scale is 1; choose/);
    assert.throws(
      () => checkPoseAugmentation({ rotation: -3 }, cocoSkeleton),
      /rotation is -3; choose degrees/,
    );
    assert.throws(
      () => checkPoseAugmentation({ halfBody: 0.3 }, { upperBody: [] }),
      /halfBody needs to know which joints are above the waist/,
    );
  });
});
