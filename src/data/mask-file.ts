import { readFile } from "node:fs/promises";
import { type ImageForm, UnreadableImage } from "./image-form.ts";
import { loadSharp } from "./load-sharp.ts";
import { ignoredClass } from "./masks.ts";
import { plainPng, pngForm } from "./png-indices.ts";

// A mask is a PNG file whose pixels are class numbers, as indices of its palette or levels of gray; or colors, where a
// table says which class each color is of.

/** The class of each color 0xRRGGBB. */
export type ColorClasses = ReadonlyMap<number, number>;

/** A mask at the size of its image's form, and what its file holds. */
export interface DecodedMask {
  /** [height, width]: class numbers, or {@link ignoredClass}. */
  classes: Uint8Array<ArrayBuffer>;
  /** What the file holds before it is resized. */
  values: readonly MaskValue[];
}

/** A value of a mask file, how many of the pixels have it, and where the first of them is. */
export type MaskValue = readonly [value: number, pixels: number, row: number, column: number];

/** Height and width of a picture file as its pixels are stored. */
export async function sizeOf(path: string): Promise<{ height: number; width: number; isTurned: boolean }> {
  const { default: sharp } = await loadSharp();
  const {
    height,
    width,
    orientation = 1,
  } = await sharp(await readFile(path))
    .metadata()
    .catch((error: Error) => {
      throw new UnreadableImage(error.message.trim());
    });
  return { height, width, isTurned: orientation > 4 };
}

/**
 * The classes of a mask file, brought to a form's size as images are, without mixing classes. What a form pads is of no
 * class.
 * @param image the size of the image that it is the mask of
 * @param colors the classes of colors; left out: pixels are class numbers
 * @throws UnreadableImage for what is no such PNG file, or of another size than its image
 */
export async function decodeMask(
  path: string,
  { height, width, fit }: Pick<ImageForm, "height" | "width" | "fit">,
  image: Awaited<ReturnType<typeof sizeOf>>,
  colors?: ColorClasses,
): Promise<DecodedMask> {
  const { default: sharp } = await loadSharp();
  const stored = await storedNumbers(await readFile(path), colors);
  if (stored.height !== image.height || stored.width !== image.width) {
    const turned = image.isTurned
      ? " as it is stored: its EXIF orientation is not applied, since masks belong to stored pixels"
      : "";
    throw new UnreadableImage(
      `it is ${stored.height}×${stored.width} (height × width) and its image ${image.height}×${image.width}${turned}`,
    );
  }
  const values = valuesOf(stored.data, stored.width);
  if (stored.height === height && stored.width === width) return { classes: stored.data, values };
  const { data: resized } = await sharp(stored.data, {
    raw: { width: stored.width, height: stored.height, channels: 1 },
  })
    .resize({
      ...{ width, height },
      fit: ({ crop: "cover", stretch: "fill", pad: "contain" } as const)[fit],
      background: { r: ignoredClass, g: ignoredClass, b: ignoredClass },
      kernel: "nearest",
    })
    .toColorspace("b-w")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true });
  // Some versions of the decoder give gray as three equal channels.
  return { classes: everyNth(resized, resized.length / (height * width)), values };
}

interface Numbers {
  height: number;
  width: number;
  /** [height, width] */
  data: Uint8Array<ArrayBuffer>;
}

/** The numbers that the pixels of a file are, or that a table gives its colors. */
async function storedNumbers(bytes: Uint8Array, colors: ColorClasses | undefined): Promise<Numbers> {
  const { default: sharp } = await loadSharp();
  const { depth, holds } = pngForm(bytes);
  if (depth > 8 && !colors)
    throw new UnreadableImage(`it has ${depth} bits a pixel; a mask has at most 8, so save it with 8`);
  const isNumbers = !colors && holds !== "colors";
  const picture = sharp(plainPng(bytes, { numbered: isNumbers }), { failOn: "warning" });
  const { data, info } = await (isNumbers && holds === "gray"
    ? picture.toColorspace("b-w").removeAlpha()
    : picture.toColorspace("srgb").removeAlpha()
  )
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true })
    .catch((error: Error) => {
      throw new UnreadableImage(error.message.trim().replaceAll(/\s+/g, " "));
    });
  const { height, width, channels } = info;
  if (isNumbers) {
    const numbers = everyNth(data, channels);
    return { height, width, data: holds === "gray" ? levels(numbers, depth) : numbers };
  }
  const found = (at: number) => {
    const [green, blue] = channels < 3 ? [0, 0] : [1, 2];
    const start = at * channels;
    return (data[start] << 16) | (data[start + green] << 8) | data[start + blue];
  };
  const pixels = height * width;
  if (!colors) throw new UnreadableImage(hasColors(pixels, found));
  const classes = new Uint8Array(pixels);
  for (let at = 0; at < pixels; at++) {
    const number = colors.get(found(at));
    if (number === undefined) {
      const place = `row ${Math.floor(at / width) + 1}, column ${(at % width) + 1}`;
      throw new UnreadableImage(
        `its pixel in ${place} is ${colorText(found(at))}, which is the color of no class; add it to the colors (images.maskColors, --mask-color), or make it the color of pixels of no class (images.ignoredColor, --ignored-color)`,
      );
    }
    classes[at] = number;
  }
  return { height, width, data: classes };
}

/** `#rrggbb` */
function colorText(color: number): string {
  return `#${color.toString(16).padStart(6, "0")}`;
}

const namedColors = 5;

function hasColors(pixels: number, colorAt: (at: number) => number): string {
  const colors = new Set<number>();
  for (let at = 0; at < pixels && colors.size <= namedColors; at++) colors.add(colorAt(at));
  const named = [...colors].slice(0, namedColors).map(colorText).join(", ");
  return `its pixels are colors (${named}${colors.size > namedColors ? ", …" : ""}); a mask holds class numbers, as a PNG with a palette or gray, unless the class of each color is named (images.maskColors, --mask-color background=#000000 --mask-color cat=#ff0000)`;
}

/** The values of a mask of some width, in their order. */
export function valuesOf(numbers: Uint8Array, width: number): MaskValue[] {
  const [pixels, first] = [new Float64Array(256), new Int32Array(256).fill(-1)];
  for (let at = 0; at < numbers.length; at++) {
    const value = numbers[at];
    if (pixels[value]++ === 0) first[value] = at;
  }
  return Array.from(pixels.keys())
    .filter((value) => pixels[value] > 0)
    .map((value) => [value, pixels[value], Math.floor(first[value] / width), first[value] % width] as const);
}

function everyNth(data: Uint8Array, step: number): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(data.length / step);
  for (let at = 0; at < result.length; at++) result[at] = data[at * step];
  return result;
}

/** Of 1, 2 or 4 bits decoders make 8. */
function levels(gray: Uint8Array, depth: number): Uint8Array<ArrayBuffer> {
  const step = 255 / (2 ** depth - 1);
  return Uint8Array.from(gray, (level) => Math.round(level / step));
}
