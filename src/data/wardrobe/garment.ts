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

/**
 * 1 where a garment is: at all pixels but the zeros that a path of zeros, up, down, left and right, connects to the image's
 * border. Zeros inside are dark parts of the garment.
 * @param gray [side, side]
 */
export function outlineOf(gray: Uint8Array, side: number): Uint8Array {
  const outline = new Uint8Array(side * side).fill(1);
  const open: number[] = [];
  const visit = (at: number) => {
    if (gray[at] !== 0 || outline[at] === 0) return;
    outline[at] = 0;
    open.push(at);
  };
  for (let step = 0; step < side; step++) {
    visit(step);
    visit((side - 1) * side + step);
    visit(step * side);
    visit(step * side + side - 1);
  }
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    const column = at % side;
    if (column > 0) visit(at - 1);
    if (column < side - 1) visit(at + 1);
    if (at >= side) visit(at - side);
    if (at < side * (side - 1)) visit(at + side);
  }
  return outline;
}
