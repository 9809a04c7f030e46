import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { assertClose } from "../../testing/numeric.ts";
import { inverse, transformed } from "./affine.ts";
import { decodeHeatMaps, jointsInPicture, mergedFlip, type Refinement, tapsFor } from "./decoding.ts";
import { mapToPicture, placementMatrix, regionOf } from "./region.ts";
import { mirroredJoints } from "./skeleton.ts";
import { drawGaussian, heatMapTargets, type TargetForm } from "./targets.ts";

// Against fixtures/tasks/heat-maps.json, which agrees with the code of SimpleBaseline, DarkPose and mmpose.

interface Tensor {
  shape: number[];
  data: number[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../../../fixtures/tasks/heat-maps.json", import.meta.url), "utf8"),
);
const kinds = { rounded: "rounded", exact: "exact", "unbiased-endpoints": "udp" } as const;
const alignments = { plain: "plain", endpoints: "udp" } as const;
const points = ({ data }: Tensor) =>
  Array.from({ length: data.length / 2 }, (_, at) => [data[2 * at], data[2 * at + 1]] as const);

describe("targets", () => {
  for (const {
    name,
    kind,
    inputSize,
    mapSize,
    sigma,
    joint,
    weight,
    visible = 2,
    ...expected
  } of vectors.targets) {
    test(name, () => {
      const form: TargetForm = {
        kind: kinds[kind as keyof typeof kinds],
        input: inputSize,
        map: mapSize,
        sigma,
      };
      const [width, height] = mapSize;
      const map = new Float64Array(width * height);
      const isDrawn = visible > 0 && drawGaussian(map, joint, form);
      assert.equal(Number(isDrawn), weight);
      if (expected.map) assertClose(map, expected.map.data, 1e-12);
      else {
        assertClose([map.reduce((sum, value) => sum + value, 0)], [expected.sum], 1e-12, "sum");
        assertClose([Math.max(...map)], [expected.max], 1e-12, "maximum");
        const at = map.indexOf(Math.max(...map));
        assert.deepEqual([at % width, Math.floor(at / width)], expected.argmax);
      }
      if (expected.window) {
        const { left, top, values, restIsZero } = expected.window;
        const [rows, columns] = values.shape;
        const inside = (at: number) => {
          const [x, y] = [(at % width) - left, Math.floor(at / width) - top];
          return x >= 0 && x < columns && y >= 0 && y < rows;
        };
        assertClose(
          map.filter((_, at) => inside(at)),
          values.data,
          1e-12,
          "window",
        );
        if (restIsZero) assert.ok(map.every((value, at) => inside(at) || value === 0));
      }
      // Several joints at once, in float32.
      const { maps, weights } = heatMapTargets([...joint, visible, 0, 0, 0], form);
      assert.deepEqual([...weights], [weight, 0]);
      assert.deepEqual(maps.subarray(0, map.length), Float32Array.from(map));
      assert.ok(maps.subarray(map.length).every((value) => value === 0));
    });
  }

  test("a joint left of the picture is rounded toward zero", () => {
    const form: TargetForm = { kind: "rounded", input: [192, 256], map: [48, 64], sigma: 2 };
    const { maps } = heatMapTargets([-3, 40, 2], form);
    // −3 / 4 + 0.5 = −0.25: rounding would give −1 as well as floor does, int() gives 0.
    assert.equal(maps[10 * 48], 1);
  });
});

describe("decoding", () => {
  const ways: [string, Refinement, number][] = [
    ["argmax", "argmax", 11],
    ["quarter", "quarter", 11],
    ["dark", "dark", 11],
    ["darkWithoutBlur", "dark", 1],
  ];
  for (const { name, map, score, ...expected } of vectors.decoding) {
    for (const [key, refinement, taps] of ways) {
      if (expected[key] === undefined) continue;
      test(`${name}, ${key}`, () => {
        const [height, width] = map.shape;
        const decoded = decodeHeatMaps(Float64Array.from(map.data), [width, height], { refinement, taps });
        assert.deepEqual(decoded.scores, [score]);
        assertClose(decoded.points[0], expected[key], 1e-9);
      });
    }
  }

  test("a Newton step ends a pixel from the maximum, and is not taken where there is no maximum", () => {
    const size = [9, 9] as const;
    const at = (values: Record<number, number>) =>
      Float64Array.from({ length: 81 }, (_, place) => values[place] ?? 0.1);
    // Nearly flat along x to two pixels, but steep between one to the left and one to the right.
    const flat = at({ 40: 0.5, 38: 0.499, 42: 0.499, 39: 0.1, 41: 0.499, 22: 0.1, 58: 0.1 });
    assert.deepEqual(decodeHeatMaps(flat, size, { refinement: "dark", taps: 1 }).points[0], [5, 4]);
    const saddle = at({
      40: 0.5,
      38: 0.499,
      42: 0.499,
      22: 0.499,
      58: 0.499,
      41: 0.4,
      39: 0.3,
      30: 0.49,
      50: 0.49,
    });
    assert.deepEqual(decodeHeatMaps(saddle, size, { refinement: "dark", taps: 1 }).points[0], [4, 4]);
  });

  test("joints of several maps come in their order, in float32 too", () => {
    const maps = new Float32Array(2 * 5 * 4);
    maps[2 * 4 + 3] = 0.5;
    maps[20 + 4 + 2] = 2;
    const decoded = decodeHeatMaps(maps, [4, 5], { refinement: "argmax" });
    assert.deepEqual(decoded, {
      points: [
        [3, 2],
        [2, 1],
      ],
      scores: [0.5, 2],
    });
    assert.deepEqual(jointsInPicture(decoded, [2, 0, 10, 0, 4, 20]), [16, 28, 0.5, 14, 24, 2]);
  });

  test("DARK's smoothing follows σ: mmpose's 11 taps for 2, 17 for 3", () => {
    assert.deepEqual([1, 2, 3].map(tapsFor), [5, 11, 17]);
  });
});

describe("flip test", () => {
  for (const { name, pairs, shift, heatMaps, heatMapsOfFlipped, average } of vectors.flip) {
    test(name, () => {
      const [joints, height, width] = heatMaps.shape;
      const places = mirroredJoints({ joints: new Array(joints).fill(""), pairs });
      const [maps, mirrored] = [heatMaps, heatMapsOfFlipped].map(({ data }) => Float64Array.from(data));
      assertClose(mergedFlip(maps, mirrored, [width, height], places, shift), average.data, 1e-15);
    });
  }
});

describe("regions", () => {
  for (const crop of vectors.crops) {
    test(crop.name, () => {
      const alignment = alignments[crop.kind as keyof typeof alignments];
      const region = regionOf(crop.box, crop.size, crop.padding);
      assertClose(region.center, crop.centre, 1e-12);
      assertClose(region.size, crop.scale, 1e-12);
      const placement = { ...region, rotation: crop.rotation, mirrored: false };
      const matrix = placementMatrix(placement, crop.size, alignment);
      assertClose(matrix, crop.matrix.data, 1e-12);
      assertClose(inverse(matrix), crop.inverse.data, 1e-12);
      assertClose(
        points(crop.points).flatMap((point) => [...transformed(matrix, point)]),
        crop.pointsInCrop.data,
        1e-12,
      );
      const back = mapToPicture(region, crop.mapSize, alignment);
      assertClose(
        points(crop.mapPoints).flatMap((point) => [...transformed(back, point)]),
        crop.mapPointsInImage.data,
        1e-12,
      );
    });
  }

  for (const [kind, alignment] of [
    ["exact", "plain"],
    ["udp", "udp"],
  ] as const) {
    test(`${kind} targets, decoded by DARK, give joints back where they were in the picture`, () => {
      const [input, map] = [[96, 128] as const, [24, 32] as const];
      const region = regionOf([31.5, 17.25, 40, 90], input);
      const toInput = placementMatrix({ ...region, rotation: 0, mirrored: false }, input, alignment);
      for (const joint of [
        [50.3, 60.1],
        [38.7, 84.9],
        [66.6, 44.4],
      ] as const) {
        const keypoints = [...transformed(toInput, joint), 1];
        const { maps } = heatMapTargets(keypoints, { kind, input, map, sigma: 2 });
        const decoded = decodeHeatMaps(maps, map, { refinement: "dark", taps: 1 });
        const [x, y] = jointsInPicture(decoded, mapToPicture(region, map, alignment));
        assert.ok(Math.hypot(x - joint[0], y - joint[1]) < 1e-3, `${x}, ${y} instead of ${joint}`);
      }
    });
  }
});
