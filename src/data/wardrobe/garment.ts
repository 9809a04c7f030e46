import type { ImageClasses } from "../source.ts";

// A garment of Fashion-MNIST: its gray values, and which of its pixels are of it.

export interface Garment {
  readonly class: number;
  /** Height and width. */
  readonly side: number;
  /** [side, side], 0 … 255. */
  readonly gray: Uint8Array;
  /** [side, side]: 1 for the pixels that are of the garment, 0 for the others. */
  readonly outline: Uint8Array;
}

/** The image of a garment by its index; images are square and gray. */
export function garmentAt(garments: ImageClasses, index: number): Garment {
  const { image } = garments.read(index);
  const side = garments.height;
  return {
    class: garments.labels[index],
    side,
    gray: image.data,
    outline: outlineOf(image.data, side),
  };
}

/** Fewer connected pixels are specks around the garment, left by the resampling of its photograph. */
const smallestPiece = 10;

/**
 * 1 where a garment is. Its pieces are connected pixels above 0 (up, down, left and right), without specks. What they
 * enclose, such as zeros in dark cloth, belongs to it too.
 * @param gray [side, side]
 */
export function outlineOf(gray: Uint8Array, side: number): Uint8Array {
  const isCloth = new Uint8Array(side * side);
  const seen = new Uint8Array(side * side);
  let largest: number[] = [];
  for (let at = 0; at < gray.length; at++) {
    if (gray[at] === 0 || seen[at] === 1) continue;
    const piece = connected([at], side, (pixel) => gray[pixel] > 0, seen);
    if (piece.length > largest.length) largest = piece;
    if (piece.length >= smallestPiece) for (const pixel of piece) isCloth[pixel] = 1;
  }
  for (const pixel of largest) isCloth[pixel] = 1;

  const border: number[] = [];
  for (let step = 0; step < side; step++)
    border.push(step, (side - 1) * side + step, step * side, step * side + side - 1);
  const outline = new Uint8Array(side * side).fill(1);
  const outside = connected(border, side, (pixel) => isCloth[pixel] === 0, new Uint8Array(side * side));
  for (const pixel of outside) outline[pixel] = 0;
  return outline;
}

/** The pixels that `isOpen` connects to some pixels, and these where they are open. Marks in `seen` those it gives. */
function connected(
  from: readonly number[],
  side: number,
  isOpen: (pixel: number) => boolean,
  seen: Uint8Array,
): number[] {
  const found: number[] = [];
  const visit = (at: number) => {
    if (seen[at] === 1 || !isOpen(at)) return;
    seen[at] = 1;
    found.push(at);
  };
  for (const at of from) visit(at);
  for (let next = 0; next < found.length; next++) {
    const at = found[next];
    const column = at % side;
    if (column > 0) visit(at - 1);
    if (column < side - 1) visit(at + 1);
    if (at >= side) visit(at - side);
    if (at < side * (side - 1)) visit(at + side);
  }
  return found;
}
