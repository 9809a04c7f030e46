import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { UserError } from "../../common/errors.ts";
import type { MaskPair } from "../packed-masks.ts";
import { byCodePoint } from "./class-parts.ts";
import { colorTable, isColor } from "./mask-colors.ts";
import { classNamesIn, filesIn, linesOf, namesIn } from "./mask-folder.ts";
import { type MaskList, type MaskSplitOptions, withTestPart } from "./mask-list.ts";

// Folders in Pascal VOC's format: `JPEGImages`, `SegmentationClass` with a palette PNG for each picture that has a mask, and
// the names of each part in `ImageSets/Segmentation`.

/** The classes of the folders that Pascal VOC publishes, by the indices of their palette. */
const vocClasses = [
  ...["background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"],
  ...["diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"],
  "tvmonitor",
];

const published = /^VOC20\d\d$/i;
const masksName = "SegmentationClass";
const imagesName = "JPEGImages";

/**
 * The folder in VOC's format that a folder is, or that lies in it as the published archives are packed:
 * `VOCdevkit/VOC2012`.
 * @throws UserError where it holds several years
 */
export async function findVoc(folder: string): Promise<string | undefined> {
  const names = await namesIn(folder);
  if (names.includes(masksName)) return folder;
  const years = names.filter((name) => published.test(name)).sort(byCodePoint);
  if (years.length > 1)
    throw new UserError(
      `${folder} holds ${years.join(" and ")}; name one of them, such as ${join(folder, years[0])}`,
    );
  const [inner] = years.length === 1 ? years : names.filter((name) => name === "VOCdevkit");
  return inner === undefined ? undefined : findVoc(join(folder, inner));
}

/**
 * Lists a folder in VOC's format. The names of the classes are those of `classes.txt`, `class_names.txt` or CVAT's
 * `labelmap.txt`, which also says their colors; else those of VOC in a folder named as a published one.
 *
 * `train.txt` is for training, or else `trainval.txt`, or every mask; `val.txt` and `test.txt` are the other parts. A list
 * without a single mask is passed over: the published test pictures have none.
 * @throws UserError for a name without its picture or mask, and for one that is listed twice
 */
export async function listVocFolder(
  folder: string,
  { log, ...options }: MaskSplitOptions & { log?: (line: string) => void },
): Promise<MaskList> {
  const files = {
    images: await filesIn(join(folder, imagesName)),
    masks: await filesIn(join(folder, masksName)),
  };
  const lists = join(folder, "ImageSets", "Segmentation");
  const lines = async (name: string) => {
    const text = await readFile(join(lists, `${name}.txt`), "utf8").catch(() => undefined);
    return text === undefined ? undefined : linesOf(text);
  };
  const listed = new Map<string, string>();
  const pairs = async (name: string): Promise<MaskPair[] | undefined> => {
    const names = await lines(name);
    if (names === undefined || names.length === 0) return undefined;
    const file = join(lists, `${name}.txt`);
    if (name !== "train" && !names.some((each) => files.masks.has(each))) {
      log?.(`${file} names no picture with a mask; it is left out`);
      return undefined;
    }
    for (const each of names) {
      const other = listed.get(each);
      if (other !== undefined)
        throw new UserError(
          `${each} is listed ${other === file ? `twice in ${file}` : `in both ${other} and ${file}`}; remove one of the lines`,
        );
      listed.set(each, file);
    }
    return names.map((each) => pairOf(each, { folder, file, files }));
  };
  const train = (await pairs("train")) ?? ((await lines("val")) ? undefined : await pairs("trainval"));
  const everything = () => [...files.masks.keys()].map((each) => pairOf(each, { folder, files }));
  const [validation, test] = [await pairs("val"), await pairs("test")];
  if (train === undefined && (validation ?? test) !== undefined)
    throw new UserError(`${lists} has no train.txt; add it, with a name for each line`);
  const parts = withTestPart({ train: train ?? everything(), validation, test }, folder, options);
  return { ...(await namesOf(folder)), ...parts };
}

interface Files {
  images: ReadonlyMap<string, string>;
  masks: ReadonlyMap<string, string>;
}

/** @param file the list that names it; left out: it is the name of a mask */
function pairOf(
  name: string,
  { folder, file, files }: { folder: string; file?: string; files: Files },
): MaskPair {
  const [image, mask] = [files.images.get(name), files.masks.get(name)];
  const who = file === undefined ? join(folder, masksName, mask ?? name) : `${name} in ${file}`;
  if (image === undefined)
    throw new UserError(
      `${who} has no picture ${join(folder, imagesName, `${name}.jpg`)}; add it, or remove the ${file ? "line" : "mask"}`,
    );
  if (mask === undefined)
    throw new UserError(
      `${who} has no mask ${join(folder, masksName, `${name}.png`)}; add it, or remove the line`,
    );
  return { image: join(folder, imagesName, image), mask: join(folder, masksName, mask) };
}

async function namesOf(
  folder: string,
): Promise<Pick<MaskList, "classNames" | "colors" | "ignoredColor" | "namedIn">> {
  const names = await namesIn(folder);
  if (names.includes("labelmap.txt")) return labelMap(join(folder, "labelmap.txt"));
  const own = await classNamesIn(folder, names);
  return own.classNames || !published.test(basename(folder)) ? own : { classNames: vocClasses };
}

/** The color of 255 in VOC's palette. */
const vocIgnored = "#e0e0c0";

/** CVAT's `name:red,green,blue:parts:actions`, a line for each class; `ignored` are pixels of no class. */
async function labelMap(namedIn: string) {
  const lines = linesOf(await readFile(namedIn, "utf8")).filter((line) => !line.startsWith("#"));
  const entries = lines.map((line) => {
    const [, name, ...levels] = /^(.+?):(\d+),(\d+),(\d+)(?::|$)/.exec(line) ?? [];
    const color = `#${levels.map((level) => Number(level).toString(16).padStart(2, "0")).join("")}`;
    if (name === undefined || !isColor(color))
      throw new UserError(
        `${namedIn} has the line "${line}"; name:red,green,blue was expected, such as cat:0,128,0`,
      );
    return { name, color };
  });
  const classes = entries.filter(({ name }) => name !== "ignored");
  const { color: ignoredColor } = entries.find(({ name }) => name === "ignored") ?? { color: vocIgnored };
  const table = colorTable(Object.fromEntries(classes.map(({ name, color }) => [name, color])), namedIn);
  const isClass = table.colors.includes(ignoredColor);
  return { ...table, namedIn, ...(!isClass && { ignoredColor }) };
}
