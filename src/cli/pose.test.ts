import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { decodeImage } from "../data/image-file.ts";
import { readCocoKeypoints } from "../data/sets/coco-keypoints.ts";
import { partAround } from "../data/sets/coco-parts.ts";
import { loadCocoPersons } from "../data/sets/coco-persons.ts";
import { parseRun } from "../runs/configuration.ts";
import { openTask } from "../runs/open-task.ts";
import { warped } from "../tasks/pose/affine.ts";
import { evaluatePoses } from "../tasks/pose/average-precision.ts";
import { cocoSkeleton } from "../tasks/pose/skeleton.ts";
import { lowland, readJsonFile, temporaryFolder, timelessMetrics } from "../testing/cli.ts";

// Pose estimation from the command line: a generated set as files, training, resuming, and all that looks at the run.

const root = temporaryFolder();
const environment = { cwd: root, env: { LOWLAND_HOME: join(root, "home") } };
const run = async (...args: string[]) => {
  const { code, stdout, stderr } = await lowland(args, environment);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return stdout;
};
const few = ["--threads", "1"];
const settings = [
  ...["--task", "pose", "--image-size", "32", "--model", "simple-baseline-small:width=0.25"],
  ...[
    "--optimizer",
    "sgd",
    "--learning-rate",
    "0.05",
    "--batch-size",
    "8",
    "--sharpness-images",
    "8",
    ...few,
  ],
];

test("people are written as a folder, which trains; the run is evaluated and measured as it was at its end", async () => {
  const told = await run("data", "people:train=16,test=6,size=64", "--out", "folder");
  assert.equal(told, "folder: 16 training and 6 test pictures\n");
  await run("train", ...settings, "--data", "folder", "--epochs", "1", "--out", "own");
  const { configuration, task } = readJsonFile(root, "own", "run.json");
  assert.deepEqual([configuration.task, configuration.data, task.examples], ["pose", "folder", "persons"]);
  const { metrics, testLoss } = readJsonFile(root, "own", "summary.json");
  const evaluated = JSON.parse(await run("evaluate", "own", "--json", ...few));
  assert.deepEqual([evaluated.task, evaluated.examples], ["pose", 6]);
  assert.ok(Math.abs(evaluated.loss - testLoss) < 1e-5);
  assert.ok(Math.abs(evaluated.metrics.pck - metrics.pck) < 0.02);
  const [joints] = evaluated.details.tables;
  assert.deepEqual([joints.id, joints.rows.length, joints.rows[0].name], ["joints", 17, "nose"]);
  await run(
    "flatness",
    "own",
    "--subset",
    "6",
    "--batch-size",
    "3",
    "--measure",
    "sharpness",
    "--steps",
    "1",
    ...few,
  );
  // Evaluations weigh joints alike; the surface is additive over persons, by the joints that one has in training.
  const labelled = (split: string) => {
    const { annotations } = readJsonFile(root, "folder", "annotations", `person_keypoints_${split}.json`);
    const counts: number[] = annotations.map((each: { num_keypoints: number }) => each.num_keypoints);
    return counts.reduce((sum, count) => sum + count, 0) / counts.length;
  };
  const additive = (testLoss * labelled("val")) / labelled("train");
  assert.ok(Math.abs(readJsonFile(root, "own", "flatness.json").loss - additive) < 1e-4);
  const page = readFileSync(join(root, "own", "report.html"), "utf8");
  const { samples } = readJsonFile(root, "own", "evaluation.json").details;
  const errors: Record<string, number[]> = {};
  for (const { id, title, items } of samples) {
    assert.ok(page.includes(title));
    errors[id] = items.map(({ values }: { values: number[] }) => values[0]);
    for (const { picture } of items) {
      // In the page are the file's own bytes.
      const bytes = readFileSync(join(root, "own", picture)).toString("base64");
      assert.ok(page.includes(bytes), `${picture} is not in the report`);
    }
  }
  assert.deepEqual(Object.keys(errors), ["worst", "median", "best"]);
  assert.equal(errors.best.length, 6);
  assert.deepEqual(
    errors.best,
    errors.best.toSorted((a, b) => a - b),
  );
  assert.deepEqual(errors.worst, errors.best.toReversed());
});

test("a run is evaluated with a flip test and a detector's boxes, and its predictions are written for other tools", async () => {
  const truth = readCocoKeypoints(
    readFileSync(join(root, "folder", "annotations", "person_keypoints_val.json"), "utf8"),
    "truth",
  );
  const boxes = truth.persons.map(({ image, box }) => {
    return { image_id: image, category_id: 1, bbox: box, score: 0.9 };
  });
  writeFileSync(join(root, "boxes.json"), JSON.stringify(boxes));
  const { metrics, loss } = JSON.parse(
    await run(
      ...["evaluate", "own", "--json", "--predictions", "poses.json"],
      ...["--pose-flip-test", "auto", "--pose-boxes", "boxes.json", ...few],
    ),
  );
  const summary = readJsonFile(root, "own", "summary.json");
  assert.ok(Math.abs(loss - summary.testLoss) < 1e-5);
  const found = readJsonFile(root, "poses.json");
  const { statistics } = evaluatePoses({
    images: truth.pictures.map(({ id }) => id),
    truth: truth.persons,
    detections: found.map(({ image_id, ...rest }: { image_id: number }) => ({ image: image_id, ...rest })),
    sigmas: cocoSkeleton.sigmas,
  });
  assert.deepEqual([statistics.AP, statistics.AR], [metrics.givenBoxesPrecision, metrics.givenBoxesRecall]);
  assert.deepEqual(Object.keys(metrics), [
    ...Object.keys(summary.metrics),
    "givenBoxesPrecision",
    "givenBoxesRecall",
  ]);

  // The file in a bare session, on the folder's persons and on their mirror images.
  const data = await loadCocoPersons(join(root, "folder"), {
    ...{ size: 32, cacheFolder: join(root, "home", "pictures") },
  });
  const pose = { flipTest: "auto", boxes: join(root, "boxes.json") } as const;
  const { task, evaluations } = await openTask(parseRun({ task: "pose", images: { size: 32 }, pose }), data);
  const session = await InferenceSession.create(join(root, "own", "model.onnx"));
  const mapsOf = async (pixels: Float32Array) => {
    const { heatmaps } = await session.run({ input: new Tensor("float32", pixels, [1, 3, 32, 32]) });
    return { maps: { type: "float32", shape: [1, 17, 8, 8], data: heatmaps.data } } as never;
  };
  const bare: Record<string, number> = {};
  for (const { source, metric } of evaluations) {
    const gathered = metric();
    for (let index = 0; index < source.count; index++) {
      const sample = await source.read(index);
      const pixels = task.row(sample).input.data as Float32Array;
      const mirrored = pixels.map((_, at) => pixels[at - (at % 32) + 31 - (at % 32)]);
      gathered.add(await mapsOf(pixels), [sample], await mapsOf(mirrored));
    }
    Object.assign(bare, gathered.result());
    const own = JSON.parse(gathered.predictions?.() ?? "[]");
    if (source !== evaluations[1].source) continue;
    assert.equal(own.length, found.length);
    for (const [index, { image_id, keypoints, score }] of own.entries()) {
      assert.equal(image_id, found[index].image_id);
      assert.ok(Math.abs(score - found[index].score) < 1e-5);
      for (const [at, value] of keypoints.entries())
        assert.ok(Math.abs(value - found[index].keypoints[at]) < 0.01, `${value} at ${at}`);
    }
  }
  data.close();
  assert.deepEqual(Object.keys(bare).toSorted(), Object.keys(metrics).toSorted());
  for (const [name, value] of Object.entries(bare))
    assert.ok(Math.abs(value - metrics[name]) < 0.01, `${name}: ${value} and ${metrics[name]}`);
});

test("predict draws a skeleton over each picture, where the heat maps of its file are highest", async () => {
  const file = join("folder", "val", "000000000001.png");
  const { pictures } = JSON.parse(await run("predict", "own", file, "--out", "drawn", "--json", ...few));
  const [{ joints, picture }] = pictures;
  assert.deepEqual(
    [joints.length, joints[0].joint, picture],
    [17, "nose", join("drawn", "1-000000000001.png")],
  );
  const session = await InferenceSession.create(join(root, "own", "model.onnx"));
  const whole = await decodeImage(join(root, file));
  // The picture's 64 pixels on the input's 32, centers of outer pixels on centers of outer pixels.
  const matrix = [31 / 63, 0, 0, 0, 31 / 63, 0] as const;
  const part = await partAround(whole, [0, 0, 63, 63], 32);
  const [, , factor] = part.place.data;
  assert.equal(factor, 2);
  const [, height, width] = part.image.shape;
  const own = { channels: 3, height, width, data: part.image.data };
  const inPart = [2 * matrix[0], 0, 0.5 * matrix[0], 0, 2 * matrix[0], 0.5 * matrix[0]] as const;
  const pixels = Float32Array.from(warped(own, inPart, [32, 32]));
  const { heatmaps } = await session.run({ input: new Tensor("float32", pixels, [1, 3, 32, 32]) });
  const maps = heatmaps.data as Float32Array;
  for (const [index, { x, y, score }] of joints.entries()) {
    const map = maps.subarray(64 * index, 64 * index + 64);
    const best = map.indexOf(Math.max(...map));
    assert.ok(Math.abs(score - map[best]) < 1e-4);
    if (score <= 0) continue;
    // At most a pixel of the map from its maximum: 9 pixels of the picture.
    assert.ok(Math.abs(x - (63 / 7) * (best % 8)) < 10 && Math.abs(y - (63 / 7) * Math.floor(best / 8)) < 10);
  }
  const drawn = await decodeImage(join(root, picture));
  assert.equal(drawn.height, 5 * 64);
});

test("people without files train, and the same command makes the same bits", async () => {
  const generated = [
    ...settings,
    "--data",
    "people:train=16,test=4",
    "--pose-flip",
    "0.5",
    "--pose-rotation",
    "20",
  ];
  await run("train", ...generated, "--epochs", "2", "--out", "whole");
  await run("train", ...generated, "--epochs", "2", "--out", "again");
  assert.deepEqual(timelessMetrics(join(root, "again")), timelessMetrics(join(root, "whole")));
  const models = ["again", "whole"].map((name) => readFileSync(join(root, name, "model.onnx")));
  assert.ok(models[0].equals(models[1]));
});

test("the demonstration trains a network for poses and ends in a page with pictures", async () => {
  const told = await lowland(
    [
      ...["demo", "pose", "--data", "people:train=16,test=4", "--image-size", "32", "--epochs", "1"],
      ...["--model", "simple-baseline-small:width=0.25", "--batch-size", "8", "--sharpness-images", "8"],
      ...["--out", "demo", ...few],
    ],
    environment,
  );
  assert.equal(told.code, 0, told.stderr);
  assert.match(
    told.stderr,
    /^1 run of 1 epoch: simple-baseline-small:width=0\.25 on 16 persons of people:train=16,test=4$/m,
  );
  assert.match(readFileSync(join(root, "demo", "report.html"), "utf8"), /Persons with the largest errors/);
  const { configuration } = readJsonFile(root, "demo", "adam", "run.json");
  assert.deepEqual([configuration.task, configuration.optimizer.method], ["pose", "adam"]);
});

test("mistakes are one sentence each", async () => {
  const refused = async (args: string[], message: string) => {
    const { code, stderr } = await lowland(args, environment);
    assert.deepEqual([code, stderr], [2, `lowland: ${message}\n`]);
  };
  await refused(
    ["train", "--data", "people"],
    "people has persons with joints and no classes; it is for pose estimation (task, --task pose)",
  );
  await refused(
    ["train", "--task", "pose", "--data", "digits"],
    "digits has no joints; for pose estimation name people, or a folder in COCO's format (annotations/*.json and pictures)",
  );
  await refused(["evaluate", "own", "--pose-boxes", "none.json"], "there is no file none.json");
  const file = fileURLToPath(new URL("../../fixtures/import/cnn.onnx", import.meta.url));
  const classifier = ["evaluate", file, "--data", "digits"];
  await refused(
    [...classifier, "--pose-flip-test", "auto"],
    "--pose-flip-test is for pose, and the task is classification; leave it out",
  );
  await refused(
    [...classifier, "--predictions", "out.json"],
    "--predictions has no meaning for classification, which has no format for them; leave it out",
  );
  await refused(
    ["demo", "pose", "--clean"],
    "--clean has no meaning for pose, which has no wrong labels; leave it out",
  );
  await refused(
    ["predict", "own", "folder/val/000000000001.png", "none.png", "--out", "drawn"],
    "1 of 2 pictures cannot be read: none.png (there is no such file)",
  );
  await refused(
    ["data", "digits", "--out", "x"],
    "digits is no generated data set; it has to be people or wardrobe",
  );
  await refused(
    ["data", "people", "--data-dir", ".", "--out", "x"],
    "--data-dir has no meaning for people, which needs no files; leave it out",
  );
  await refused(
    ["train", "--task", "pose", "--model", "cnn", "--data", "people:train=64,test=4"],
    "cnn gives a number for each class, the task takes a map for each joint or class; choose one of unet, fcn-resnet18, fcn-resnet34, fcn-resnet50, deeplabv3-resnet18, deeplabv3-resnet34, deeplabv3-resnet50, simple-baseline-18, simple-baseline-50, simple-baseline-small",
  );
});
