import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { replaceFile } from "../../common/files.ts";
import { encodePng } from "../image-file.ts";
import type { ImageMasks } from "../masks.ts";
import { encodeIndices } from "../png-indices.ts";
import { type WriteFolderOptions, writeNewFolder } from "./folder-writer.ts";

// Images with masks as a folder in Pascal VOC's format: pictures as PNG files, so that they are kept exactly, and masks as PNG
// files with VOC's palette.

/**
 * Writes `JPEGImages`, `SegmentationClass`, `ImageSets/Segmentation/train.txt` and `val.txt` (the test part), and the names of
 * the classes as `classes.txt`.
 * @throws UserError for a folder that is not empty or cannot be written
 */
export function writeVocFolder(
  folder: string,
  { train, test }: Record<"train" | "test", ImageMasks>,
  options: WriteFolderOptions = {},
): Promise<void> {
  return writeNewFolder(folder, train.count + test.count, options, async (onWritten) => {
    const lists = join(folder, "ImageSets", "Segmentation");
    for (const each of [join(folder, "JPEGImages"), join(folder, "SegmentationClass"), lists])
      await mkdir(each, { recursive: true });
    for (const [name, source] of [
      ["train", train],
      ["val", test],
    ] as const) {
      const names = await writePart(folder, name, source, onWritten);
      await replaceFile(join(lists, `${name}.txt`), `${names.join("\n")}\n`);
    }
    await replaceFile(join(folder, "classes.txt"), `${train.classNames.join("\n")}\n`);
  });
}

async function writePart(
  folder: string,
  part: string,
  { count, read }: ImageMasks,
  onWritten: () => void,
): Promise<string[]> {
  const names: string[] = [];
  for (let index = 0; index < count; index++) {
    const name = `${part}_${String(index + 1).padStart(6, "0")}`;
    const { image, mask } = await read(index);
    const [height, width] = mask.shape;
    const picture = { channels: image.shape[0] === 1 ? 1 : 3, height, width, data: image.data } as const;
    const png = await encodePng(picture, Math.max(height, width));
    await replaceFile(join(folder, "JPEGImages", `${name}.png`), png);
    const indices = encodeIndices({ height, width, data: mask.data }, vocPalette);
    await replaceFile(join(folder, "SegmentationClass", `${name}.png`), indices);
    names.push(name);
    onWritten();
  }
  return names;
}

/** VOC's colors: the bits of a number, three by three from the lowest, are the highest bits of red, green and blue. */
const vocPalette = Uint8Array.from({ length: 3 * 256 }, (_, at) => {
  const [index, channel] = [Math.floor(at / 3), at % 3];
  let level = 0;
  for (let bit = 0; bit < 8; bit++) level |= ((index >> (3 * bit + channel)) & 1) << (7 - bit);
  return level;
});
