import {
  type DecodedImage,
  type DecodeOptions,
  type ImageForm,
  luminance,
  mostPixels,
  UnreadableImage,
} from "./image-form.ts";

// `#image-file` in a page: the browser decodes and scales. Sizes and cuts are those of image-file.ts; scaled pixels differ by
// the browser's filter.

/**
 * Decodes a picture that the browser can show. The EXIF orientation is applied unless it is to be ignored, and transparent
 * pixels are laid over white.
 * @param source the file's bytes
 * @param options channels and size. Default: RGB in the picture's own size
 * @throws UnreadableImage when the content is no picture, or truncated
 */
export async function decodeImage(
  source: string | Uint8Array,
  options: DecodeOptions = {},
): Promise<DecodedImage> {
  const { channels = 3, fit = "crop", orientation = "apply" } = options;
  if (typeof source === "string")
    throw new UnreadableImage("a page reads no paths; give the file's bytes, as of a file input");
  if (source.length === 0) throw new UnreadableImage("the file is empty");
  const bitmap = await createImageBitmap(new Blob([source as Uint8Array<ArrayBuffer>]), {
    imageOrientation: orientation === "apply" ? "from-image" : "none",
  }).catch(() => {
    throw new UnreadableImage("it is no picture that this browser reads, or it is damaged or cut off");
  });
  try {
    if (bitmap.width * bitmap.height > mostPixels)
      throw new UnreadableImage(`it has more than ${Math.floor(mostPixels / 1e6)} million pixels`);
    const { width = bitmap.width, height = bitmap.height } = options;
    const context = contextOf(width, height);
    const [x, y, wide, high] = placeOf(bitmap, { width, height, fit });
    // Transparent parts of the picture are white, what is beside it is black.
    context.fillStyle = "black";
    context.fillRect(0, 0, width, height);
    context.fillStyle = "white";
    context.fillRect(x, y, wide, high);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, x, y, wide, high);
    const planes = planar(context.getImageData(0, 0, width, height).data, width * height);
    return { channels, height, width, data: channels === 1 ? luminance(planes, width * height) : planes };
  } finally {
    bitmap.close();
  }
}

/** Where the whole picture lies when a part of it, or all of it and more, is seen. */
function placeOf(
  picture: { width: number; height: number },
  { width, height, fit }: Pick<ImageForm, "width" | "height" | "fit">,
): [x: number, y: number, width: number, height: number] {
  const [across, down] = [width / picture.width, height / picture.height];
  switch (fit) {
    case "stretch":
      return [0, 0, width, height];
    case "crop":
    case "pad": {
      const scale = fit === "crop" ? Math.max(across, down) : Math.min(across, down);
      const [wide, high] = [Math.round(picture.width * scale), Math.round(picture.height * scale)];
      return [Math.round((width - wide) / 2), Math.round((height - high) / 2), wide, high];
    }
    default:
      return fit satisfies never;
  }
}

/** A picture as a PNG file, scaled down where its longer side has more than `longest` pixels. */
export async function encodePng(
  { channels, height, width, data }: DecodedImage,
  longest: number,
): Promise<Uint8Array> {
  const pixels = height * width;
  const image = new ImageData(width, height);
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < 3; channel++)
      image.data[4 * pixel + channel] = data[(channels === 1 ? 0 : channel) * pixels + pixel];
    image.data[4 * pixel + 3] = 255;
  }
  const whole = contextOf(width, height);
  whole.putImageData(image, 0, 0);
  const scale = Math.min(1, longest / Math.max(width, height));
  const [wide, high] = [width, height].map((size) => Math.max(1, Math.round(size * scale)));
  const scaled = contextOf(wide, high);
  scaled.imageSmoothingQuality = "high";
  scaled.drawImage(whole.canvas, 0, 0, wide, high);
  return new Uint8Array(await (await scaled.canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
}

function contextOf(width: number, height: number): OffscreenCanvasRenderingContext2D {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("the browser gave no canvas");
  return context;
}

/** [3, pixels] from pixels of four channels. */
function planar(data: Uint8ClampedArray, pixels: number): Uint8Array {
  const planes = new Uint8Array(3 * pixels);
  for (let pixel = 0; pixel < pixels; pixel++)
    for (let channel = 0; channel < 3; channel++)
      planes[channel * pixels + pixel] = data[4 * pixel + channel];
  return planes;
}
