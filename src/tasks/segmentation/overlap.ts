import { ignoredClass, type MaskSample } from "../../data/masks.ts";
import type { Metric } from "../task.ts";

/**
 * Mean IoU and pixel accuracy of predicted classes [N, H, W], from one confusion matrix over all samples. Classes that
 * are neither in masks nor in predictions are left out of the mean, and pixels of no class out of everything. Without
 * any pixel there is nothing to report.
 */
export function overlap(classes: number): Metric<MaskSample> {
  const both = new Float64Array(classes);
  const [actual, predicted] = [new Float64Array(classes), new Float64Array(classes)];
  return {
    add: ({ class: { data } }, samples) => {
      let at = 0;
      for (const { mask } of samples) {
        for (const truth of mask.data) {
          const found = Number(data[at++]);
          if (truth === ignoredClass) continue;
          actual[truth]++;
          // A network may have more classes than the data.
          if (found < classes) predicted[found]++;
          if (found === truth) both[truth]++;
        }
      }
    },
    result: (): Record<string, number> => {
      const ious = Array.from(both, (right, index) => right / (actual[index] + predicted[index] - right));
      const present = ious.filter((iou) => !Number.isNaN(iou));
      if (present.length === 0) return {};
      const sum = (values: Iterable<number>) => Array.from(values).reduce((a, b) => a + b, 0);
      return { meanIou: sum(present) / present.length, pixelAccuracy: sum(both) / sum(actual) };
    },
  };
}
