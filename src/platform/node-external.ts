import { open, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import { UserError } from "../common/errors.ts";
import type { FilePart } from "./platform.ts";

/**
 * A part of a file beside a model's. Where the model's file is a link, as in Hugging Face's cache, it may also lie beside the
 * file that it leads to.
 */
export async function readBeside(
  model: string,
  { location, offset, length }: FilePart,
  subject: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const outside = () =>
    new UserError(
      `${subject}: its values are said to be in "${location}", outside the model's folder; this is refused`,
    );
  if (location === "" || isAbsolute(location) || leaves(location)) throw outside();
  const folder = dirname(model);
  const path = join(folder, location);
  const real = await realpath(path).catch(() => {
    throw new UserError(
      `${subject}: its values should be in "${location}" beside the model; there is no such file`,
    );
  });
  // A link may lead out of the folder too, unless the model's own link leads to the same place.
  const allowed = [await realpath(folder), dirname(await realpath(model))];
  if (allowed.every((place) => leaves(relative(place, real)))) throw outside();
  const file = await open(real);
  try {
    const { size } = await file.stat();
    const start = Number(offset);
    const count = length === undefined ? size - start : Number(length);
    if (
      !(
        Number.isSafeInteger(start) &&
        Number.isSafeInteger(count) &&
        start >= 0 &&
        count >= 0 &&
        start + count <= size
      )
    ) {
      throw new UserError(
        `${subject}: its values should be ${length ?? "the"} bytes at ${offset} of "${location}", which has ${size} bytes`,
      );
    }
    const bytes = new Uint8Array(count);
    await file.read(bytes, 0, count, start);
    return bytes;
  } finally {
    await file.close();
  }
}

function leaves(path: string): boolean {
  return isAbsolute(path) || path.split(/[\\/]/).includes("..") || path.split(sep).includes("..");
}
