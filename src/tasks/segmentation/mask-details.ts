import { type ImageMasks, ignoredClass } from "../../data/masks.ts";
import type { DetailMatrix, DetailSamples, Details, DetailTable, LegendEntry, Picture } from "../details.ts";
import { enlarged } from "../enlarged.ts";
import { classColors, colorText } from "./class-colors.ts";
import { type Confusion, overlapScores } from "./confusion.ts";
import { besideEachOther, withClasses } from "./overlay.ts";
import type { ShownMask, ShownMasks } from "./shown-masks.ts";

/** Most classes for which all pairs of classes are shown. */
const mostClassesInMatrix = 30;
/** Each part of a shown picture is at least so high. */
const shownHeight = 120;

/** Each class's overlap, mean IoU by its conventions, which classes are taken for which, and the best and worst pictures. */
export async function maskDetails(
  source: ImageMasks,
  confusion: Confusion,
  shown: ShownMasks,
): Promise<Details> {
  const { classNames } = source;
  const chosen = shown.chosen();
  const titles = {
    worst: "Pictures with the lowest mean IoU",
    median: "Pictures in the middle",
    best: "Pictures with the highest mean IoU",
  };
  const samples: DetailSamples[] = [];
  for (const kind of ["worst", "median", "best"] as const)
    samples.push(await samplesOf(source, chosen[kind], { id: kind, title: titles[kind] }));
  return {
    tables: [classTable(classNames, confusion), conventionTable(confusion)],
    matrices: classNames.length <= mostClassesInMatrix ? [confusionMatrix(classNames, confusion)] : [],
    samples: samples.filter(({ items }) => items.length > 0),
  };
}

function classTable(classNames: readonly string[], confusion: Confusion): DetailTable {
  const classes = confusion.classOverlaps();
  const total = classes.reduce((sum, { pixels }) => sum + pixels, 0);
  const share = (name: string, label: string, meaning: string) =>
    ({ name, label, unit: "%", better: "higher", meaning }) as const;
  return {
    id: "classes",
    title: "By class",
    rowsAre: "class",
    compared: "iou",
    columns: [
      { name: "pixels", label: "share of pixels", unit: "%", meaning: "of all pixels with a class" },
      share("iou", "IoU", "intersection over union of the pixels of the class and those taken for it"),
      share("dice", "Dice", "2 · intersection / (pixels of the class + pixels taken for it), also called F1"),
      share("recall", "recall", "share of the pixels of the class that are taken for it"),
      share("precision", "precision", "share of the pixels taken for the class that are of it"),
    ],
    rows: classes.map(({ pixels, iou, dice, recall, precision }, index) => ({
      name: classNames[index],
      values: [total > 0 ? pixels / total : null, iou, dice, recall, precision],
    })),
  };
}

/** Programs differ in what a class that is not there counts. */
function conventionTable(confusion: Confusion): DetailTable {
  const scores = overlapScores(confusion);
  return {
    id: "conventions",
    title: "Mean IoU by convention",
    note: "From one matrix over all pixels. A run's mean IoU is the first; the others are for comparison with programs that count classes differently.",
    rowsAre: "classes that count",
    columns: [{ name: "meanIou", label: "mean IoU", unit: "%", better: "higher" }],
    rows: [
      { name: "those in masks or predictions (mmsegmentation, torchmetrics)", values: [scores.meanIou] },
      { name: "those in masks", values: [scores.meanIouOfClassesInTruth] },
      { name: "those in masks or predictions, without the first", values: [scores.meanIouWithoutClass0] },
      { name: "all, 0 for a class that is in neither", values: [scores.meanIouAbsentAsZero] },
      { name: "all, 1 for a class that is in neither", values: [scores.meanIouAbsentAsOne] },
      { name: "all, weighted by their pixels", values: [scores.frequencyWeightedIou] },
    ],
  };
}

function confusionMatrix(classNames: readonly string[], confusion: Confusion): DetailMatrix {
  const rows = classNames.map((_, truth) =>
    Array.from({ length: classNames.length + 1 }, (_, predicted) => confusion.of(truth, predicted)),
  );
  const hasOthers = rows.some((row) => row[classNames.length] > 0);
  return {
    id: "confusion",
    title: "Confusion matrix",
    note: "In pixels. A row holds the pixels of one class, a column those taken for one class; right answers are on the diagonal.",
    rowsAre: "true class",
    columnsAre: "predicted class",
    rows: classNames,
    columns: hasOthers ? [...classNames, "classes of the network only"] : classNames,
    counts: hasOthers ? rows : rows.map((row) => row.slice(0, -1)),
  };
}

async function samplesOf(
  source: ImageMasks,
  masks: readonly ShownMask[],
  { id, title }: { id: string; title: string },
): Promise<DetailSamples> {
  const colors = classColors(source.classNames);
  const seen = new Set<number>();
  const items = [];
  for (const { index, score, predicted } of masks) {
    const { image, mask } = await source.read(index);
    const [channels, height, width] = image.shape;
    const picture = pictureOf(image.data, { channels, height, width, maximum: source.maximum });
    const factor = Math.max(1, Math.round(shownHeight / height));
    for (const value of [...mask.data, ...predicted]) seen.add(value);
    items.push({
      index,
      values: [score],
      picture: besideEachOther([
        enlarged(picture, factor),
        withClasses(picture, mask.data, colors, factor),
        withClasses(picture, predicted, colors, factor),
      ]),
    });
  }
  const legend = source.classNames.flatMap((label, index): LegendEntry[] => {
    const color = colors[index];
    if (!seen.has(index)) return [];
    return [color ? { label, color: colorText(color) } : { label }];
  });
  return {
    ...{ id, title, items },
    note: `From left to right: the picture, its mask, and what the network predicts.${seen.has(ignoredClass) ? " Striped pixels are of no class." : ""}`,
    columns: [
      {
        name: "meanIou",
        label: "mean IoU",
        unit: "%",
        better: "higher",
        meaning: "of this picture alone, over the classes in its mask or its prediction",
      },
    ],
    panels: 3,
    legend,
  };
}

/** An image of a data set as a picture, brought to 0 … 255; of one that is neither gray nor RGB its first channel. */
function pictureOf(
  data: Uint8Array,
  { channels, height, width, maximum }: { channels: number; height: number; width: number; maximum: number },
): Picture {
  const count = channels === 3 ? 3 : 1;
  const pixels = data.subarray(0, count * height * width);
  return { channels: count, height, width, data: pixels.map((value) => Math.round((255 * value) / maximum)) };
}
