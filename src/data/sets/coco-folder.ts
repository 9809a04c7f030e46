import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../common/errors.ts";
import { fileError } from "../../common/file-errors.ts";
import {
  type CocoKeypoints,
  readCocoKeypoints,
  type TrainingPersons,
  trainingPersons,
} from "./coco-keypoints.ts";

// COCO's keypoint folders as they are published: annotations/*.json, and the pictures beside them.

/** The training or the test part of such a folder. */
export interface CocoPart {
  keypoints: CocoKeypoints;
  training: TrainingPersons;
  /** The folder that the pictures' names are relative to. */
  pictures: string;
}

/**
 * Reads `annotations/person_keypoints_SPLIT.json`, or `annotations/SPLIT.json`, of the splits whose names begin with
 * `train` and `val` (or `test`), and looks for their pictures in `SPLIT`, `images/SPLIT`, `images` and the folder itself.
 *
 * @param category the category's name, where several have joints
 * @throws UserError naming the folder or file: a split that is missing or there twice, a picture that is missing, no person
 *   to train on, and what {@link readCocoKeypoints} refuses
 */
export async function readCocoFolder(
  folder: string,
  category?: string,
): Promise<{ train: CocoPart; test: CocoPart }> {
  const splits = await splitsOf(join(folder, "annotations"));
  const part = async (split: string, file: string): Promise<CocoPart> => {
    const path = join(folder, "annotations", file);
    const text = await readFile(path, "utf8").catch((error) => {
      throw fileError(error, `${path} could not be read`);
    });
    const keypoints = readCocoKeypoints(text, path, category);
    const training = trainingPersons(keypoints);
    if (training.persons.length === 0)
      throw new UserError(
        `${path} has no person to train or test on: of ${keypoints.persons.length} none has a labelled joint, an area and a box in its picture`,
      );
    const pictures = await findPictures(folder, split, keypoints, training);
    return { keypoints, training, pictures };
  };
  const [train, test] = [only(splits, ["train"], folder), only(splits, ["val", "test"], folder)];
  const parts = { train: await part(...train), test: await part(...test) };
  const [own, others] = [parts.train.keypoints.joints, parts.test.keypoints.joints];
  if (own.join() !== others.join())
    throw new UserError(
      `${folder}: ${train[1]} has the joints ${own.join(", ")}, ${test[1]} has ${others.join(", ")}; both need the same, in the same order`,
    );
  return parts;
}

const prefix = "person_keypoints_";

/** Names of splits and their files. COCO's files of other kinds are passed over. */
async function splitsOf(folder: string): Promise<[split: string, file: string][]> {
  const names = await readdir(folder).catch((error) => {
    throw fileError(error, `${folder} could not be read`);
  });
  const files = names.filter((name) => name.endsWith(".json") && !name.startsWith(".")).toSorted();
  const published = files.filter((name) => name.startsWith(prefix));
  return (published.length > 0 ? published : files).map((name) => [
    name.slice(name.startsWith(prefix) ? prefix.length : 0, -".json".length),
    name,
  ]);
}

/** The one split whose name begins as wanted; the first beginning that there is counts. */
function only(
  splits: readonly [string, string][],
  beginnings: readonly string[],
  folder: string,
): [string, string] {
  const found = beginnings
    .map((beginning) => splits.filter(([split]) => split.startsWith(beginning)))
    .find((matching) => matching.length > 0);
  if (found?.length === 1) return found[0];
  const wanted = beginnings
    .map((beginning) => `${prefix}${beginning}….json or ${beginning}….json`)
    .join(", or ");
  const there = (found ?? splits).map(([, file]) => file).join(", ") || "no JSON file";
  throw new UserError(`${join(folder, "annotations")} has ${there}; it needs one file ${wanted}`);
}

async function findPictures(
  folder: string,
  split: string,
  { pictures, name }: CocoKeypoints,
  { persons }: TrainingPersons,
): Promise<string> {
  const needed = new Set(persons.map(({ image }) => image));
  const wanted = pictures.filter(({ id }) => needed.has(id));
  const places = [join(folder, split), join(folder, "images", split), join(folder, "images"), folder];
  let best: { place: string; missing: typeof wanted } | undefined;
  for (const place of places) {
    if (!(await isFolder(place))) continue;
    const there = new Set(await readdir(place));
    const absent = await Promise.all(
      wanted.map(
        async ({ file }) => !there.has(file) && !(file.includes("/") && (await isFile(join(place, file)))),
      ),
    );
    const missing = wanted.filter((_, index) => absent[index]);
    if (missing.length === 0) return place;
    if (best === undefined || missing.length < best.missing.length) best = { place, missing };
  }
  if (best === undefined) throw new UserError(`${folder} cannot be read`);
  const [first] = best.missing;
  throw new UserError(
    `${name}: of ${wanted.length} pictures with persons ${best.missing.length} are missing in ${best.place}, the first is ${first.file} (image ${first.id}); put them into ${places[0]}`,
  );
}

const isFolder = (path: string) =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
const isFile = (path: string) =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
