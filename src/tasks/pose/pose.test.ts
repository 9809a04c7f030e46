import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { loadDataset } from "../../data/catalogue.ts";
import { loadPeople } from "../../data/people/people.ts";
import type { Persons } from "../../data/persons.ts";
import { readModel } from "../../onnx/model.ts";
import { parseRun, type RunSettings } from "../../runs/configuration.ts";
import { openTask } from "../../runs/open-task.ts";
import { train } from "../../runs/train.ts";
import type { Metric } from "../task.ts";
import { withSkeleton } from "./skeleton-drawing.ts";

let people: Record<"train" | "test", Persons>;
before(async () => {
  people = await loadPeople({ train: 48, test: 16, size: 64 });
});

const opened = (settings: RunSettings = {}) => openTask(parseRun({ task: "pose", ...settings }), people);

/** What a metric says of maps that are the targets themselves. */
async function ofTargets(settings: RunSettings, change = (maps: Float32Array) => maps): Promise<Metric> {
  const { task, evaluations } = await opened(settings);
  const metric = evaluations[0].metric();
  for (let index = 0; index < people.test.count; index++) {
    const sample = await people.test.read(index);
    const { target } = task.row(sample);
    metric.add({ maps: { ...target, data: change(target.data as Float32Array) } } as never, [sample]);
  }
  return metric;
}

describe("persons as rows", () => {
  test("targets have their maxima where the joints of the region are, and the metrics of targets are perfect", async () => {
    for (const targets of ["rounded", "exact", "udp"] as const) {
      const result = (await ofTargets({ pose: { targets } })).result();
      assert.equal(result.pck02, 1, targets);
      assert.ok(result.pck > 0.995, `${targets}: ${result.pck}`);
      if (targets !== "rounded")
        assert.ok(result.averagePrecision > 0.95, `${targets}: ${result.averagePrecision}`);
    }
  });

  test("maps of other persons are wrong, and maps of zeros find nothing but corners", async () => {
    const mirrored = (maps: Float32Array) => maps.map((_, at) => maps[at - (at % 16) + 15 - (at % 16)]);
    const result = (await ofTargets({}, mirrored)).result();
    assert.ok(result.pck < 0.5, `${result.pck}`);
    assert.equal((await ofTargets({}, (maps) => maps.map(() => 0))).result().pck < 0.1, true);
  });

  test("without augmentation rows are the same, with it they follow the sample's stream", async () => {
    const { randomStream } = await import("../../common/random.ts");
    const { task } = await opened({ pose: { augmentation: { flip: 1 } } });
    const sample = await people.train.read(0);
    const [plain, flipped] = [task.row(sample), task.row(sample, () => randomStream(1, "augment", 0))];
    const width = 64;
    const mirrored = (plain.input.data as Float32Array).map(
      (_, at, data) => data[at - (at % width) + width - 1 - (at % width)],
    );
    const difference = mirrored.map((value, at) => Math.abs(value - Number(flipped.input.data[at])));
    // udp: the crop of a mirrored picture is the mirrored crop, but for rounding.
    assert.ok(difference.reduce((most, value) => Math.max(most, value), 0) <= 1);
    const maps = (row: typeof plain, joint: number) =>
      (row.target.data as Float32Array).subarray(joint * 256, joint * 256 + 256);
    // Left and right eye change places.
    const [one, other] = [maps(plain, 1), maps(flipped, 2)];
    for (let at = 0; at < 256; at++) {
      const mirror = at - (at % 16) + 15 - (at % 16);
      assert.ok(Math.abs(one[at] - other[mirror]) < 1e-4);
    }
  });

  test("data without joints, and a skeleton of others, are refused in a sentence", async () => {
    const digits = await loadDataset("digits");
    await assert.rejects(openTask(parseRun({ task: "pose" }), digits), {
      message:
        "digits has no joints: pose estimation needs persons with joints, as people or a folder in COCO's format has",
    });
    await assert.rejects(opened({ pose: { skeleton: { joints: ["head"] } } }), {
      message: /^pose\.skeleton names the joints head; the data have nose, left_eye, /,
    });
  });
});

test("a training run learns, and its file gives the heat maps its metrics were computed from", async () => {
  const { summary, model } = await train({
    task: "pose",
    data: people,
    optimizer: { method: "adam" },
    learningRate: 0.003,
    epochs: 3,
    batchSize: 8,
    sharpness: { images: 8 },
    threads: 1,
  });
  assert.ok(summary);
  assert.deepEqual(Object.keys(summary.metrics), ["pck", "pck02", "averagePrecision", "averageRecall"]);
  const metadata = Object.fromEntries(
    readModel(model).metadataProps.map(({ key, value }) => [key, JSON.parse(value)]),
  );
  assert.equal(metadata["lowland.task"], "pose");
  assert.deepEqual(metadata["lowland.joints"], people.train.joints);
  assert.deepEqual(metadata["lowland.heatmaps"], {
    ...{ stride: 4, alignment: "udp", padding: 1.25, sigma: 1, refinement: "dark" },
  });
  const session = await InferenceSession.create(model);
  const { task, evaluations } = await opened();
  const metric = evaluations[0].metric();
  for (let index = 0; index < people.test.count; index++) {
    const sample = await people.test.read(index);
    const { input } = task.row(sample);
    const { heatmaps } = await session.run({
      input: new Tensor("float32", input.data as Float32Array, [1, ...input.shape]),
    });
    assert.deepEqual(heatmaps.dims, [1, 17, 16, 16]);
    metric.add({ maps: { type: "float32", shape: [1, 17, 16, 16], data: heatmaps.data } } as never, [sample]);
  }
  assert.ok(Math.abs(metric.result().pck - summary.metrics.pck) < 0.02);
});

test("a skeleton is painted in the colors of its sides where its joints are, and elsewhere the picture stays", () => {
  const picture = { channels: 1, height: 20, width: 20, data: new Uint8Array(400).fill(9) };
  const joints = [5, 5, 1, 15, 5, 1];
  const skeleton = { limbs: [[0, 1]] as const, pairs: [[0, 1]] as const };
  const { height, width, data } = withSkeleton(picture, joints, skeleton, { factor: 2, isShown: () => true });
  assert.deepEqual([height, width], [40, 40]);
  const at = (x: number, y: number) => [0, 1, 2].map((channel) => data[channel * 1600 + y * 40 + x]);
  assert.notDeepEqual(at(11, 11), at(31, 11));
  assert.notDeepEqual(at(20, 11), [9, 9, 9]);
  assert.deepEqual(at(20, 30), [9, 9, 9]);
});
