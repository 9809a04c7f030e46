import { readFile } from "node:fs/promises";
import type { Sharp, SharpOptions } from "sharp";
import { UserError } from "../common/errors.ts";

// Picture files to bytes. Decoding is sharp's (libvips); what is decided here is what a picture file means.

/** How pictures of many sizes become images of one size. */
export interface ImageForm {
  channels: 1 | 3;
  height: number;
  width: number;
  /**
   * - `crop`: scaled until it covers the size, the rest cut off evenly (the usual evaluation crop).
   * - `stretch`: scaled along each axis, so proportions change.
   * - `pad`: scaled until it fits inside, the rest black.
   */
  fit: "crop" | "stretch" | "pad";
}

/** A picture in memory. */
export interface DecodedImage {
  channels: 1 | 3;
  height: number;
  width: number;
  /** [channels, height, width], 0 … 255. */
  data: Uint8Array;
}

/** A file that is no picture, or only a part of one. The message says why, without the path. */
export class UnreadableImage extends Error {
  override readonly name = "UnreadableImage";
}

/** Extensions that are looked at in folders, in lower case. The content decides what a file is, not its name. */
export const imageExtensions: ReadonlySet<string> = new Set([
  ".jpg",
  ".jpeg",
  ".png",
  ".webp",
  ".gif",
  ".tif",
  ".tiff",
  ".avif",
  ".bmp",
]);

const decoderOptions: SharpOptions = { failOn: "warning", limitInputPixels: 2 ** 28, pages: 1 };

/**
 * Decodes a picture: JPEG, PNG, WebP, GIF and TIFF (first frame), AVIF. The EXIF orientation is applied, 16 bits become
 * 8, palettes and CMYK become sRGB, and transparent pixels are laid over white. Gray is ITU-R BT.601 luminance, as
 * Pillow computes it.
 *
 * @param source a path, or the file's bytes
 * @param form channels and size. Default: RGB in the picture's own size
 * @throws UnreadableImage when the content is no picture, truncated, or in a format that is not read
 */
export async function decodeImage(
  source: string | Uint8Array,
  form?: Partial<ImageForm>,
): Promise<DecodedImage> {
  const bytes = typeof source === "string" ? await readFile(source) : source;
  if (bytes.length === 0) throw new UnreadableImage("the file is empty");
  const { default: sharp } = await loadSharp();
  const { height, width, fit = "crop", channels = 3 } = form ?? {};
  const failed = (error: Error) => {
    throw new UnreadableImage(explain(bytes, error));
  };
  const picture: Sharp = sharp(bytes, decoderOptions);
  // libvips converts inks by a press profile of its own where the file has none; viewers and Pillow mix them plainly.
  const { space, hasProfile } = await picture.metadata().catch(failed);
  const isPlainInk = space === "cmyk" && !hasProfile;
  const colored = isPlainInk
    ? picture.autoOrient().pipelineColourspace("cmyk").toColourspace("cmyk")
    : picture.autoOrient().toColourspace("srgb").flatten({ background: "white" });
  const sized =
    height === undefined || width === undefined
      ? colored
      : colored.resize({
          width,
          height,
          fit: ({ crop: "cover", stretch: "fill", pad: "contain" } as const)[fit],
          background: "black",
          kernel: "linear",
          fastShrinkOnLoad: false,
        });
  const { data, info } = await sized
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true })
    .catch(failed);
  const planes = deinterleave(isPlainInk ? mixed(data) : data, isPlainInk ? 3 : info.channels);
  return {
    channels,
    height: info.height,
    width: info.width,
    data: channels === 1 ? luminance(planes) : concatenated(planes),
  };
}

/**
 * A picture as a PNG file, scaled down where its longer side has more than `longest` pixels.
 * @throws UserError when the package sharp does not load
 */
export async function encodePng(
  { channels, height, width, data }: DecodedImage,
  longest: number,
): Promise<Uint8Array> {
  const { default: sharp } = await loadSharp();
  const pixels = height * width;
  const interleaved = Uint8Array.from(
    { length: data.length },
    (_, at) => data[(at % channels) * pixels + Math.floor(at / channels)],
  );
  return sharp(interleaved, { raw: { width, height, channels } })
    .resize({ width: longest, height: longest, fit: "inside", withoutEnlargement: true })
    .toColourspace(channels === 1 ? "b-w" : "srgb")
    .png()
    .toBuffer();
}

/** Colors of cyan, magenta, yellow and black inks, pixel by pixel: (1 − ink)(1 − black). */
function mixed(inks: Uint8Array): Uint8Array {
  const pixels = inks.length / 4;
  return Uint8Array.from({ length: 3 * pixels }, (_, at) => {
    const pixel = Math.floor(at / 3) * 4;
    return Math.round(((255 - inks[pixel + (at % 3)]) * (255 - inks[pixel + 3])) / 255);
  });
}

/** Three planes from pixels of one, two (gray with alpha) or three channels. */
function deinterleave(data: Uint8Array, channels: number): readonly Uint8Array[] {
  const pixels = data.length / channels;
  const plane = (channel: number) =>
    Uint8Array.from({ length: pixels }, (_, at) => data[at * channels + channel]);
  if (channels < 3) {
    const gray = plane(0);
    return [gray, gray, gray];
  }
  return [plane(0), plane(1), plane(2)];
}

/** Pillow's fixed-point weights of 0.299, 0.587 and 0.114: equal channels stay what they are. */
function luminance([red, green, blue]: readonly Uint8Array[]): Uint8Array {
  return red.map((value, at) => (value * 19595 + green[at] * 38470 + blue[at] * 7471 + 0x8000) >> 16);
}

function concatenated(planes: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(planes.length * planes[0].length);
  for (const [index, plane] of planes.entries()) all.set(plane, index * plane.length);
  return all;
}

function explain(bytes: Uint8Array, { message }: Error): string {
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 64)).trimStart().toLowerCase();
  if (start.startsWith("<!doctype") || start.startsWith("<html")) return "it is a web page, not a picture";
  if (start.startsWith("bm")) return "BMP is not read; convert it to PNG";
  return message.trim().replaceAll(/\s+/g, " ");
}

async function loadSharp(): Promise<typeof import("sharp")> {
  try {
    return await import("sharp");
  } catch (error) {
    throw new UserError(
      `pictures cannot be decoded because the package sharp does not load (${(error as Error).message.split("\n")[0]}); install it for this platform: npm install --include=optional sharp`,
    );
  }
}
