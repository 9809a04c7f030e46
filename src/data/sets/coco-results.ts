import * as z from "zod";
import { UserError } from "../../common/errors.ts";
import {
  type Box,
  type CocoId,
  type CocoKeypoints,
  checked,
  type Keypoints,
  parseJson,
} from "./coco-keypoints.ts";

// COCO's format of results: boxes that a detector found, read; persons that a network found, written.

/** A person's box that somebody else found. */
export interface DetectedBox {
  image: CocoId;
  box: Box;
  score: number;
}

const id = z.union([z.int(), z.string()]);
const boxSchema = z.object({
  image_id: id,
  category_id: id,
  bbox: z.tuple([z.number(), z.number(), z.number(), z.number()]),
  score: z.number(),
});

/**
 * Reads boxes in COCO's format of results: those of the category of a file of keypoints, from a score on.
 * @throws UserError for a result without a box or with an empty one, and for one in an image that the file does not have
 */
export function readDetectedBoxes(
  text: string,
  name: string,
  { category, pictures, name: annotations }: Pick<CocoKeypoints, "category" | "pictures" | "name">,
  leastScore = 0,
): DetectedBox[] {
  const results = parseJson(text, name);
  if (!Array.isArray(results))
    throw new UserError(
      `${name} has to be a list of { "image_id", "category_id", "bbox", "score" }; take the results of a detector`,
    );
  const known = new Set(pictures.map((picture) => picture.id));
  return results.flatMap((given, index) => {
    const { image_id, category_id, bbox, score } = checked(boxSchema, given, `${name}: result ${index + 1}`);
    if (category_id !== category.id || score < leastScore) return [];
    if (!(bbox[2] > 0 && bbox[3] > 0))
      throw new UserError(
        `${name}: result ${index + 1} has a box of no size, [${bbox.join(", ")}]; leave it out`,
      );
    if (!known.has(image_id))
      throw new UserError(
        `${name}: result ${index + 1} belongs to image ${image_id}, which ${annotations} does not have`,
      );
    return [{ image: image_id, box: bbox, score }];
  });
}

/** A person that a network found. */
export interface FoundPerson {
  image: CocoId;
  /** x, y and score, joint after joint, in pixels of the stored picture. */
  keypoints: Keypoints;
  score: number;
}

/**
 * Found persons in COCO's format of results, as other tools evaluate them. Boxes are left out, since with them the
 * published evaluation takes their area instead of the joints' extent. Without persons it is an empty list.
 * @throws UserError for numbers that JSON does not have
 */
export function writeCocoResults(
  persons: readonly FoundPerson[],
  { category }: { category: Pick<CocoKeypoints["category"], "id"> },
): string {
  const rows = persons.map(({ image, keypoints, score }) => {
    if (![...keypoints, score].every(Number.isFinite))
      throw new UserError(
        `a person found in image ${image} has a coordinate or score that is no finite number`,
      );
    return JSON.stringify({ image_id: image, category_id: category.id, keypoints, score });
  });
  return rows.length === 0 ? "[]\n" : `[\n${rows.join(",\n")}\n]\n`;
}
