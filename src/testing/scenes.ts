import { randomStream } from "../common/random.ts";
import { ignoredClass } from "../data/masks.ts";

/**
 * A dark square (class 1) and a bright disc (class 2) on gray, with a border of no class around both, and noise.
 * @returns image [channels, size, size] and mask [size, size]
 */
export function squareAndDisc(
  index: number,
  { channels, size }: { channels: number; size: number },
): { image: Uint8Array; mask: Uint8Array } {
  const random = randomStream(1, `scene ${index}`);
  const [x, y] = [3 + random.integer(4), 3 + random.integer(10)];
  const [u, v] = [10 + random.integer(3), 3 + random.integer(10)];
  const [mask, image] = [new Uint8Array(size * size), new Uint8Array(channels * size * size)];
  for (let at = 0; at < size * size; at++) {
    const [row, column] = [Math.floor(at / size), at % size];
    const fromSquare = Math.max(Math.abs(row - y), Math.abs(column - x));
    const fromDisc = Math.hypot(row - v, column - u);
    mask[at] = fromSquare < 3 ? 1 : fromDisc < 3 ? 2 : fromSquare < 4 || fromDisc < 4 ? ignoredClass : 0;
    const light = fromSquare < 3 ? 60 : fromDisc < 3 ? 190 : 125;
    for (let channel = 0; channel < channels; channel++)
      image[channels * at + channel] = Math.min(255, Math.max(0, light + 12 * random.normal()));
  }
  return { image, mask };
}
