import { readFile } from "node:fs/promises";
import type { Sharp, SharpOptions } from "sharp";
import {
  type DecodedImage,
  type DecodeOptions,
  luminance,
  mostPixels,
  UnreadableImage,
} from "./image-form.ts";
import { loadSharp } from "./load-sharp.ts";

// Picture files to bytes. Decoding is sharp's (libvips); what is decided here is what a picture file means.

const decoderOptions: SharpOptions = { failOn: "warning", limitInputPixels: mostPixels, pages: 1 };

/**
 * Decodes a picture: JPEG, PNG, WebP, GIF and TIFF (first frame), AVIF. The EXIF orientation is applied
 * unless it is to be ignored, 16 bits become 8, palettes and CMYK become sRGB, and transparent pixels are laid over white. Gray is ITU-R BT.601 luminance, as
 * Pillow computes it.
 *
 * @param source a path, or the file's bytes
 * @param options channels and size. Default: RGB in the picture's own size
 * @throws UnreadableImage when the content is no picture, truncated, or in a format that is not read
 */
export async function decodeImage(
  source: string | Uint8Array,
  options: DecodeOptions = {},
): Promise<DecodedImage> {
  const bytes = typeof source === "string" ? await readFile(source) : source;
  if (bytes.length === 0) throw new UnreadableImage("the file is empty");
  const { default: sharp } = await loadSharp();
  const { height, width, fit = "crop", channels = 3, orientation = "apply" } = options;
  const failed = (error: Error) => {
    throw new UnreadableImage(explain(bytes, error));
  };
  const picture: Sharp = sharp(bytes, decoderOptions);
  // libvips converts inks by a press profile of its own where the file has none; viewers and Pillow mix them plainly.
  const { space, hasProfile } = await picture.metadata().catch(failed);
  const isPlainInk = space === "cmyk" && !hasProfile;
  const turned = orientation === "apply" ? picture.autoOrient() : picture;
  const colored = isPlainInk
    ? turned.pipelineColorspace("cmyk").toColorspace("cmyk")
    : turned.toColorspace("srgb").flatten({ background: "white" });
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
  const pixels = info.width * info.height;
  const planes = isPlainInk ? mixed(data, pixels) : planar(data, pixels, info.channels);
  return {
    channels,
    height: info.height,
    width: info.width,
    data: channels === 1 ? luminance(planes, pixels) : planes,
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
    .toColorspace(channels === 1 ? "b-w" : "srgb")
    .png()
    .toBuffer();
}

// Loops over indices: a callback for each pixel costs more than decoding.

/** [3, pixels] from cyan, magenta, yellow and black inks, pixel by pixel: (1 − ink)(1 − black). */
function mixed(inks: Uint8Array, pixels: number): Uint8Array {
  const planes = new Uint8Array(3 * pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const light = 255 - inks[4 * pixel + 3];
    for (let channel = 0; channel < 3; channel++)
      planes[channel * pixels + pixel] = Math.round(((255 - inks[4 * pixel + channel]) * light) / 255);
  }
  return planes;
}

/** [3, pixels] from pixels of one, two (gray with alpha) or more channels. */
function planar(data: Uint8Array, pixels: number, channels: number): Uint8Array {
  const planes = new Uint8Array(3 * pixels);
  const [second, third] = channels < 3 ? [0, 0] : [1, 2];
  for (let pixel = 0, at = 0; pixel < pixels; pixel++, at += channels) {
    planes[pixel] = data[at];
    planes[pixels + pixel] = data[at + second];
    planes[2 * pixels + pixel] = data[at + third];
  }
  return planes;
}

function explain(bytes: Uint8Array, { message }: Error): string {
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 64)).trimStart().toLowerCase();
  if (start.startsWith("<!doctype") || start.startsWith("<html")) return "it is a web page, not a picture";
  if (start.startsWith("bm")) return "BMP is not read; convert it to PNG";
  if (/exceeds pixel limit/.test(message))
    return `it says that it has more than ${Math.floor(mostPixels / 1e6)} million pixels`;
  if (/unsupported image format/.test(message)) return "it is no picture in a format that is read";
  // The decoder's own warning is not shown.
  if (/Warning treated as error/.test(message)) return "it is damaged or cut off";
  return message.trim().replaceAll(/\s+/g, " ");
}
