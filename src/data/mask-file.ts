import { readFile } from "node:fs/promises";
import { type ImageForm, UnreadableImage } from "./image-file.ts";
import { loadSharp } from "./load-sharp.ts";
import { ignoredClass } from "./masks.ts";

// A mask is a PNG file whose pixels are class numbers: indices of its palette, or levels of gray. Decoders give the
// palette's colors instead; these are turned back into indices here.

/** Height and width of a picture file as it is stored. */
export async function sizeOf(path: string): Promise<readonly [height: number, width: number]> {
  const { default: sharp } = await loadSharp();
  const {
    height,
    width,
    orientation = 1,
  } = await sharp(path)
    .metadata()
    .catch((error: Error) => {
      throw new UnreadableImage(error.message);
    });
  if (orientation > 1)
    throw new UnreadableImage("its EXIF orientation turns it, which a mask does not have; save it upright");
  return [height, width];
}

/**
 * The classes of a mask file, [height, width], brought to a form's size as images are, without mixing classes. What a
 * form pads is of no class.
 * @param size of the image that it is the mask of
 * @throws UnreadableImage for what is no PNG file of class numbers, or of another size
 */
export async function decodeMask(
  path: string,
  { height, width, fit }: ImageForm,
  [imageHeight, imageWidth]: readonly [height: number, width: number],
): Promise<Uint8Array> {
  const { default: sharp } = await loadSharp();
  const bytes = await readFile(path);
  const { depth, isPalette, isGray, palette } = readHeader(bytes);
  if (!isPalette && !isGray)
    throw new UnreadableImage(
      "its pixels are colors; a mask holds class numbers, as a PNG with a palette or gray",
    );
  if (depth > 8) throw new UnreadableImage(`it has ${depth} bits a pixel; a mask has at most 8`);
  const failed = (error: Error) => {
    throw new UnreadableImage(error.message.trim());
  };
  const picture = sharp(bytes, { failOn: "warning" });
  const { data, info } = await (isPalette
    ? picture.toColorspace("srgb").removeAlpha()
    : picture.toColorspace("b-w")
  )
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true })
    .catch(failed);
  if (info.height !== imageHeight || info.width !== imageWidth)
    throw new UnreadableImage(
      `it is ${info.height}×${info.width} (height × width) and its image ${imageHeight}×${imageWidth}`,
    );
  const classes = isPalette ? indices(data, info.channels, palette) : levels(data, info.channels, depth);
  const { data: resized } = await sharp(classes, {
    raw: { width: info.width, height: info.height, channels: 1 },
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
  const channels = resized.length / (height * width);
  return Uint8Array.from({ length: height * width }, (_, at) => resized[at * channels]);
}

interface PngHeader {
  depth: number;
  isPalette: boolean;
  isGray: boolean;
  /** Colors as 0xRRGGBB to the first index that has them. */
  palette: ReadonlyMap<number, number>;
}

function readHeader(bytes: Uint8Array): PngHeader {
  const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
  if (signature.some((byte, at) => bytes[at] !== byte))
    throw new UnreadableImage("it is no PNG file; other formats blur or recolor class numbers");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [depth, colorType] = [bytes[24], bytes[25]];
  const palette = new Map<number, number>();
  for (let at = 8; at + 8 <= bytes.length; at += 12 + view.getUint32(at)) {
    if (String.fromCharCode(...bytes.subarray(at + 4, at + 8)) !== "PLTE") continue;
    const colors = view.getUint32(at) / 3;
    for (let index = 0; index < colors; index++) {
      const start = at + 8 + 3 * index;
      const color = (bytes[start] << 16) | (bytes[start + 1] << 8) | bytes[start + 2];
      if (!palette.has(color)) palette.set(color, index);
    }
    break;
  }
  return { depth, isPalette: colorType === 3, isGray: colorType === 0 || colorType === 4, palette };
}

function indices(colors: Uint8Array, channels: number, palette: PngHeader["palette"]): Uint8Array {
  const result = new Uint8Array(colors.length / channels);
  for (let pixel = 0; pixel < result.length; pixel++) {
    const at = channels * pixel;
    const [red, green, blue] =
      channels < 3 ? [colors[at], colors[at], colors[at]] : colors.subarray(at, at + 3);
    const index = palette.get((red << 16) | (green << 8) | blue);
    if (index === undefined) throw new UnreadableImage("its colors are not those of its palette");
    result[pixel] = index;
  }
  return result;
}

/** Of 1, 2 or 4 bits decoders make 8. */
function levels(gray: Uint8Array, channels: number, depth: number): Uint8Array {
  const step = 255 / (2 ** depth - 1);
  return Uint8Array.from({ length: gray.length / channels }, (_, pixel) =>
    Math.round(gray[channels * pixel] / step),
  );
}
