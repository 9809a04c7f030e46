import * as z from "zod";
import { flags } from "../../common/flags.ts";

/**
 * The setting of class weights.
 * @param ofWhat added to the formula, where what has a class is no image
 */
export function classWeightsSetting(ofWhat = "") {
  return z
    .union([z.enum(["none", "balanced"]), z.record(z.string(), z.number().min(0))])
    .default("none")
    .describe(
      `How much each class counts in the training loss: \`balanced\`: n/(k·n_c) (scikit-learn)${ofWhat}; or weights by class name, 1 for classes that are not named. A batch's loss is the weighted mean (PyTorch). The test loss has no weights.`,
    )
    .register(flags, { group: "Training step" });
}
