// A drawn digit as the digits of the data are: NIST's forms, scaled to a bitmap of 32 × 32, of which 4 × 4 pixels are
// counted into one of 8 × 8 with values from 0 to 16.

const bitmap = 32;
const cells = 8;
const perCell = bitmap / cells;

/** @param ink whether a pixel of a square drawing is drawn on, row by row */
export function digitPixels(ink: readonly boolean[]): Uint8Array {
  const size = Math.sqrt(ink.length);
  const pixels = new Uint8Array(cells * cells);
  const box = boxOf(ink, size);
  if (!box) return pixels;
  const { left, top, width, height } = box;
  // Tall forms fill the height, wide ones the width; both stay in the middle.
  const scale = Math.max(height, width) / bitmap;
  const [dx, dy] = [left + width / 2, top + height / 2];
  const at = (place: number, center: number) => Math.round(center + (place + 0.5 - bitmap / 2) * scale - 0.5);
  for (let y = 0; y < bitmap; y++) {
    for (let x = 0; x < bitmap; x++) {
      const [column, row] = [at(x, dx), at(y, dy)];
      const isInside = column >= 0 && row >= 0 && column < size && row < size;
      if (isInside && ink[row * size + column])
        pixels[Math.floor(y / perCell) * cells + Math.floor(x / perCell)]++;
    }
  }
  return pixels;
}

function boxOf(ink: readonly boolean[], size: number) {
  let [left, top, right, bottom] = [size, size, -1, -1];
  for (const [place, isInk] of ink.entries()) {
    if (!isInk) continue;
    const [x, y] = [place % size, Math.floor(place / size)];
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  if (right < 0) return undefined;
  return { left, top, width: right - left + 1, height: bottom - top + 1 };
}
