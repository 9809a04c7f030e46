import type { ImageArrays } from "../data/image-arrays.ts";
import type { ImageClasses } from "../data/source.ts";

/** The images of a source as plain arrays, as a user of the library may have them. */
export function arraysOf(source: ImageClasses): ImageArrays {
  const { labels, read: _, fingerprint: __, ...form } = source;
  const size = form.channels * form.height * form.width;
  const images = new Uint8Array(form.count * size);
  for (let index = 0; index < form.count; index++) images.set(source.read(index).image.data, index * size);
  return { ...form, images, labels: labels.slice() };
}

/** Images as (pixel / maximum − mean) / deviation, the first `count`: [count, channels, height, width]. */
export function normalized(source: ImageClasses, count = source.count): Float32Array<ArrayBuffer> {
  const { channels, height, width, maximum, mean, deviation } = source;
  const plane = height * width;
  return Float32Array.from(arraysOf(source).images.subarray(0, count * channels * plane), (pixel, index) => {
    const channel = Math.floor(index / plane) % channels;
    return (pixel / maximum - mean[channel]) / deviation[channel];
  });
}
