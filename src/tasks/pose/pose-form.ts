import { UserError } from "../../common/errors.ts";
import type { PersonSample, Persons } from "../../data/persons.ts";
import type { Refinement } from "./decoding.ts";
import { checkPoseAugmentation, type PoseAugmentation } from "./pose-augmentation.ts";
import type { PoseSettings } from "./pose-settings.ts";
import { type Alignment, type Region, regionOf, type Size } from "./region.ts";
import { type Skeleton, skeletonOf } from "./skeleton.ts";
import type { TargetKind } from "./targets.ts";

// What the settings of pose estimation are for certain data.

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
