import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../../common/files.ts";
import { encodePng } from "../image-file.ts";
import type { Persons } from "../persons.ts";
import { type WriteFolderOptions, writeNewFolder } from "./folder-writer.ts";

// Persons as a folder in COCO's format: a PNG picture for each, and annotations that every tool for COCO reads.

/**
 * Writes `annotations/person_keypoints_train.json` and `…_val.json` with the pictures in `train` and `val`. Each sample
 * becomes a picture.
 * @throws UserError for a folder that is not empty or cannot be written
 */
export function writeCocoFolder(
  folder: string,
  { train, test }: Record<"train" | "test", Persons>,
  options: WriteFolderOptions = {},
): Promise<void> {
  return writeNewFolder(folder, train.count + test.count, options, async (onWritten) => {
    await mkdir(join(folder, "annotations"), { recursive: true });
    for (const [split, source] of [
      ["train", train],
      ["val", test],
    ] as const) {
      await mkdir(join(folder, split), { recursive: true });
      const document = await writeSplit(join(folder, split), source, onWritten);
      const file = join(folder, "annotations", `person_keypoints_${split}.json`);
      await replaceFile(file, `${JSON.stringify(document)}\n`);
    }
  });
}

async function writeSplit(folder: string, { count, read, joints, limbs }: Persons, onWritten: () => void) {
  const images = [];
  const annotations = [];
  for (let index = 0; index < count; index++) {
    const { image, keypoints, box, area } = await read(index);
    const [, height, width] = image.shape;
    const id = index + 1;
    const file = `${String(id).padStart(12, "0")}.png`;
    const picture = { channels: 3, height, width, data: image.data } as const;
    await replaceFile(join(folder, file), await encodePng(picture, Math.max(height, width)));
    images.push({ id, file_name: file, width, height });
    const [left, top, across, down] = box.data;
    annotations.push({
      ...{ id, image_id: id, category_id: 1, iscrowd: 0, area: area.data[0] },
      // Samples end at the centers of pixels, COCO's boxes at their borders.
      bbox: [left, top, across + 1, down + 1],
      num_keypoints: keypoints.data.filter((value, at) => at % 3 === 2 && value > 0).length,
      keypoints: Array.from(keypoints.data),
    });
    onWritten();
  }
  const category = {
    ...{ id: 1, name: "person", supercategory: "person", keypoints: joints },
    skeleton: limbs.map(([a, b]) => [a + 1, b + 1]),
  };
  return { images, annotations, categories: [category] };
}
