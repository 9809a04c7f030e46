import type { ImageMasks, MaskSample } from "../../data/masks.ts";
import type { Tensors } from "../../onnx/tensor.ts";
import type { Details } from "../details.ts";
import type { Evaluation, Metric } from "../task.ts";
import { Confusion, overlapScores } from "./confusion.ts";
import { maskDetails } from "./mask-details.ts";
import { ShownMasks } from "./shown-masks.ts";

/** How well the classes of pixels are found: mean IoU, pixel accuracy and Dice over all pixels, each class, some pictures. */
export function maskEvaluation(source: ImageMasks): Evaluation<MaskSample> {
  return { source, metric: () => new MaskMetric(source) };
}

class MaskMetric implements Metric<MaskSample> {
  private readonly source: ImageMasks;
  private readonly whole: Confusion;
  private readonly shown: ShownMasks;
  private seen = 0;

  constructor(source: ImageMasks) {
    this.source = source;
    this.whole = new Confusion(source.classNames.length);
    this.shown = new ShownMasks(source.count);
  }

  add(predictions: Tensors, samples: readonly MaskSample[]): void {
    const data = predictions.class.data as Int32Array;
    let at = 0;
    for (const { mask } of samples) {
      const own = new Confusion(this.whole.classes);
      own.add(mask.data, data, at);
      this.whole.addAll(own);
      const [from, to] = [at, at + mask.data.length];
      this.shown.add(this.seen++, overlapScores(own).meanIou, () =>
        Uint8Array.from({ length: to - from }, (_, pixel) => Math.min(data[from + pixel], 254)),
      );
      at = to;
    }
  }

  /** Those that are defined. */
  result(): Record<string, number> {
    const { meanIou, pixelAccuracy, meanDice } = overlapScores(this.whole);
    return {
      ...(meanIou !== null && { meanIou }),
      ...(pixelAccuracy !== null && { pixelAccuracy }),
      ...(meanDice !== null && { meanDice }),
    };
  }

  details(): Promise<Details> {
    return maskDetails(this.source, this.whole, this.shown);
  }
}
