import { UserError } from "../../common/errors.ts";
import type { ImageClasses } from "../../data/source.ts";

/**
 * How much each class counts in the training loss.
 * - `none`: all samples alike.
 * - `balanced`: all classes alike, n/(k·n_c) for a class that has n_c of the n samples of k classes (scikit-learn).
 * - by name: these, and 1 for classes that are not named.
 */
export type ClassWeights = "none" | "balanced" | Readonly<Record<string, number>>;

/**
 * A weight for each class, scaled so that the mean over the samples is 1: a weighted mean is the same in any scale.
 * Nothing where all samples count alike.
 * @throws UserError for the name of a class that there is not, and where no sample would count
 */
export function weightOfClasses(
  weights: ClassWeights,
  { name, classNames, labels }: Pick<ImageClasses, "name" | "classNames" | "labels">,
): readonly number[] | undefined {
  return weightsByCounts(weights, { name, classNames, counts: classCounts(labels, classNames.length) });
}

/**
 * The same by how many samples each class has.
 * @throws UserError as {@link weightOfClasses} does
 */
export function weightsByCounts(
  weights: ClassWeights,
  { name, classNames, counts }: { name: string; classNames: readonly string[]; counts: readonly number[] },
): readonly number[] | undefined {
  if (weights === "none") return undefined;
  const given = weights === "balanced" ? balancedWeights(counts) : namedWeights(weights, classNames, name);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const mean = given.reduce((sum, weight, index) => sum + weight * counts[index], 0) / total;
  if (mean === 0)
    throw new UserError(
      `classWeights gives 0 to every class that ${name} has images of; give at least one of them more than 0`,
    );
  return given.map((weight) => weight / mean);
}

/** What results say of the weights, where there are any. */
export function statedWeights(weights: ClassWeights): { classWeights?: string } {
  if (weights === "none") return {};
  return { classWeights: typeof weights === "string" ? weights : JSON.stringify(weights) };
}

/** How many of the labels are of each class. */
export function classCounts(labels: Iterable<number>, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label]++;
  return counts;
}

/** A class without samples has the weight 1, which only label smoothing makes a difference with. */
function balancedWeights(counts: readonly number[]): number[] {
  const samples = counts.reduce((sum, count) => sum + count);
  const present = counts.filter((count) => count > 0).length;
  return counts.map((count) => (count > 0 ? samples / (present * count) : 1));
}

/** Names in a sentence: all, or the first of many. */
function someOf(names: readonly string[], most = 20): string {
  if (names.length <= most) return names.join(", ");
  return `${names.slice(0, most).join(", ")} and ${names.length - most} more`;
}

function namedWeights(
  weights: Readonly<Record<string, number>>,
  classNames: readonly string[],
  data: string,
): number[] {
  const unknown = Object.keys(weights).find((name) => !classNames.includes(name));
  if (unknown !== undefined)
    throw new UserError(`classWeights: ${data} has no class "${unknown}"; choose from ${someOf(classNames)}`);
  return classNames.map((name) => (Object.hasOwn(weights, name) ? weights[name] : 1));
}
