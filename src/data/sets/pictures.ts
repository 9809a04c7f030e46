import { createHash } from "node:crypto";
import { UserError } from "../../common/errors.ts";
import type { ImageForm } from "../image-form.ts";
import { type PackedImages, packImages } from "../packed-images.ts";
import { type DatasetPair, type ImageClasses, imageClasses } from "../source.ts";
import type { ImageList, ListedImage } from "./class-parts.ts";
import { type PictureSetOptions, packedOrRefused } from "./packed-set.ts";

// Listed picture files as sources: decoded once, all parts in one file, normalized as the training part is.

/**
 * The parts of a list as images of one size.
 *
 * @throws UserError naming up to ten files that cannot be read and the number of all, unless they are to be skipped;
 *   or a class that has no training picture left, or a part without pictures
 */
export async function loadPictures(list: ImageList, options: PictureSetOptions): Promise<DatasetPair> {
  const { name } = options;
  // In an order that does not depend on the parts, so that another share for testing finds the same pixels.
  const paths = [
    ...new Set([...list.train, ...list.validation, ...list.test].map(({ path }) => path)),
  ].sort();
  const packed = await packedOrRefused((packing) => packImages(paths, packing), options);
  const positions = new Map(packed.kept.map((place, position) => [paths[place], position]));
  const decodedOf = (images: readonly ListedImage[]) =>
    images.flatMap((image): Decoded[] => {
      const position = positions.get(image.path);
      return position === undefined ? [] : [{ position, class: image.class }];
    });
  const [train, validation, test] = [list.train, list.validation, list.test].map(decodedOf);
  requireClasses(list, new Set(train.map((image) => image.class)), name);
  if (test.length === 0) throw new UserError(`${name} has no test picture that can be read`);
  const normalization = packed.normalization(train.map(({ position }) => position));
  const source = (part: readonly Decoded[]) =>
    sourceOf(packed, part, { ...options, ...normalization, classNames: list.classNames });
  return {
    train: source(train),
    ...(validation.length > 0 && { validation: source(validation) }),
    test: source(test),
    close: packed.close,
  };
}

/** A picture that could be decoded: its place among the packed images. */
interface Decoded {
  position: number;
  class: number;
}

function sourceOf(
  packed: PackedImages,
  part: readonly Decoded[],
  {
    name,
    form: { channels, height, width, fit },
    ...description
  }: { name: string; form: ImageForm } & Pick<ImageClasses, "classNames" | "mean" | "deviation">,
): ImageClasses {
  const { classNames, mean, deviation } = description;
  const positions = Int32Array.from(part, ({ position }) => position);
  const labels = Int32Array.from(part, (image) => image.class);
  const fingerprint = createHash("sha256").update(packed.key).update(positions).update(labels).digest("hex");
  return imageClasses(
    {
      ...{ name, classNames, labels, channels, height, width, fit, mean, deviation },
      maximum: 255,
      fingerprint: fingerprint.slice(0, 32),
    },
    (index) => packed.read(positions[index]),
  );
}

function requireClasses({ classNames }: ImageList, present: ReadonlySet<number>, name: string): void {
  const empty = classNames.findIndex((_, number) => !present.has(number));
  if (empty >= 0)
    throw new UserError(`${name}: class "${classNames[empty]}" has no training picture that can be read`);
}
