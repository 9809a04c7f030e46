import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { loadPeople } from "../../data/people/people.ts";
import type { PersonSample, Persons } from "../../data/persons.ts";
import { readCocoKeypoints } from "../../data/sets/coco-keypoints.ts";
import { loadCocoPersons } from "../../data/sets/coco-persons.ts";
import { writeCocoFolder } from "../../data/sets/coco-writer.ts";
import { selected } from "../../data/source.ts";
import type { TensorData, Tensors } from "../../onnx/tensor.ts";
import { parseRun, type RunSettings } from "../../runs/configuration.ts";
import { openTask } from "../../runs/open-task.ts";
import { temporaryFolder } from "../../testing/cli.ts";
import type { Evaluation, OpenedTask } from "../task.ts";
import { evaluate } from "../task-evaluation.ts";
import { evaluatePoses } from "./average-precision.ts";
import { placementMatrix, regionOf, transformedKeypoints } from "./region.ts";
import { cocoSkeleton, mirroredJoints } from "./skeleton.ts";
import { heatMapTargets } from "./targets.ts";

// Evaluation with an ideal network: heat maps that are the targets of the annotated joints, of whatever is looked at.

const root = temporaryFolder();
const folder = join(root, "people");
const cacheFolder = join(root, "cache");
const annotationFile = join(folder, "annotations", "person_keypoints_val.json");
const people = 8;

interface Annotated {
  annotations: { id: number; image_id: number; bbox: number[]; keypoints: number[]; area: number }[];
  [key: string]: unknown;
}
let annotated: Annotated;
let persons: Record<"train" | "test", Persons>;
before(async () => {
  await writeCocoFolder(folder, await loadPeople({ train: 4, test: people, size: 64 }));
  annotated = JSON.parse(readFileSync(annotationFile, "utf8"));
  persons = await loadCocoPersons(folder, { size: 64, cacheFolder });
});

const opened = (pose: RunSettings["pose"], data: Record<"train" | "test", Persons> = persons) =>
  openTask(parseRun({ task: "pose", images: { size: 64 }, pose }), data);

type Kind = "rounded" | "exact" | "udp";

/**
 * What an ideal network gives for a sample: the targets of the first annotated person of its picture.
 * @param isMirrored of the mirror image of the input: a pixel at p lies at width − 1 − p
 */
function ideal({ box, picture, place }: PersonSample, kind: Kind, isMirrored = false): Float32Array {
  const input = [64, 64] as const;
  const alignment = kind === "udp" ? "udp" : "plain";
  const [first, above, factor] = place.data;
  const own = annotated.annotations.find(({ image_id }) => image_id === picture.data[0] + 1);
  assert.ok(own);
  const inSample = own.keypoints.map((value, at) => {
    if (at % 3 === 2) return value;
    return (value - [first, above][at % 3] + 0.5) / factor - 0.5;
  });
  const [left, top, width, height] = box.data;
  const placement = {
    ...regionOf([left, top, width, height], input),
    ...{ rotation: 0, mirrored: false },
  };
  const matrix = placementMatrix(placement, input, alignment);
  const seen = transformedKeypoints(inSample, matrix, cocoSkeleton, false);
  const places = isMirrored ? mirroredJoints(cocoSkeleton) : cocoSkeleton.joints.map((_, joint) => joint);
  const joints = places.flatMap((joint) => {
    const [x, y, visibility] = seen.slice(3 * joint, 3 * joint + 3);
    return [isMirrored && visibility > 0 ? 63 - x : x, y, visibility];
  });
  return heatMapTargets(joints, { kind, input, map: [16, 16], sigma: 1 }).maps;
}

/** Runs an evaluation with maps for each sample in turn; of a second look the maps of the mirrored input. */
async function withMaps(
  { task, evaluations }: OpenedTask,
  maps: (sample: PersonSample, isMirrored: boolean) => Float32Array,
  which = 0,
) {
  const evaluation = evaluations[which] as Evaluation<PersonSample>;
  const { source } = evaluation;
  const samples: PersonSample[] = [];
  for (let index = 0; index < source.count; index++) samples.push(await source.read(index));
  let [at, last]: [number, TensorData | undefined] = [0, undefined];
  const run = async ({ input }: Tensors) => {
    const isMirrored = last !== undefined && isMirrorImage(input, last);
    last = isMirrored ? undefined : input;
    const sample = samples[isMirrored ? at - 1 : at++];
    const data = Float32Array.from(maps(sample, isMirrored));
    const loss: TensorData = { type: "float32", shape: [], data: Float32Array.of(0) };
    return { loss, "predicted.maps": { type: "float32", shape: [1, 17, 16, 16], data } as TensorData };
  };
  return evaluate(evaluation, task as never, { batchSize: 1, run });
}

function isMirrorImage({ shape, data }: TensorData, other: TensorData): boolean {
  const width = shape[3];
  return data.every((value, at) => value === other.data[at - (at % width) + width - 1 - (at % width)]);
}

describe("the flip test", () => {
  test("with udp an ideal network finds the same as without, and a shift is wrong", async () => {
    const of = async (flipTest: "off" | "auto" | "shift" | "no-shift") =>
      (await withMaps(await opened({ flipTest }), (sample, mirrored) => ideal(sample, "udp", mirrored)))
        .metrics;
    const off = await of("off");
    assert.equal(off.pck, 1);
    assert.deepEqual(await of("no-shift"), off);
    assert.deepEqual(await of("auto"), off);
    assert.ok((await of("shift")).averagePrecision < off.averagePrecision);
  });

  test("with plain alignment joints are off by 3/8 of a pixel of the maps without the shift, by 1/8 with it", async () => {
    const map = 1.25 / 16;
    const errorOf = async (flipTest: "auto" | "shift" | "no-shift") => {
      const { predictions } = await withMaps(
        await opened({ flipTest, targets: "exact", refinement: "dark" }),
        (sample, mirrored) => ideal(sample, "exact", mirrored),
      );
      assert.ok(predictions);
      const errors: number[] = [];
      for (const { image_id, keypoints } of JSON.parse(predictions())) {
        const own = annotated.annotations[image_id - 1];
        const pixel = map * Math.max(own.bbox[2] - 1, own.bbox[3] - 1);
        for (let at = 0; at < 51; at += 3)
          if (own.keypoints[at + 2] > 0) errors.push((keypoints[at] - own.keypoints[at]) / pixel);
      }
      return errors.toSorted((a, b) => a - b)[errors.length >> 1];
    };
    // p' = 63 − p lies at 16 − 1/4 − u of the maps, which mirrored back is u − 3/4; the mean is half of that.
    assert.ok(Math.abs((await errorOf("no-shift")) + 3 / 8) < 0.03);
    assert.ok(Math.abs((await errorOf("shift")) - 1 / 8) < 0.03);
    assert.equal(await errorOf("auto"), await errorOf("shift"));
  });
});

describe("the boxes of a detector", () => {
  /** The annotated boxes, cut as training cuts them, with scores. */
  const boxes = (scores: readonly number[]) =>
    annotated.annotations.map(({ image_id, bbox: [x, y, width, height] }, index) => ({
      ...{ image_id, category_id: 1, bbox: [x, y, width - 1, height - 1], score: scores[index] },
    }));
  const equal = new Array(people).fill(0.5);
  const file = join(root, "boxes.json");
  const measured = async (given: object[], maps = (sample: PersonSample) => ideal(sample, "udp")) => {
    writeFileSync(file, JSON.stringify(given));
    const task = await opened({ boxes: file });
    assert.equal(task.evaluations.length, 2);
    return withMaps(task, maps, 1);
  };

  test("that are the annotated ones find what these find", async () => {
    const { metrics } = await measured(boxes(equal));
    assert.deepEqual(Object.keys(metrics), ["givenBoxesPrecision", "givenBoxesRecall"]);
    const own = (await withMaps(await opened({}), (sample) => ideal(sample, "udp"))).metrics;
    assert.deepEqual(
      [metrics.givenBoxesPrecision, metrics.givenBoxesRecall],
      [own.averagePrecision, own.averageRecall],
    );
    assert.equal(metrics.givenBoxesPrecision, 1);
  });

  test("a person without a box is missed: AP ends at the recall", async () => {
    const { metrics } = await measured(boxes(equal).slice(1));
    // Precision is 1 at the recalls 0, 0.01, …, 0.87 of 101.
    assert.ok(Math.abs(metrics.givenBoxesPrecision - 88 / 101) < 1e-12);
    assert.ok(Math.abs(metrics.givenBoxesRecall - 7 / 8) < 1e-12);
  });

  test("a box of nothing with the best score costs its share of precision, with the worst none", async () => {
    // As large as a pixel, at a corner that no person is near.
    const wrong = (score: number) => ({ image_id: 1, category_id: 1, bbox: [0, 0, 1, 1], score });
    const corner = heatMapTargets(new Array(17).fill([9, 9, 2]).flat(), {
      ...{ kind: "udp", input: [64, 64], map: [16, 16], sigma: 1 },
    } as const).maps;
    const maps = (sample: PersonSample) => (sample.box.data[2] === 1 ? corner : ideal(sample, "udp"));
    const first = await measured([...boxes(equal), wrong(0.9)], maps);
    assert.ok(Math.abs(first.metrics.givenBoxesPrecision - people / (people + 1)) < 1e-12);
    assert.equal((await measured([...boxes(equal), wrong(0.1)], maps)).metrics.givenBoxesPrecision, 1);
    // Two boxes of one person are one person.
    const [again] = boxes(equal);
    assert.equal((await measured([...boxes(equal), again])).metrics.givenBoxesPrecision, 1);
  });

  test("a person's score is that of the box times the mean of its joints' above 0.2", async () => {
    const scores = equal.map((_, index) => (index + 1) / 10);
    const { predictions } = await measured(boxes(scores), (sample) => {
      // The maps of a quarter of the joints have maxima of at most 0.2, the others' 0.5.
      return ideal(sample, "udp").map((value, at) => value * (Math.floor(at / 256) % 4 === 0 ? 0.2 : 0.5));
    });
    assert.ok(predictions);
    for (const { image_id, score } of JSON.parse(predictions()))
      assert.ok(Math.abs(score / scores[image_id - 1] - 0.5) < 0.06, `${score}`);
  });

  test("that no evaluation can use are refused in a sentence", async () => {
    const refused = async (content: string, message: RegExp) => {
      writeFileSync(file, content);
      await assert.rejects(opened({ boxes: file }), { name: "UserError", message });
    };
    await refused(
      "[]",
      /^.*boxes\.json has no box of the category 1 \(person\); name the results of a detector$/,
    );
    await refused(JSON.stringify([{ ...boxes(equal)[0], category_id: 2 }]), /has no box of the category 1/);
    await refused(
      JSON.stringify([{ ...boxes(equal)[0], bbox: [1, 1, 0, 5] }]),
      /^.*result 1 has a box of no size, \[1, 1, 0, 5\]; leave it out$/,
    );
    await refused("[{", /^.*boxes\.json is cut short/);
    await assert.rejects(opened({ boxes: join(root, "none.json") }), {
      name: "UserError",
      message: `there is no file ${join(root, "none.json")}`,
    });
    const generated = await loadPeople({ train: 4, test: 2, size: 64 });
    await assert.rejects(opened({ boxes: file }, generated), {
      message: `pose.boxes names ${file}, and people is no folder in COCO's format, whose pictures it could belong to; leave it out`,
    });
  });
});

test("a box in a picture that is not there is refused when it is read", async () => {
  const images = [
    ...(annotated.images as object[]),
    { id: 99, file_name: "none.png", width: 64, height: 64 },
  ];
  writeFileSync(annotationFile, JSON.stringify({ ...annotated, images }));
  const data = await loadCocoPersons(folder, { size: 64, cacheFolder });
  writeFileSync(annotationFile, JSON.stringify(annotated));
  const file = join(root, "stray.json");
  writeFileSync(file, JSON.stringify([{ image_id: 99, category_id: 1, bbox: [0, 0, 9, 9], score: 1 }]));
  const [, given] = (await opened({ boxes: file }, data)).evaluations;
  await assert.rejects(async () => given.source.read(0), {
    name: "UserError",
    message: `${file}: of the pictures with boxes 1 file cannot be used: ${join(folder, "val", "none.png")} (it does not exist); correct or remove them`,
  });
  data.close();
});

describe("predictions in COCO's format", () => {
  /** The folder with a crowd, a person without labelled joints and a picture without persons beside the others. */
  async function crowded(): Promise<{ data: Record<"train" | "test", Persons>; text: string }> {
    const [one, two] = annotated.annotations;
    const blank = { num_keypoints: 0, keypoints: new Array(51).fill(0) };
    const more = [
      { ...two, ...blank, id: 100, image_id: 1, iscrowd: 1 },
      { ...one, ...blank, id: 101, image_id: 2 },
      { ...two, id: 102, image_id: 3 },
    ];
    const text = JSON.stringify({ ...annotated, annotations: [...annotated.annotations, ...more] });
    writeFileSync(annotationFile, text);
    const data = await loadCocoPersons(folder, { size: 64, cacheFolder });
    writeFileSync(annotationFile, JSON.stringify(annotated));
    return { data, text };
  }

  test("give other tools the numbers that were reported, to the last bit", async () => {
    const { data, text } = await crowded();
    // The maps of some persons are worse than those of others.
    const maps = (sample: PersonSample) => {
      const own = ideal(sample, "udp");
      const shift = sample.picture.data[0] % 3;
      return own.map((_, at) => 0.9 * (own[at + shift] ?? 0) + 0.02);
    };
    const { metrics, predictions } = await withMaps(await opened({}, data), maps);
    assert.ok(predictions);
    assert.ok(metrics.averagePrecision > 0.2 && metrics.averagePrecision < 0.95);
    const results = JSON.parse(predictions()) as Record<string, unknown>[];
    assert.deepEqual(Object.keys(results[0]), ["image_id", "category_id", "keypoints", "score"]);
    const truth = readCocoKeypoints(text, "annotations");
    const { statistics } = evaluatePoses({
      images: truth.pictures.map(({ id }) => id),
      truth: truth.persons,
      detections: results.map(({ image_id, ...rest }) => ({ image: image_id, ...rest })) as never,
      sigmas: cocoSkeleton.sigmas,
    });
    assert.deepEqual([statistics.AP, statistics.AR], [metrics.averagePrecision, metrics.averageRecall]);
  });

  test("count what samples leave out: of two persons in a picture one is found twice, the other missed", async () => {
    const { data } = await crowded();
    // In picture 3 two persons are annotated, and the ideal network finds the first in both boxes: one is left, and missed.
    const { metrics } = await withMaps(await opened({}, data), (sample) => ideal(sample, "udp"));
    assert.ok(Math.abs(metrics.averageRecall - people / (people + 1)) < 1e-9);
  });

  test("of generated people belong to the folder that they are written as", async () => {
    const generated = await loadPeople({ train: 4, test: people, size: 64 });
    const { metrics, predictions } = await withMaps(await opened({}, generated), (sample) =>
      ideal(sample, "udp"),
    );
    assert.ok(predictions);
    const truth = readCocoKeypoints(JSON.stringify(annotated), "annotations");
    const { statistics } = evaluatePoses({
      images: truth.pictures.map(({ id }) => id),
      truth: truth.persons,
      detections: JSON.parse(predictions()).map(({ image_id, ...rest }: { image_id: number }) => {
        return { image: image_id, ...rest };
      }),
      sigmas: cocoSkeleton.sigmas,
    });
    assert.equal(metrics.averagePrecision, 1);
    assert.equal(statistics.AP, 1);
  });
});

describe("skeletons of a document", () => {
  test("PCKh is measured by the joints at the ends of the head, and left out, which is said, without them", async () => {
    const maps = (sample: PersonSample) => {
      const own = ideal(sample, "udp");
      return own.map((_, at) => own[at + 1 + (sample.picture.data[0] % 4)] ?? 0);
    };
    const joints = [...cocoSkeleton.joints];
    const task = await opened({ skeleton: { joints, head: ["left_shoulder", "left_hip"] } });
    const { metrics, details, predictions } = await withMaps(task, maps);
    assert.ok(details && predictions);
    // From the written file: of persons whose left shoulder and hip are labelled.
    let [correct, labelled] = [0, 0];
    for (const { image_id, keypoints } of JSON.parse(predictions())) {
      const truth = annotated.annotations[image_id - 1].keypoints;
      if (!(truth[17] > 0 && truth[35] > 0)) continue;
      const head = Math.hypot(truth[33] - truth[15], truth[34] - truth[16]);
      for (let at = 0; at < 51; at += 3) {
        if (!(truth[at + 2] > 0)) continue;
        labelled++;
        if (Math.hypot(keypoints[at] - truth[at], keypoints[at + 1] - truth[at + 1]) <= 0.5 * head) correct++;
      }
    }
    assert.ok(correct > 0 && correct < labelled);
    assert.ok(Math.abs(metrics.pckh - correct / labelled) < 1e-12);
    const [table] = (await details()).tables;
    assert.deepEqual(
      table.columns.map(({ name }) => name),
      ["pck", "pck02", "pckh"],
    );
    const without = await withMaps(await opened({}), maps);
    assert.equal(without.metrics.pckh, undefined);
    assert.ok(without.details);
    const [plain] = (await without.details()).tables;
    assert.equal(plain.columns.length, 2);
    assert.match(plain.note ?? "", /^PCKh is left out: the skeleton does not state the ends of the head/);
  });

  test("MPII's names of the head's ends are known", async () => {
    const joints = cocoSkeleton.joints.map((name) =>
      name === "left_eye" ? "head_top" : name === "right_eye" ? "upper_neck" : name,
    );
    const renamed = { train: { ...persons.train, joints }, test: { ...persons.test, joints } };
    await assert.doesNotReject(opened({}, renamed));
    await assert.rejects(opened({ skeleton: { joints, head: ["nose", "chin"] } }, renamed), {
      message: /^the skeleton has no joint "chin", which head names/,
    });
    await assert.rejects(opened({ skeleton: { joints, head: ["nose", "nose"] } }, renamed), {
      message: "the skeleton's head is from nose to itself; name two joints",
    });
  });

  test("sigmas that nobody states are COCO's by name, else 0.05, which one note says", async () => {
    const own = join(root, "own");
    await writeCocoFolder(own, await loadPeople({ train: 4, test: 2, size: 64 }));
    for (const split of ["train", "val"]) {
      const path = join(own, "annotations", `person_keypoints_${split}.json`);
      writeFileSync(
        path,
        readFileSync(path, "utf8").replace("left_wrist", "tail").replace("right_wrist", "fin"),
      );
    }
    const data = await loadCocoPersons(own, { size: 64, cacheFolder });
    const { joints } = data.train;
    assert.deepEqual((await opened({}, data)).notes, [
      "no sigma is known for tail, fin: OKS and AP take 0.05; name sigmas in the skeleton to change it",
    ]);
    const stated = { joints: [...joints], sigmas: { tail: 0.1, fin: 0.1 } };
    assert.deepEqual((await opened({ skeleton: stated }, data)).notes, []);
    assert.deepEqual((await opened({})).notes, []);
  });
});

test("some of the persons are measured against these alone, and boxes of whole pictures do not belong to them", async () => {
  const some = selected(persons.test, [1, 3]);
  const { metrics } = await withMaps(await opened({}, { ...persons, test: some }), (sample) =>
    ideal(sample, "udp"),
  );
  // Against all annotated persons, two of them would be a recall of at most a quarter.
  assert.ok(metrics.averageRecall > 0.5, String(metrics.averageRecall));
  assert.equal(some.withBoxes, undefined);
});
