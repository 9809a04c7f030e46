import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { loadDigits } from "./digits.ts";
import { loadFashionMnist } from "./fashion-mnist.ts";
import type { DatasetPair } from "./source.ts";
import type { LoadOptions } from "./sources.ts";

// Data sets by name.

export const datasetNames = ["fashion-mnist", "digits"] as const;

/**
 * Loads the training and the test part of a data set: `"fashion-mnist"` (60,000 + 10,000 images of 28×28, from the
 * cache, a folder or the network; see fashion-mnist.ts) or `"digits"` (1,437 + 360 images of 8×8, part of this
 * package; see digits.ts).
 *
 * @throws UserError when there is no such data set or the user's folder holds a damaged file
 * @throws DatasetUnavailable when it is available nowhere, e.g. without network
 * @example const { train, test } = await loadDataset("fashion-mnist", { log: console.error });
 */
export async function loadDataset(name: string, options: LoadOptions = {}): Promise<DatasetPair> {
  readOptions("loadDataset", options, {
    dataDirectory: "text",
    log: "function",
    signal: "object",
    onProgress: "function",
  });
  switch (name) {
    case "fashion-mnist":
      return loadFashionMnist(options);
    case "digits":
      return loadDigits();
    default:
      throw new UserError(`there is no data set "${name}"; choose one of ${datasetNames.join(", ")}`);
  }
}
