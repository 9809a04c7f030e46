import { UserError } from "../../common/errors.ts";
import { randomStream } from "../../common/random.ts";
import type { MaskPair } from "../packed-masks.ts";

/** Pictures with masks by part, not decoded yet. */
export interface MaskList {
  /** In the order of their numbers. Absent: the numbers in the masks are the names. */
  classNames?: readonly string[];
  /** The color of each class, where the masks hold colors. */
  colors?: readonly string[];
  /** The color of pixels of no class, where the masks hold colors. */
  ignoredColor?: string;
  /** Where the names of the classes stand, for messages. */
  namedIn?: string;
  train: readonly MaskPair[];
  /** Empty where no folder or list is for it. */
  validation: readonly MaskPair[];
  test: readonly MaskPair[];
}

export interface MaskSplitOptions {
  /** Share of the pairs that is for testing, where no folder or list says so. Default 0.2. */
  testShare?: number;
  /** Decides which. Default 1. */
  seed?: number;
}

/**
 * The parts by the pairs that folders or lists name: without a test part, the validation part is the test set; without
 * either, a share is drawn by the seed.
 * @throws UserError when a share leaves one of the parts empty
 */
export function withTestPart(
  { train, validation, test }: Pick<MaskList, "train"> & Partial<MaskList>,
  folder: string,
  { testShare = 0.2, seed = 1 }: MaskSplitOptions,
): Pick<MaskList, "train" | "validation" | "test"> {
  if (test) return { train, validation: validation ?? [], test };
  if (validation) return { train, validation: [], test: validation };
  if (!(testShare > 0 && testShare < 1))
    throw new UserError(`the share of test pictures is ${testShare}; choose a number between 0 and 1`);
  const order = randomStream(seed, "test share").permutation(train.length);
  const count = Math.round(testShare * train.length);
  if (count === 0 || count === train.length)
    throw new UserError(
      `${folder} has ${train.length} images, of which a share of ${testShare} leaves none for training or testing; add images, or choose another share`,
    );
  const tested = new Set(order.subarray(0, count));
  return {
    train: train.filter((_, index) => !tested.has(index)),
    validation: [],
    test: train.filter((_, index) => tested.has(index)),
  };
}
