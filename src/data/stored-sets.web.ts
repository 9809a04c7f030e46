import { UserError } from "../common/errors.ts";
import type { DataOptions } from "./data-options.ts";
import type { LoadOptions } from "./sources.ts";
import type { WardrobeOptions } from "./wardrobe/wardrobe.ts";

// `#stored-sets` in a page, which has no files: the digits are part of the program, all else is refused.

/** The file of the digits: a module of its own, loaded with the first use. */
export async function digitsFile(): Promise<Uint8Array<ArrayBuffer>> {
  const { digits } = await import("./digits-base64.js");
  return Uint8Array.from(atob(digits), (letter) => letter.charCodeAt(0));
}

export async function loadNamedSet(name: string, _: DataOptions): Promise<never> {
  throw notHere(name);
}

export async function loadWardrobeSet(
  _options: WardrobeOptions,
  name: string,
  _: LoadOptions,
): Promise<never> {
  throw notHere(name);
}

export async function loadMaskFolder(path: string, _: DataOptions): Promise<never> {
  throw notHere(path);
}

export async function loadPersonFolder(path: string, _: DataOptions): Promise<never> {
  throw notHere(path);
}

export async function loadPath(path: string, _: DataOptions): Promise<never> {
  throw notHere(path);
}

function notHere(name: string): UserError {
  return new UserError(
    `${name} is read from files, which a page does not have; name digits, or give images (imagesFromFiles, or { train, test } as arrays)`,
  );
}
