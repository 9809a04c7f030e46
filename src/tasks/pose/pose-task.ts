import { UserError } from "../../common/errors.ts";
import { type PersonSample, type Persons, personsOf } from "../../data/persons.ts";
import { tensorData } from "../../onnx/tensor-data.ts";
import { mul } from "../../ops/arithmetic.ts";
import { reduceSum } from "../../ops/reduction.ts";
import { pixelRow, storedImages } from "../image-input.ts";
import type { DataPair, OpenedTask, Task } from "../task.ts";
import { warped } from "./affine.ts";
import { heatMapLoss } from "./heat-map-loss.ts";
import { drawPlacement } from "./pose-augmentation.ts";
import { poseEvaluations } from "./pose-evaluation.ts";
import { type PoseForm, personRegion, poseForm, stride } from "./pose-form.ts";
import type { PoseSettings } from "./pose-settings.ts";
import { placementMatrix, transformedKeypoints } from "./region.ts";
import { poseMetadata } from "./stated-pose.ts";
import { heatMapTargets } from "./targets.ts";

// Persons as samples: what of a picture a network sees, the heat maps it is trained for, the loss.

/** @throws UserError for test persons with other joints */
export function openPose(own: PoseSettings, data: Omit<DataPair, "validation">): OpenedTask<PersonSample> {
  const [train, test] = [personsOf(data.train), personsOf(data.test)];
  if (train.joints.join() !== test.joints.join())
    throw new UserError(
      `the test persons have the joints ${test.joints.join(", ")}, but the training persons ${train.joints.join(", ")}`,
    );
  const notes: string[] = [];
  const form = poseForm(train, own, (sentence) => notes.push(sentence));
  return { task: poseTask(train, form), train, evaluations: poseEvaluations(test, form, own.boxes), notes };
}

/** Pose estimation of persons like these. */
function poseTask(data: Persons, form: PoseForm): Task<PersonSample> {
  const { skeleton, input, map, alignment, sigma, loss: kind } = form;
  const { name, mean, deviation } = data;
  const [width, height] = input;
  const joints = skeleton.joints.length;
  const mapShape = [joints, map[1], map[0]];
  const stored = storedImages({ ...{ name, height, width, mean, deviation }, channels: 3, maximum: 255 });
  const countsLabelled = kind === "gaussian" || kind === "labelled-mean";
  return {
    ...stored,
    output: { name: "heatmaps", shape: mapShape, holds: "values" },
    targets: {
      target: { type: "float32", shape: mapShape },
      weight: { type: "float32", shape: [joints] },
    },
    metadata: {
      ...stored.metadata,
      ...poseMetadata({ ...skeleton, ...form, stride }),
    },
    lossSettings: { heatMapLoss: kind, sigma },
    row: (sample, random) => {
      const { image, keypoints } = sample;
      const [channels, rows, columns] = image.shape;
      const region = personRegion(sample, form);
      const person = { region, keypoints: Array.from(keypoints.data) };
      const placement = random
        ? drawPlacement(person, skeleton, form.augmentation, input, random())
        : { ...region, rotation: 0, mirrored: false };
      const matrix = placementMatrix(placement, input, alignment);
      const pixels = warped({ channels, height: rows, width: columns, data: image.data }, matrix, input);
      const seen = transformedKeypoints(person.keypoints, matrix, skeleton, placement.mirrored);
      const { maps, weights } = heatMapTargets(seen, { kind: form.targets, input, map, sigma });
      return {
        input: pixelRow({ shape: [channels, height, width], data: pixels }),
        target: tensorData(maps, mapShape, "float32"),
        weight: tensorData(weights, [joints], "float32"),
      };
    },
    loss: (output, { target, weight }) => heatMapLoss(output, target, weight, { kind, sigma }),
    ...(countsLabelled && { weight: ({ weight }) => mul(reduceSum(weight), 1 / data.labelled) }),
    predict: (output) => ({ maps: output }),
    batchMetrics: () => ({}),
  };
}
