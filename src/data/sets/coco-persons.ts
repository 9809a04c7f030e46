import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../common/errors.ts";
import { fileError } from "../../common/file-errors.ts";
import { describeBad } from "../bad-files.ts";
import { cacheDirectory } from "../files.ts";
import type { CacheOptions } from "../packed-files.ts";
import { measuredPersonsOf, type Persons } from "../persons.ts";
import { type CocoPart, readCocoFolder } from "./coco-folder.ts";
import type { CocoKeypoints, CocoPerson, TrainingPersons } from "./coco-keypoints.ts";
import { type PackedParts, packParts } from "./coco-parts.ts";
import { type DetectedBox, readDetectedBoxes } from "./coco-results.ts";
import { describeCache } from "./packed-set.ts";

// Persons of a folder in COCO's format as samples: of each the part of its picture around its box.

export interface CocoPersonsOptions extends Partial<CacheOptions> {
  /** Height of the network's input: parts are shrunk by a whole factor while they stay as large. Default 64. */
  size?: number;
  /** What to do about files that are no pictures: their persons are left out with `"skip"`. Default `"refuse"`. */
  onBadImage?: "refuse" | "skip";
  /** Gets a sentence for what is unusual in the annotations, and one for persons that are left out. */
  log?: (line: string) => void;
}

/**
 * The persons of a folder that there are to train and to test on. Pictures are decoded once, without applying the EXIF
 * orientation, into files in the cache that hold the part of each around each person.
 * @throws UserError naming the folder or file that cannot be used (`readCocoFolder`), a picture of another size than the
 *   annotations say, and damaged pictures unless they are to be skipped
 */
export async function loadCocoPersons(
  folder: string,
  options: CocoPersonsOptions = {},
): Promise<Record<"train" | "test", Persons> & { close(): void }> {
  const { size = 64, log = () => {}, cacheFolder = join(cacheDirectory(), "pictures") } = options;
  const { train, test } = await readCocoFolder(folder);
  for (const { keypoints, training } of [train, test]) {
    for (const warning of keypoints.warnings) log(warning);
    const left = leftOutOf(training);
    if (left !== undefined) log(`${keypoints.name}: ${left}`);
  }
  const opened: PackedParts[] = [];
  let decoded = false;
  const pack = async (part: CocoPart, persons: readonly CocoPerson[]) => {
    const onProgress = (...counts: [number, number]) => {
      decoded = true;
      options.onProgress?.(...counts);
    };
    const parts = await packParts(part, persons, { ...options, size, cacheFolder, onProgress });
    opened.push(parts);
    return parts;
  };
  const both = [
    { part: train, packed: await pack(train, train.training.persons) },
    { part: test, packed: await pack(test, test.training.persons) },
  ] as const;
  for (const { part, packed } of both) {
    const { bad, persons } = packed;
    const { name } = part.keypoints;
    if (bad.length > 0 && options.onBadImage !== "skip")
      throw new UserError(
        `${name}: ${describeBad(bad)}; correct or remove them, or skip them with --on-bad-image skip`,
      );
    if (bad.length > 0) log(`${name}: ${describeBad(bad)}; their persons are left out`);
    if (persons.length === 0) throw new UserError(`${name} has no person whose picture can be read`);
  }
  if (decoded) log(await describeCache(cacheFolder));
  const [{ packed: training }] = both;
  const statistics = await measuredPersonsOf({ count: training.persons.length, read: training.read });
  const [trained, tested] = both.map(({ part: coco, packed: { persons, read } }): Persons => {
    const { joints, limbs, pictures, category, persons: all } = coco.keypoints;
    const of = (cut: readonly CocoPerson[]) => ({
      ...{ name: folder, count: cut.length, size, joints, limbs, ...statistics },
      annotated: { category: category.id, pictures: pictures.map(({ id }) => id), persons: all },
      fingerprint: createHash("sha256")
        .update(JSON.stringify([size, joints, pictures, cut]))
        .digest("hex")
        .slice(0, 32),
    });
    return {
      ...of(persons),
      read,
      withBoxes: (file) => {
        const boxes = detectedBoxes(file, coco.keypoints);
        const cut = unlabelled(boxes, joints.length);
        let packing: ReturnType<typeof pack> | undefined;
        const readBox = async (index: number) => {
          packing ??= pack(coco, cut);
          const { bad, read: readPacked } = await packing;
          if (bad.length > 0)
            throw new UserError(
              `${file}: of the pictures with boxes ${describeBad(bad)}; correct or remove them`,
            );
          return readPacked(index);
        };
        return { ...of(cut), read: readBox, scores: boxes.map(({ score }) => score) };
      },
    };
  });
  return {
    train: trained,
    test: tested,
    close: () => {
      for (const parts of opened) parts.close();
    },
  };
}

/** @throws UserError for a file that cannot be read, and one without boxes of the category */
function detectedBoxes(file: string, keypoints: CocoKeypoints): DetectedBox[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw new UserError(`there is no file ${file}`);
    throw fileError(error, `${file} could not be read`);
  }
  const boxes = readDetectedBoxes(text, file, keypoints);
  if (boxes.length > 0) return boxes;
  const { id, name } = keypoints.category;
  throw new UserError(`${file} has no box of the category ${id} (${name}); name the results of a detector`);
}

/** Boxes as SimpleBaseline takes those of a detector: not cut to their pictures. */
function unlabelled(boxes: readonly DetectedBox[], joints: number): CocoPerson[] {
  const keypoints = new Array(3 * joints).fill(0);
  return boxes.map(({ image, box }) => {
    return { image, box, keypoints, labelled: 0, isCrowd: false, area: box[2] * box[3] };
  });
}

function leftOutOf({ leftOut }: TrainingPersons): string | undefined {
  const reasons = Object.entries(leftOut).filter(([, count]) => count > 0);
  if (reasons.length === 0) return undefined;
  return `persons that are left out: ${reasons.map(([reason, count]) => `${count} (${reason})`).join(", ")}`;
}
