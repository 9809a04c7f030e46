import type { ClassSample, ImageClasses } from "../../data/source.ts";
import type { DetailMatrix, Details, DetailTable, Picture } from "../details.ts";
import { classCounts } from "./class-weights.ts";

/** What a network said of samples, in the order of their source. */
export interface Answers {
  /** The class that each sample is labeled with. */
  given: number[];
  predicted: number[];
  /** −ln p of the given class. */
  losses: number[];
  /** Of the predicted class. */
  probabilities: number[];
}

/** Most classes for which all pairs of classes are shown; above it, the most confused ones. */
const mostClassesInMatrix = 30;
const shownPairs = 30;
const shownSamples = 20;

/** Precision, recall and F1 of each class, which classes are taken for which, and the samples with the highest loss. */
export async function classDetails(source: ImageClasses, answers: Answers): Promise<Details> {
  const confusions = countPairs(answers);
  const { classNames } = source;
  const isSmall = classNames.length <= mostClassesInMatrix;
  return {
    tables: [
      classTable(classNames, answers, confusions),
      ...(isSmall || !confusions.some(isWrong) ? [] : [pairTable(classNames, answers, confusions)]),
    ],
    matrices: isSmall ? [confusionMatrix(classNames, answers, confusions)] : [],
    samples: [
      {
        id: "worst",
        title: "Images with the highest loss",
        note: "The test images whose given class the network finds least probable: mistakes of the network, or of the labels.",
        columns: [
          { name: "given", label: "given", unit: "" },
          { name: "predicted", label: "predicted", unit: "" },
          { name: "probability", label: "probability", unit: "%", meaning: "of the predicted class" },
          { name: "loss", label: "loss", unit: "", meaning: "−ln p of the given class" },
        ],
        items: await worstSamples(source, answers),
      },
    ],
  };
}

/** Two classes, and how many samples labeled with the one were taken for the other. */
interface Pair {
  given: number;
  predicted: number;
  count: number;
}

const isWrong = ({ given, predicted }: Pair) => given !== predicted;

/** Every pair that occurs, the most frequent first, then in the order of the classes. */
function countPairs({ given, predicted }: Answers): Pair[] {
  const pairs = new Map<string, Pair>();
  for (const [index, target] of given.entries()) {
    const key = `${target},${predicted[index]}`;
    const pair = pairs.get(key) ?? { given: target, predicted: predicted[index], count: 0 };
    pair.count++;
    pairs.set(key, pair);
  }
  return [...pairs.values()].sort(
    (a, b) => b.count - a.count || a.given - b.given || a.predicted - b.predicted,
  );
}

/** A network may have more classes than the data name. */
function nameOf(classNames: readonly string[], index: number): string {
  return classNames[index] ?? `class ${index}`;
}

function classTable(
  classNames: readonly string[],
  { given, predicted }: Answers,
  pairs: readonly Pair[],
): DetailTable {
  const classes = Math.max(
    classNames.length,
    1 + predicted.reduce((most, index) => Math.max(most, index), 0),
  );
  const [counts, predictions] = [classCounts(given, classes), classCounts(predicted, classes)];
  const right = new Map(pairs.filter((pair) => !isWrong(pair)).map((pair) => [pair.given, pair.count]));
  const mistakes = new Map<number, Pair>();
  for (const pair of pairs) if (isWrong(pair) && !mistakes.has(pair.given)) mistakes.set(pair.given, pair);
  return {
    id: "classes",
    title: "By class",
    rowsAre: "class",
    compared: "recall",
    columns: [
      { name: "images", label: "images", unit: "" },
      {
        name: "precision",
        label: "precision",
        unit: "%",
        better: "higher",
        meaning: "share of the images predicted as this class that are of it",
      },
      {
        name: "recall",
        label: "recall",
        unit: "%",
        better: "higher",
        meaning: "share of the images of this class that are predicted as it",
      },
      {
        name: "f1",
        label: "F1",
        unit: "%",
        better: "higher",
        meaning: "harmonic mean of precision and recall",
      },
      { name: "mistaken", label: "most often mistaken for", unit: "" },
    ],
    rows: classNames.map((name, index) => {
      const [own, hits] = [counts[index], right.get(index) ?? 0];
      const mistake = mistakes.get(index);
      return {
        name,
        values: [
          own,
          ratio(hits, predictions[index]),
          ratio(hits, own),
          ratio(2 * hits, own + predictions[index]),
          mistake ? `${nameOf(classNames, mistake.predicted)} (${mistake.count})` : null,
        ],
      };
    }),
  };
}

/** Nothing where it is not defined. */
function ratio(part: number, whole: number): number | null {
  return whole > 0 ? part / whole : null;
}

function pairTable(classNames: readonly string[], { given }: Answers, pairs: readonly Pair[]): DetailTable {
  const counts = new Map<number, number>();
  for (const target of given) counts.set(target, (counts.get(target) ?? 0) + 1);
  return {
    id: "confused",
    title: "Most confused pairs of classes",
    rowsAre: "given class",
    columns: [
      { name: "predicted", label: "predicted class", unit: "" },
      { name: "images", label: "images", unit: "" },
      { name: "share", label: "share", unit: "%", meaning: "of the images of the given class" },
    ],
    rows: pairs
      .filter(isWrong)
      .slice(0, shownPairs)
      .map((pair) => ({
        name: nameOf(classNames, pair.given),
        values: [
          nameOf(classNames, pair.predicted),
          pair.count,
          ratio(pair.count, counts.get(pair.given) ?? 0),
        ],
      })),
  };
}

function confusionMatrix(
  classNames: readonly string[],
  { predicted }: Answers,
  pairs: readonly Pair[],
): DetailMatrix {
  const others = [...new Set(predicted)].filter((index) => index >= classNames.length).sort((a, b) => a - b);
  const columns = [...classNames.keys(), ...others];
  const counts = classNames.map(() => new Array<number>(columns.length).fill(0));
  for (const pair of pairs) counts[pair.given][columns.indexOf(pair.predicted)] = pair.count;
  return {
    id: "confusion",
    title: "Confusion matrix",
    note: "A row holds the images of one class, a column those predicted as one class; right answers are on the diagonal.",
    rowsAre: "given class",
    columnsAre: "predicted class",
    rows: classNames,
    columns: columns.map((index) => nameOf(classNames, index)),
    counts,
  };
}

/** The highest loss first; a loss that is not a number is higher than all. */
async function worstSamples(source: ImageClasses, { given, predicted, losses, probabilities }: Answers) {
  const height = (index: number) => (Number.isNaN(losses[index]) ? Number.POSITIVE_INFINITY : losses[index]);
  const order = [...losses.keys()].sort((a, b) => {
    const [first, second] = [height(a), height(b)];
    return first === second ? a - b : second - first;
  });
  const items = [];
  for (const index of order.slice(0, shownSamples)) {
    const { image } = await source.read(index);
    items.push({
      index,
      values: [
        nameOf(source.classNames, given[index]),
        nameOf(source.classNames, predicted[index]),
        finite(probabilities[index]),
        finite(losses[index]),
      ],
      picture: pictureOf(image, source.maximum),
    });
  }
  return items;
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** The pixels of an image, brought to 0 … 255; of one that is neither gray nor RGB its first channel. */
function pictureOf({ shape, data }: ClassSample["image"], maximum: number): Picture {
  const [count, height, width] = shape;
  const channels = count === 3 ? 3 : 1;
  const pixels = data.subarray(0, channels * height * width);
  return { channels, height, width, data: pixels.map((value) => Math.round((255 * value) / maximum)) };
}
