import { join } from "#platform";
import { UserError } from "../../common/errors.ts";
import { randomStream } from "../../common/random.ts";
import { imageExtensions } from "../image-form.ts";

// Pictures by class and part, wherever they are listed: which classes there are, which files belong to them, and what is for
// training and testing.

/** A picture file and the number of its class. */
export interface ListedImage {
  path: string;
  class: number;
}

/** Files of a data set by part, not decoded yet. */
export interface ImageList {
  classNames: readonly string[];
  train: readonly ListedImage[];
  /** Empty where the folders or the list name none. */
  validation: readonly ListedImage[];
  test: readonly ListedImage[];
}

export interface SplitOptions {
  /** Share of each class that is for testing, where no folder says so. Default 0.2. */
  testShare?: number;
  /** Decides which. Default 1. */
  seed?: number;
}

const partNames = {
  train: ["train", "training"],
  validation: ["val", "valid", "validation"],
  test: ["test", "testing"],
} as const;
type Part = keyof typeof partNames;
const parts = ["train", "validation", "test"] as const satisfies readonly Part[];

/** Folders and the pictures below them. */
export interface PictureTree {
  /** Names of the folders in a folder. */
  folders(folder: string): Promise<string[]>;
  /** Paths of the pictures in a folder and in those inside it, sorted by code point. */
  pictures(folder: string): Promise<string[]>;
}

/**
 * Lists pictures by class: one folder per class, or `train`, `val` and `test` folders that hold one folder per class.
 * Without a test folder, `val` is the test set; without either, a share of each class is drawn by the seed. Classes are
 * sorted by code point and numbered from 0, as Python's tools do. Folders inside a class belong to it.
 *
 * @throws UserError naming the folder: no classes, a class without pictures, a class that training does not have,
 *   classes that differ by case only
 */
export async function listClassTree(
  tree: PictureTree,
  folder: string,
  options: SplitOptions = {},
): Promise<ImageList> {
  const entries = await tree.folders(folder);
  const { train, ...others } = partFolders(folder, entries);
  if (train === undefined) {
    const { classNames, images } = await listClasses(tree, folder, entries);
    return { classNames, validation: [], ...stratifiedSplit(images, classNames, options) };
  }
  const { classNames, images } = await listClasses(tree, train, await tree.folders(train));
  const held: Record<"validation" | "test", readonly ListedImage[]> = { validation: [], test: [] };
  for (const part of ["validation", "test"] as const) {
    const place = others[part];
    if (place !== undefined) held[part] = await listKnownClasses(tree, place, classNames);
  }
  if (held.test.length > 0) return { classNames, train: images, ...held };
  if (held.validation.length > 0) return { classNames, train: images, validation: [], test: held.validation };
  return { classNames, validation: [], ...stratifiedSplit(images, classNames, options) };
}

/**
 * The folders of the parts.
 * @param names of the folders in a folder
 * @throws UserError for two folders of one part
 */
export function partFolders(folder: string, names: readonly string[]): Partial<Record<Part, string>> {
  const found: Partial<Record<Part, string>> = {};
  for (const part of parts) {
    const own = names.filter((name) => (partNames[part] as readonly string[]).includes(name.toLowerCase()));
    if (own.length > 1)
      throw new UserError(`${folder} has the folders ${own.join(" and ")}; keep one of them`);
    if (own.length === 1) found[part] = join(folder, own[0]);
  }
  return found;
}

/**
 * A share of each class for testing, drawn by the seed: at least one picture of each class in both parts.
 * @throws UserError naming a class of one picture
 */
export function stratifiedSplit(
  images: readonly ListedImage[],
  classNames: readonly string[],
  { testShare = 0.2, seed = 1 }: SplitOptions = {},
): { train: ListedImage[]; test: ListedImage[] } {
  if (!(testShare > 0 && testShare < 1))
    throw new UserError(`the share of test pictures is ${testShare}; choose a number between 0 and 1`);
  const classes: ListedImage[][] = classNames.map(() => []);
  for (const image of images) classes[image.class].push(image);
  const chosen = new Set<ListedImage>();
  for (const [number, name] of classNames.entries()) {
    const own = classes[number];
    if (own.length < 2)
      throw new UserError(
        `class "${name}" has ${own.length} picture; it needs two or more, one of them to test on`,
      );
    const count = Math.min(own.length - 1, Math.max(1, Math.round(own.length * testShare)));
    const order = randomStream(seed, "test share", number).permutation(own.length);
    for (const index of order.subarray(0, count)) chosen.add(own[index]);
  }
  return {
    train: images.filter((image) => !chosen.has(image)),
    test: images.filter((image) => chosen.has(image)),
  };
}

/** Order of Python's `sorted`: by code points, not by language, and not by JavaScript's halves of code points. */
export function byCodePoint(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const [left, right] = [a.charCodeAt(at), b.charCodeAt(at)];
    if (left !== right) return inOrder(left) - inOrder(right);
  }
  return a.length - b.length;
}

/** Surrogates, which stand for the code points above 0xffff, after all other units. */
function inOrder(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** @throws UserError for two names that differ by case only, which file systems and people confuse */
export function checkClassNames(names: readonly string[], where: string): void {
  const seen = new Map<string, string>();
  for (const name of names) {
    const folded = name.toLowerCase();
    const other = seen.get(folded);
    if (other !== undefined)
      throw new UserError(`${where}: the classes "${other}" and "${name}" differ by case only; rename one`);
    seen.set(folded, name);
  }
}

async function listClasses(tree: PictureTree, folder: string, names: readonly string[]) {
  if (names.length < 2)
    throw new UserError(
      `${folder} has ${names.length === 0 ? "no folder" : `one folder, ${names[0]}`}; a data set needs two classes or more, each a folder of pictures`,
    );
  const classNames = names.toSorted(byCodePoint);
  checkClassNames(classNames, folder);
  const images: ListedImage[] = [];
  for (const [number, name] of classNames.entries()) {
    const files = await tree.pictures(join(folder, name));
    if (files.length === 0) throw new UserError(`class "${name}" in ${folder} has no pictures`);
    for (const path of files) images.push({ path, class: number });
  }
  return { classNames, images };
}

/** The pictures of a test or validation folder, whose classes have to be those of training. */
async function listKnownClasses(
  tree: PictureTree,
  folder: string,
  classNames: readonly string[],
): Promise<ListedImage[]> {
  const names = await tree.folders(folder);
  const unknown = names.find((name) => !classNames.includes(name));
  if (unknown !== undefined)
    throw new UserError(
      `${folder} has the class "${unknown}", which the training folder lacks; it has ${classNames.join(", ")}`,
    );
  const images: ListedImage[] = [];
  for (const [number, name] of classNames.entries()) {
    if (!names.includes(name)) continue;
    for (const path of await tree.pictures(join(folder, name))) images.push({ path, class: number });
  }
  if (images.length === 0) throw new UserError(`${folder} has no pictures`);
  return images;
}

/** Whether a name is a picture's that is looked at in folders. Hidden files, and macOS's `._*`, are none. */
export function isPicture(name: string): boolean {
  const extension = /.(\.[^.]+)$/.exec(name)?.[1] ?? "";
  return !name.startsWith(".") && imageExtensions.has(extension.toLowerCase());
}
