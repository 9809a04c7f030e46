import type { ImageForm } from "./image-form.ts";
import type { MaskColorOptions } from "./sets/mask-set.ts";
import type { LoadOptions } from "./sources.ts";

// How data are named, and what may be said of them.

export const datasetNames = [
  "fashion-mnist",
  "mnist",
  "digits",
  "cifar10",
  "cifar100",
  "people",
  "wardrobe",
] as const;

/** How picture files become images of one size, and which of them are for testing. */
export interface PictureOptions extends MaskColorOptions {
  /** Height and width. Default 64. */
  size?: number;
  /** 1: gray, 3: RGB (default). */
  channels?: 1 | 3;
  /** Default `"crop"`. */
  fit?: ImageForm["fit"];
  /** Share of each class that is for testing, where no folder or list says so. Default 0.2. */
  testShare?: number;
  /** What to do about files that are no pictures. Default `"refuse"`. */
  onBadImage?: "refuse" | "skip";
}

export interface DataOptions extends LoadOptions {
  /** For picture files. */
  images?: PictureOptions;
  /** Called while pictures are decoded: how many so far. */
  onDecoded?: (pictures: number, total: number) => void;
  /** Where decoded pictures are kept. Default: the folder for caches. */
  cacheFolder?: string;
}

/** Height and width of pictures where nothing is said. */
export const defaultSize = 64;
