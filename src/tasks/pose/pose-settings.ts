import * as z from "zod";
import { flags } from "../../common/flags.ts";

// The settings of pose estimation.

const name = z.string().min(1);
const namePair = z.tuple([name, name]);

/** A skeleton in a document, by names of joints. */
export const skeletonSettings = z.strictObject({
  joints: z.array(name).min(1).describe("Names of the joints, in the order of the data."),
  pairs: z
    .array(namePair)
    .optional()
    .describe(
      "Joints that change places in a mirrored picture. Left out: those whose names differ by `left` and `right` only.",
    ),
  limbs: z.array(namePair).optional().describe("Joints that a drawing connects. Left out: the data's own."),
  sigmas: z
    .record(name, z.number().positive())
    .optional()
    .describe("Sigmas of OKS, of single joints. Left out: COCO's by name, else 0.05."),
  upperBody: z
    .array(name)
    .optional()
    .describe("Joints above the waist, for half-body crops. Left out: those of COCO by name."),
  head: namePair
    .optional()
    .describe(
      "The two joints at the ends of the head, whose distance PCKh measures by. Left out: `head_top` and `upper_neck` (or `neck`), where there are such.",
    ),
});

export type SkeletonSettings = z.infer<typeof skeletonSettings>;

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
