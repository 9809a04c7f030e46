import type { Persons } from "../../data/persons.ts";
import type { Keypoints } from "../../data/sets/coco-keypoints.ts";
import type { DetailSamples, Details } from "../details.ts";
import type { CorrectKeypoints } from "./pck.ts";
import type { PoseForm } from "./pose-form.ts";
import { withSkeleton } from "./skeleton-drawing.ts";

/** What a network found of a person. */
export interface FoundPerson {
  /** x, y and score, joint after joint, in pixels of the sample. */
  joints: Keypoints;
  /** Mean distance of labelled joints, as a share of the longer side of the box. */
  error: number;
}

const shownSamples = 8;
/** Pictures in a report are at least so high. */
const shownHeight = 180;

/** The share of each joint that was found, and the best, median and worst persons with what was found drawn over them. */
export async function poseDetails(
  source: Persons,
  form: PoseForm,
  {
    found,
    tenth,
    fifth,
    halfHead,
  }: { found: readonly FoundPerson[] } & Record<"tenth" | "fifth" | "halfHead", CorrectKeypoints>,
): Promise<Details> {
  const { head } = form.skeleton;
  const nameOf = (joint: number) => source.joints[joint].replaceAll("_", " ");
  const order = [...found.keys()].sort((a, b) => found[a].error - found[b].error || a - b);
  const middle = Math.max(0, Math.floor(order.length / 2) - shownSamples / 2);
  const groups = [
    { id: "worst", title: "Persons with the largest errors", places: order.slice(-shownSamples).reverse() },
    { id: "median", title: "Persons in the middle", places: order.slice(middle, middle + shownSamples) },
    { id: "best", title: "Persons with the smallest errors", places: order.slice(0, shownSamples) },
  ];
  const samples: DetailSamples[] = [];
  for (const { id, title, places } of groups) {
    const items = [];
    for (const index of places)
      items.push({
        index,
        values: [found[index].error],
        picture: await pictureOf(source, form, index, found[index].joints),
      });
    samples.push({
      ...{ id, title, items },
      note: "The joints that were found of the test persons: the person's left side in orange, its right side in blue.",
      columns: [
        {
          name: "error",
          label: "mean error",
          unit: "%",
          better: "lower",
          meaning: "mean distance of labelled joints, as a share of the longer side of the box",
        },
      ],
    });
  }
  return {
    tables: [
      {
        id: "joints",
        title: "Joints",
        rowsAre: "joint",
        ...(!head && {
          note: "PCKh is left out: the skeleton does not state the ends of the head (pose.skeleton.head).",
        }),
        compared: "pck",
        columns: [
          {
            name: "pck",
            label: "PCK@0.1",
            unit: "%",
            better: "higher",
            meaning: "share found within a tenth of the longer side of the person's box",
          },
          {
            name: "pck02",
            label: "PCK@0.2",
            unit: "%",
            better: "higher",
            meaning: "the same within a fifth",
          },
          ...(head
            ? [
                {
                  name: "pckh",
                  label: "PCKh@0.5",
                  unit: "%" as const,
                  better: "higher" as const,
                  meaning: `share found within half the distance of ${nameOf(head[0])} and ${nameOf(head[1])}`,
                },
              ]
            : []),
        ],
        rows: source.joints.map((_, joint) => ({
          name: nameOf(joint),
          values: [tenth, fifth, ...(head ? [halfHead] : [])].map(({ perJoint }) => perJoint[joint] ?? null),
        })),
      },
    ],
    matrices: [],
    samples,
  };
}

/** Joints that are labelled or of which the network is sure are drawn. */
const leastScore = 0.1;

async function pictureOf(source: Persons, { skeleton }: PoseForm, index: number, joints: Keypoints) {
  const { image, keypoints } = await source.read(index);
  const [channels, height, width] = image.shape;
  return withSkeleton({ channels, height, width, data: image.data }, joints, skeleton, {
    factor: Math.max(1, Math.ceil(shownHeight / height)),
    isShown: (joint) => keypoints.data[3 * joint + 2] > 0 || joints[3 * joint + 2] >= leastScore,
  });
}
