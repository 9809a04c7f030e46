import type { Random } from "../../common/random.ts";
import { noiseFrom } from "../pixel-noise.ts";
import type { ImageClasses } from "../source.ts";
import { type Color, paintBackground } from "./background.ts";
import { type Garment, garmentAt } from "./garment.ts";

// A scene: some garments on a textured background, turned, scaled, dyed, one over the other, under a light.

/** Where and how a garment lies in a scene. */
export interface Placement {
  /** Of its image among the garments. */
  readonly index: number;
  /** The middle of its image in pixels of the scene; pixel (0, 0) has its center at (0.5, 0.5). */
  readonly x: number;
  readonly y: number;
  /** Radians, clockwise on screen. */
  readonly angle: number;
  /** Height and width of its image in pixels of the scene. */
  readonly side: number;
  readonly color: Color;
}

export interface Scene {
  /** [3, size, size] */
  image: Uint8Array<ArrayBuffer>;
  /** [size, size]: 0 for the background, or 1 + the class of the garment on top. */
  mask: Uint8Array<ArrayBuffer>;
  /** The garments in it, the lowest first. */
  placements: readonly Placement[];
}

/** A placed garment on the pixels of a scene that it may touch. */
interface Layer {
  readonly garment: Garment;
  readonly placement: Placement;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** [height, width]: the share of each pixel that the garment covers. */
  readonly coverage: Float32Array;
  /** [height, width]: gray values, 0 … 1, times the coverage. */
  readonly gray: Float32Array;
}

/** A garment covers a pixel, in the mask, from this share on. */
const covers = 0.5;

/** Garments of which less is visible, as a share of what they show alone, are left out. */
const leastVisible = 0.15;

const between = (random: Random, low: number, high: number) => low + (high - low) * random.uniform();

export interface SceneOptions {
  /** Height and width in pixels. */
  size: number;
  /** Most garments; the least is one. */
  garments: number;
  /** Largest angle that garments are turned by, to either side, in degrees. */
  turn: number;
  /** Smallest and largest height and width of a garment's image, in percent of the scene's. */
  smallest: number;
  largest: number;
}

/**
 * Draws a scene: the same arguments and state of the random stream give the same one.
 * @param garments square gray images
 */
export function drawScene(garments: ImageClasses, random: Random, options: SceneOptions): Scene {
  const { size, garments: most } = options;
  const drawn = Array.from({ length: 1 + random.integer(most) }, () =>
    drawPlacement(garments, random, options),
  );
  const mask = new Uint8Array(size * size);
  // From the top down: whether a garment stays depends on those above it alone.
  const kept: Layer[] = [];
  for (const placement of drawn.toReversed()) {
    const layer = layerOf(garmentAt(garments, placement.index), placement, size);
    let [own, visible] = [0, 0];
    visitCovered(layer, size, (at) => {
      own++;
      if (mask[at] === 0) visible++;
    });
    if (visible === 0 || visible < leastVisible * own) continue;
    visitCovered(layer, size, (at) => {
      if (mask[at] === 0) mask[at] = 1 + layer.garment.class;
    });
    kept.unshift(layer);
  }
  const pixels = new Float32Array(3 * size * size);
  paintBackground(pixels, size, random);
  for (const layer of kept) paintLayer(pixels, size, layer);
  return {
    image: exposed(pixels, size, random),
    mask,
    placements: kept.map(({ placement }) => placement),
  };
}

function drawPlacement(
  { count }: ImageClasses,
  random: Random,
  { size, turn, smallest, largest }: SceneOptions,
): Placement {
  const angle = (turn * Math.PI) / 180;
  const tone = () => between(random, 0.15, 1);
  return {
    index: random.integer(count),
    x: between(random, 0.12, 0.88) * size,
    y: between(random, 0.12, 0.88) * size,
    angle: between(random, -angle, angle),
    side: (between(random, smallest, largest) / 100) * size,
    color: [tone(), tone(), tone()],
  };
}

/** Samples a garment at the centers of a scene's pixels, bilinearly between the centers of its own. */
function layerOf(garment: Garment, placement: Placement, size: number): Layer {
  const { side, gray: own, outline } = garment;
  const { x, y, angle } = placement;
  const inward = side / placement.side;
  const [cosine, sine] = [Math.cos(angle) * inward, Math.sin(angle) * inward];
  const reach = ((placement.side + 2 / inward) / 2) * (Math.abs(Math.cos(angle)) + Math.abs(Math.sin(angle)));
  const clamp = (value: number) => Math.min(size, Math.max(0, value));
  const [left, top] = [clamp(Math.floor(x - reach)), clamp(Math.floor(y - reach))];
  const [width, height] = [clamp(Math.ceil(x + reach)) - left, clamp(Math.ceil(y + reach)) - top];
  const coverage = new Float32Array(width * height);
  const gray = new Float32Array(width * height);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const dx = left + column + 0.5 - x;
      const dy = top + row + 0.5 - y;
      const u = dx * cosine + dy * sine + (side - 1) / 2;
      const v = dy * cosine - dx * sine + (side - 1) / 2;
      if (u <= -1 || v <= -1 || u >= side || v >= side) continue;
      const first = Math.floor(u);
      const above = Math.floor(v);
      let share = 0;
      let light = 0;
      for (let j = Math.max(0, above); j <= above + 1 && j < side; j++) {
        for (let i = Math.max(0, first); i <= first + 1 && i < side; i++) {
          const weight = (1 - Math.abs(u - i)) * (1 - Math.abs(v - j)) * outline[j * side + i];
          share += weight;
          light += (weight * own[j * side + i]) / 255;
        }
      }
      coverage[row * width + column] = share;
      gray[row * width + column] = light;
    }
  }
  return { garment, placement, left, top, width, height, coverage, gray };
}

/** Calls `visit` for the pixels of a scene that a layer covers, as the mask has it. */
function visitCovered(
  { left, top, width, height, coverage }: Layer,
  size: number,
  visit: (at: number) => void,
): void {
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      if (coverage[row * width + column] >= covers) visit((top + row) * size + left + column);
}

/** Cloth of gray value 0 still gives a little of its color back. */
const darkest = 0.08;

function paintLayer(pixels: Float32Array, size: number, layer: Layer): void {
  const { left, top, width, height, coverage, gray } = layer;
  const { color } = layer.placement;
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const share = coverage[row * width + column];
      if (share === 0) continue;
      const cloth = darkest * share + (1 - darkest) * gray[row * width + column];
      const at = (top + row) * size + left + column;
      for (let channel = 0; channel < 3; channel++) {
        const index = channel * size * size + at;
        pixels[index] = (1 - share) * pixels[index] + cloth * color[channel];
      }
    }
  }
}

/** The picture as bytes: under a light from a side, of some brightness and tint, with the camera's noise. */
function exposed(pixels: Float32Array, size: number, random: Random): Uint8Array<ArrayBuffer> {
  const brightness = between(random, 0.7, 1.2);
  const angle = between(random, 0, 2 * Math.PI);
  const fall = between(random, 0, 0.4) / size;
  const [right, down] = [fall * Math.cos(angle), fall * Math.sin(angle)];
  // Uniform numbers of the same deviation look like normal ones.
  const noise = between(random, 0, 0.03) * Math.sqrt(12);
  const next = noiseFrom(random.integer(2 ** 32));
  const bytes = new Uint8ClampedArray(pixels.length);
  let at = 0;
  for (let channel = 0; channel < 3; channel++) {
    const gain = brightness * between(random, 0.88, 1.12);
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) {
        const light = gain * (1 + right * (2 * column - size) + down * (2 * row - size));
        bytes[at] = 255 * (light * pixels[at] + noise * (next() - 0.5));
        at++;
      }
    }
  }
  return new Uint8Array(bytes.buffer);
}
