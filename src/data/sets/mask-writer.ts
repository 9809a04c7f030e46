import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../../common/files.ts";
import { encodePng } from "../image-file.ts";
import type { ImageMasks } from "../masks.ts";
import { type WriteFolderOptions, writeNewFolder } from "./folder-writer.ts";

// Images with masks as a folder that mask-folder.ts reads: PNG files, the masks' gray values being class numbers.

/**
 * Writes `train` and `test`, each with `images/` and `masks/`, and the names of the classes as `classes.txt`.
 * @throws UserError for a folder that is not empty or cannot be written
 */
export function writeMaskFolder(
  folder: string,
  { train, test }: Record<"train" | "test", ImageMasks>,
  options: WriteFolderOptions = {},
): Promise<void> {
  return writeNewFolder(folder, train.count + test.count, options, async (onWritten) => {
    await writePart(join(folder, "train"), train, onWritten);
    await writePart(join(folder, "test"), test, onWritten);
    await replaceFile(join(folder, "classes.txt"), `${train.classNames.join("\n")}\n`);
  });
}

async function writePart(folder: string, { count, read }: ImageMasks, onWritten: () => void): Promise<void> {
  const [images, masks] = [join(folder, "images"), join(folder, "masks")];
  for (const each of [images, masks]) await mkdir(each, { recursive: true });
  const digits = Math.max(6, String(count).length);
  for (let index = 0; index < count; index++) {
    const { image, mask } = await read(index);
    const [height, width] = mask.shape;
    const file = `${String(index + 1).padStart(digits, "0")}.png`;
    const longest = Math.max(height, width);
    const picture = { channels: image.shape[0] === 1 ? 1 : 3, height, width, data: image.data } as const;
    await replaceFile(join(images, file), await encodePng(picture, longest));
    const classes = { channels: 1, height, width, data: mask.data } as const;
    await replaceFile(join(masks, file), await encodePng(classes, longest));
    onWritten();
  }
}
