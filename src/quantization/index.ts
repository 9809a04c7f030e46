// Trained float networks as networks of small integers.
export {
  type ActivationMethod,
  activationMethods,
} from "./activation-ranges.ts";
export type { Batches } from "./calibrate.ts";
export type { LayerBits, LayerChoices } from "./choices.ts";
export type { QuantizedLayerRecord, QuantizedModel } from "./insert.ts";
export {
  type QuantizeOptions,
  quantizeModel,
  type WeightRange,
  weightRanges,
} from "./quantize.ts";
export { type WeightMethod, weightMethods } from "./weight-scales.ts";
