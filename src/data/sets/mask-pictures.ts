import { createHash } from "node:crypto";
import { relative } from "node:path";
import { UserError } from "../../common/errors.ts";
import type { ColorClasses, MaskValue } from "../mask-file.ts";
import { type ImageMasks, ignoredClass } from "../masks.ts";
import type { PackedFiles } from "../packed-files.ts";
import { normalizationOf } from "../packed-images.ts";
import { type MaskFacts, type MaskPair, packMasks } from "../packed-masks.ts";
import { hexColor } from "./mask-colors.ts";
import type { MaskList } from "./mask-list.ts";
import { type PictureSetOptions, packedOrRefused } from "./packed-set.ts";

// Listed pictures with masks as sources: decoded once, all parts in one file, normalized as the training part is. Every
// mask is checked before anything is trained.

/**
 * The parts of a list as images with masks of one size. Says which share of the training pixels each class has.
 * @throws UserError naming files that cannot be used, the first mask with a value that is no class, a part without
 *   pictures, and a training part with fewer than two classes
 */
export async function loadMaskPictures(
  list: MaskList,
  options: PictureSetOptions,
): Promise<{ train: ImageMasks; validation?: ImageMasks; test: ImageMasks; close(): void }> {
  const { name, form, log } = options;
  const pairs = distinctPairs(list);
  const colors = list.colors && colorClasses(list.colors, list.ignoredColor);
  const packed = await packedOrRefused((packing) => packMasks(pairs, { ...packing, colors }), options);
  const positions = new Map(packed.kept.map((place, position) => [pairs[place].mask, position]));
  const part = (own: readonly MaskPair[]) =>
    Int32Array.from(own.flatMap(({ mask }) => positions.get(mask) ?? []));
  const parts = { train: part(list.train), validation: part(list.validation), test: part(list.test) };
  for (const which of ["train", "test"] as const)
    if (parts[which].length === 0)
      throw new UserError(
        `${name} has no ${which === "train" ? "training" : "test"} picture that can be read`,
      );
  const classNames = list.classNames ?? numbersIn(packed.facts);
  const maskAt = (position: number) => relative(name, pairs[packed.kept[position]].mask);
  requireClasses(packed.facts, classNames, { name, maskAt, namedIn: list.namedIn });
  const shares = sharesOf(
    Array.from(parts.train, (position) => packed.facts[position]),
    classNames,
  );
  requireTwo(shares, classNames, name);
  log?.(shareText(shares, classNames, { name, pictures: parts.train.length }));
  const empty = [...packed.facts.keys()].filter((position) =>
    packed.facts[position].values.every(([value]) => value === ignoredClass),
  );
  if (empty.length > 0) log?.(emptyText(empty.map(maskAt), name));
  const { channels, height, width } = form;
  const sums = packed.facts.map((facts) => facts.sums);
  const description = {
    ...{ name, classNames, channels, height, width, fit: form.fit, maximum: 255 },
    ...normalizationOf(sums, parts.train, { channels, pixels: height * width }),
  };
  const source = (own: Int32Array) => maskSource(packed, own, description);
  return {
    train: source(parts.train),
    ...(parts.validation.length > 0 && { validation: source(parts.validation) }),
    test: source(parts.test),
    close: packed.close,
  };
}

/** In an order that does not depend on the parts, so that another share for testing finds the same pixels. */
function distinctPairs({ train, validation, test }: MaskList): MaskPair[] {
  const pairs = new Map([...train, ...validation, ...test].map((pair) => [pair.mask, pair]));
  return [...pairs.keys()].sort().map((mask) => pairs.get(mask) as MaskPair);
}

function colorClasses(colors: readonly string[], ignoredColor: string | undefined): ColorClasses {
  const classes = colors.map((color, number) => [hexColor(color), number] as const);
  return new Map(ignoredColor === undefined ? classes : [...classes, [hexColor(ignoredColor), ignoredClass]]);
}

function maskSource(
  packed: PackedFiles<MaskFacts>,
  positions: Int32Array,
  description: Omit<ImageMasks, "count" | "read" | "fingerprint" | "classShare" | "classPixels">,
): ImageMasks {
  const { channels, height, width } = description;
  const plane = height * width;
  const classPixels = new Array<number>(description.classNames.length).fill(0);
  for (const position of positions)
    for (const [value, pixels] of packed.facts[position].pixels)
      if (value !== ignoredClass) classPixels[value] += pixels;
  const known = classPixels.reduce((sum, pixels) => sum + pixels, 0);
  const fingerprint = createHash("sha256").update(packed.key).update(positions).digest("hex").slice(0, 32);
  return {
    ...{ ...description, fingerprint, count: positions.length, classPixels },
    classShare: known / (positions.length * plane),
    read: (index) => {
      const bytes = packed.read(positions[index]);
      return {
        image: { type: "uint8", shape: [channels, height, width], data: bytes.subarray(0, channels * plane) },
        mask: { type: "uint8", shape: [height, width], data: bytes.subarray(channels * plane) },
      };
    },
  };
}

/** As many numbers as there are classes in the masks. */
function numbersIn(facts: readonly MaskFacts[]): string[] {
  let largest = 0;
  for (const { values } of facts)
    for (const [value] of values) if (value !== ignoredClass) largest = Math.max(largest, value);
  return Array.from({ length: largest + 1 }, (_, index) => String(index));
}

/** @throws UserError naming the first mask with a value that is no class, and where in it the value is */
function requireClasses(
  facts: readonly MaskFacts[],
  { length }: readonly string[],
  { name, maskAt, namedIn }: { name: string; maskAt: (position: number) => string; namedIn?: string },
): void {
  const isWrong = ([value]: MaskValue) => value >= length && value !== ignoredClass;
  const position = facts.findIndex(({ values }) => values.some(isWrong));
  if (position < 0) return;
  const { values } = facts[position];
  const [value, pixels, row, column] = values.find(isWrong) as MaskValue;
  const total = values.reduce((sum, [, count]) => sum + count, 0);
  const others = facts.filter((own) => own.values.some(isWrong)).length - 1;
  throw new UserError(
    `${name}: the mask ${maskAt(position)} has the value ${value} in row ${row + 1}, column ${column + 1} (${pixels} of ${total} pixels${others > 0 ? `; ${others} other ${others === 1 ? "mask has" : "masks have"} such values` : ""}); there are ${length} classes (0 … ${length - 1}) and ${ignoredClass} for pixels of none, so correct the mask, or name the class${namedIn ? ` in ${namedIn}` : ""}`,
  );
}

interface Shares {
  /** Pixels of each class in the files. */
  classes: Float64Array;
  /** Pixels of no class. */
  ignored: number;
}

function sharesOf(facts: readonly MaskFacts[], { length }: readonly string[]): Shares {
  const classes = new Float64Array(length);
  let ignored = 0;
  for (const { values } of facts)
    for (const [value, pixels] of values) {
      if (value === ignoredClass) ignored += pixels;
      else classes[value] += pixels;
    }
  return { classes, ignored };
}

/** @throws UserError for training masks with fewer than two classes, with what may be meant */
function requireTwo({ classes, ignored }: Shares, classNames: readonly string[], name: string): void {
  const present = Array.from(classes.keys()).filter((number) => classes[number] > 0);
  if (present.length >= 2) return;
  const [only] = present;
  const [first, second] = classNames.length === 2 ? classNames : ["background", "object"];
  const isBinary = only === 0 && ignored > 0 && classNames.length <= 2;
  const advice = isBinary
    ? `; ${ignoredClass} is for pixels of no class, and if it stands for class 1 here, say so with --mask-color ${first}=#000000 --mask-color ${second}=#ffffff`
    : "";
  throw new UserError(
    `${name}: the training masks hold ${only === undefined ? "no class" : `no class but ${only}${classNames[only] === String(only) ? "" : ` (${classNames[only]})`}`}${ignored > 0 && only !== undefined ? `, and ${ignoredClass}` : ""}${advice}; segmentation needs two classes or more`,
  );
}

/** Classes that the line about shares names. */
const namedClasses = 30;

function shareText(
  { classes, ignored }: Shares,
  classNames: readonly string[],
  { name, pictures }: { name: string; pictures: number },
): string {
  const total = classes.reduce((sum, pixels) => sum + pixels, ignored);
  const share = (pixels: number) => `${((100 * pixels) / total).toFixed(1)} %`;
  const named = classNames.slice(0, namedClasses).map((own, number) => `${own} ${share(classes[number])}`);
  const more = classNames.length > namedClasses ? [`and ${classNames.length - namedClasses} more`] : [];
  const none = ignored > 0 ? [`no class ${share(ignored)}`] : [];
  return `${name}: ${pictures.toLocaleString("en")} training pictures; share of pixels: ${[...named, ...more, ...none].join(", ")}`;
}

/** Masks that are named. */
const namedMasks = 3;

function emptyText(masks: readonly string[], name: string): string {
  const [have, their] =
    masks.length === 1 ? ["mask has", "its picture adds"] : ["masks have", "their pictures add"];
  const more = masks.length > namedMasks ? `, and ${masks.length - namedMasks} more` : "";
  return `${name}: ${masks.length} ${have} no pixel of any class (all ${ignoredClass}), so that ${their} nothing to the loss: ${masks.slice(0, namedMasks).join(", ")}${more}`;
}
