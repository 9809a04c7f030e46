import { ignoredClass } from "../../data/masks.ts";

// How often pixels of each class were taken for each other class, and what follows from it.

/** Pixels by true and by predicted class. Pixels of no class are left out of everything. */
export class Confusion {
  readonly classes: number;
  /** [classes][classes + 1]; the last column: classes that a network has and the data do not. */
  readonly counts: Float64Array;

  constructor(classes: number) {
    this.classes = classes;
    this.counts = new Float64Array(classes * (classes + 1));
  }

  /**
   * Counts the pixels of a mask.
   * @param truth classes, or {@link ignoredClass}
   * @param predicted classes, of which those from `start` on are the mask's
   */
  add(truth: ArrayLike<number>, predicted: ArrayLike<number>, start = 0): void {
    const { classes, counts } = this;
    for (let at = 0; at < truth.length; at++) {
      const own = truth[at];
      if (own === ignoredClass) continue;
      counts[own * (classes + 1) + Math.min(predicted[start + at], classes)]++;
    }
  }

  /** Adds the pixels of another one. */
  addAll({ counts }: Confusion): void {
    for (const [at, count] of counts.entries()) this.counts[at] += count;
  }

  /** Pixels of a true class that were taken for another, or for itself. */
  of(truth: number, predicted: number): number {
    return this.counts[truth * (this.classes + 1) + predicted];
  }

  /** The pixels of each class. */
  classOverlaps(): ClassOverlap[] {
    const numbers = Array.from({ length: this.classes }, (_, index) => index);
    return numbers.map((own) => {
      const both = this.of(own, own);
      const pixels = sum([...numbers, this.classes].map((other) => this.of(own, other)));
      const predicted = sum(numbers.map((other) => this.of(other, own)));
      return {
        ...{ pixels, predicted },
        iou: ratio(both, pixels + predicted - both),
        dice: ratio(2 * both, pixels + predicted),
        recall: ratio(both, pixels),
        precision: ratio(both, predicted),
      };
    });
  }
}

/** How well the pixels of a class are found; `null`: not defined, where there are none. */
export interface ClassOverlap {
  /** Pixels that are of the class, and that are taken for it. */
  pixels: number;
  predicted: number;
  /** Intersection over union of these. */
  iou: number | null;
  /** 2 · intersection / (pixels + predicted) */
  dice: number | null;
  /** Share of the class's pixels that are taken for it. */
  recall: number | null;
  /** Share of the pixels taken for the class that are of it. */
  precision: number | null;
}

/** Means over the classes. `null`: there is nothing to measure. */
export interface OverlapScores {
  pixelAccuracy: number | null;
  /** Over the classes in masks or predictions, as mmsegmentation and torchmetrics compute it. */
  meanIou: number | null;
  meanDice: number | null;
  /** Mean recall of the classes in masks. */
  meanClassAccuracy: number | null;
  /** Of classes weighted by their pixels. */
  frequencyWeightedIou: number | null;
  /** Mean IoU by other conventions: absent classes count as 0 or 1, or only some classes count. */
  meanIouAbsentAsZero: number;
  meanIouAbsentAsOne: number;
  meanIouOfClassesInTruth: number | null;
  meanIouWithoutClass0: number | null;
}

export function overlapScores(confusion: Confusion): OverlapScores {
  const classes = confusion.classOverlaps();
  const ious = classes.map(({ iou }) => iou);
  const total = sum(classes.map(({ pixels }) => pixels));
  const right = sum(classes.map((_, own) => confusion.of(own, own)));
  const weighted = classes.map(({ iou, pixels }) => (iou ?? 0) * pixels);
  return {
    pixelAccuracy: ratio(right, total),
    meanIou: meanOf(ious),
    meanDice: meanOf(classes.map(({ dice }) => dice)),
    meanClassAccuracy: meanOf(classes.map(({ recall }) => recall)),
    frequencyWeightedIou: ratio(sum(weighted), total),
    meanIouAbsentAsZero: sum(ious.map((iou) => iou ?? 0)) / ious.length,
    meanIouAbsentAsOne: sum(ious.map((iou) => iou ?? 1)) / ious.length,
    meanIouOfClassesInTruth: meanOf(classes.filter(({ pixels }) => pixels > 0).map(({ iou }) => iou)),
    meanIouWithoutClass0: meanOf(ious.slice(1)),
  };
}

/** Over the values that are defined. */
function meanOf(values: readonly (number | null)[]): number | null {
  const defined = values.filter((value) => value !== null);
  return ratio(sum(defined), defined.length);
}

function ratio(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
