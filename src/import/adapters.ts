import type { Adapter } from "./adapter.ts";
import { arithmeticAdapters } from "./arithmetic-adapters.ts";
import { poolingAdapters } from "./pooling-adapters.ts";
import { quantizationAdapters } from "./quantization-adapters.ts";
import { trainingAdapters } from "./training-adapters.ts";

/**
 * Operators that files have in another form than `src/ops`, or that are something else while training. All others are
 * built as they stand.
 */
export const adapters: Readonly<Record<string, Adapter>> = {
  ...arithmeticAdapters,
  ...trainingAdapters,
  ...quantizationAdapters,
  ...poolingAdapters,
};
