import type { PersonSample } from "../../data/persons.ts";
import type { TaskKind } from "../task.ts";
import { poseSettings } from "./pose-settings.ts";

// Where the joints of a person are: a heat map for each joint of what is around the person's box.

export const pose: TaskKind<typeof poseSettings, PersonSample> = {
  name: "pose",
  settings: poseSettings,
  samples: "persons",
  defaults: { data: "people", images: { size: 96 }, model: "simple-baseline-small" },
  examples: "persons",
  evaluationSettings: ["pose.flipTest", "pose.boxes", "pose.refinement"],
  loss: { name: "heat map error", unit: "" },
  metrics: [
    {
      name: "pck",
      label: "test PCK@0.1",
      unit: "%",
      better: "higher",
      meaning: "share of the labelled joints found within a tenth of the longer side of the person's box",
    },
    {
      name: "pck02",
      label: "test PCK@0.2",
      unit: "%",
      better: "higher",
      meaning: "the same within a fifth",
    },
    {
      name: "pckh",
      label: "test PCKh@0.5",
      unit: "%",
      better: "higher",
      meaning: "share found within half the length of the head, where the skeleton states its ends",
    },
    {
      name: "averagePrecision",
      label: "test AP",
      unit: "%",
      better: "higher",
      meaning: "COCO's average precision by object keypoint similarity, with the annotated boxes",
    },
    {
      name: "averageRecall",
      label: "test AR",
      unit: "%",
      better: "higher",
      meaning: "COCO's average recall by object keypoint similarity, with the annotated boxes",
    },
    {
      name: "givenBoxesPrecision",
      label: "test AP, given boxes",
      unit: "%",
      better: "higher",
      meaning: "COCO's average precision with the boxes of a detector",
    },
    {
      name: "givenBoxesRecall",
      label: "test AR, given boxes",
      unit: "%",
      better: "higher",
      meaning: "COCO's average recall with the boxes of a detector",
    },
  ],
  async open({ pose: own }, data) {
    const { openPose } = await import("./pose-task.ts");
    return openPose(own, data);
  },
};
