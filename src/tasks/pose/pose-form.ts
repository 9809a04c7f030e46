import * as z from "zod";
import { UserError } from "../../common/errors.ts";
import { flags } from "../../common/flags.ts";
import type { PersonSample, Persons } from "../../data/persons.ts";
import type { Refinement } from "./decoding.ts";
import { checkPoseAugmentation, type PoseAugmentation } from "./pose-augmentation.ts";
import { type Alignment, type Region, regionOf, type Size } from "./region.ts";
import { type Skeleton, skeletonOf, skeletonSettings } from "./skeleton.ts";
import type { TargetKind } from "./targets.ts";

// The settings of pose estimation, and what they are for certain data.

const share = z.number().min(0).max(1);

export const poseSettings = {
  pose: z
    .strictObject({
      aspect: z
        .number()
        .positive()
        .default(1)
        .describe("Width of the network's input over its height, which is the image size."),
      padding: z
        .number()
        .positive()
        .default(1.25)
        .describe("How much larger than the person's box the part is that the network sees."),
      targets: z
        .enum(["rounded", "exact", "udp"])
        .default("udp")
        .describe(
          "Where a heat map has its maximum; `rounded`: at a pixel (SimpleBaseline); `exact`: where the joint is (DarkPose); `udp`: so in units of the distance between pixels.",
        ),
      sigma: z
        .number()
        .positive()
        .default(1)
        .describe("Deviation of the heat maps' Gaussians, in their pixels."),
      loss: z
        .enum(["gaussian", "labelled-mean", "mean", "half-mean"])
        .default("gaussian")
        .describe(
          "What squared errors are divided by; `gaussian`: the squares of a Gaussian, per labelled joint; `labelled-mean`: the pixels of labelled joints; `mean`: all pixels; `half-mean`: twice that (SimpleBaseline).",
        ),
      refinement: z
        .enum(["argmax", "quarter", "dark"])
        .optional()
        .describe("How the place of a maximum is refined. Left out: as the targets need it."),
      flipTest: z
        .enum(["off", "auto", "shift", "no-shift"])
        .optional()
        .describe(
          "Whether evaluation takes the mean of the heat maps of a person and of its mirror image, which takes twice as long; `shift`: those of the mirror image are moved by a pixel, as `rounded` and `exact` targets need it; `no-shift`: as `udp` needs it; `auto`: as the targets need it. Left out: off.",
        ),
      boxes: z
        .string()
        .min(1)
        .optional()
        .describe(
          "Boxes that a detector found in the test pictures, a file in COCO's format of results: AP and AR are measured with them as well. Left out: with annotated boxes only.",
        )
        .register(flags, { value: "<file>" }),
      augmentation: z
        .strictObject({
          flip: share.optional().describe("Probability that left and right are exchanged."),
          scale: share.optional().describe("Deviation of the factor that a person is scaled by."),
          rotation: z.number().min(0).max(180).optional().describe("Deviation of the angle, in degrees."),
          halfBody: share
            .optional()
            .describe("Probability that only the upper or the lower half of a person is shown."),
        })
        .default({})
        .register(flags, { prefix: "pose" }),
      skeleton: skeletonSettings
        .optional()
        .describe("Pairs, limbs and sigmas of joints. Left out: by the names of the joints.")
        .register(flags, { flags: "none" }),
    })
    .prefault({})
    .register(flags, { group: "Data", prefix: "pose" }),
};

export type PoseSettings = z.infer<z.ZodObject<typeof poseSettings>>["pose"];

/** How persons become inputs and maps, and maps joints. */
export interface PoseForm {
  skeleton: Skeleton;
  input: Size;
  map: Size;
  alignment: Alignment;
  padding: number;
  targets: TargetKind;
  sigma: number;
  loss: PoseSettings["loss"];
  refinement: Refinement;
  /** Absent: no flip test. */
  flipTest?: { shift: boolean };
  augmentation: PoseAugmentation;
}

/** Pixels of the input for one of the maps, along each axis. */
export const stride = 4;

/** Networks of this form halve their input so often that its sides are multiples of this. */
const sideOf = 16;

const refinements: Record<TargetKind, Refinement> = { rounded: "quarter", exact: "dark", udp: "dark" };

/**
 * @param warn gets a sentence where sigmas are guessed
 * @throws UserError for a skeleton of other joints, and for augmentation that it does not allow
 */
export function poseForm(
  { size, joints, limbs }: Persons,
  own: PoseSettings,
  warn: (sentence: string) => void,
): PoseForm {
  const { aspect, targets, refinement = refinements[targets], augmentation, padding, sigma, loss } = own;
  if (own.skeleton && own.skeleton.joints.join() !== joints.join())
    throw new UserError(
      `pose.skeleton names the joints ${own.skeleton.joints.join(", ")}; the data have ${joints.join(", ")}, in this order`,
    );
  const byName = {
    joints: [...joints],
    limbs: limbs.map(([a, b]) => [joints[a], joints[b]] as [string, string]),
  };
  const skeleton = skeletonOf({ ...byName, ...own.skeleton }, warn);
  checkPoseAugmentation(augmentation, skeleton);
  const alignment = targets === "udp" ? "udp" : "plain";
  const { flipTest = "off" } = own;
  const input = [Math.max(sideOf, sideOf * Math.round((size * aspect) / sideOf)), size] as const;
  return {
    ...{ skeleton, input, targets, refinement, augmentation, padding, sigma, loss },
    map: [input[0] / stride, input[1] / stride],
    alignment,
    ...(flipTest !== "off" && {
      flipTest: { shift: flipTest === "auto" ? alignment === "plain" : flipTest === "shift" },
    }),
  };
}

/** The part of its picture that the network sees of a person. */
export function personRegion({ box }: Pick<PersonSample, "box">, { input, padding }: PoseForm): Region {
  const [left, top, width, height] = box.data;
  return regionOf([left, top, width, height], input, padding);
}
