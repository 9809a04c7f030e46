import { open, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import { UserError } from "../common/errors.ts";
import type { ModelProto, TensorProto } from "../onnx/onnx_pb.ts";
import { dataLocations } from "../onnx/types.ts";

/**
 * Reads the weights that a model keeps in files beside it, and puts them inside. Where the model's file is a link, as in
 * Hugging Face's cache, they may also lie beside the file that it leads to.
 * @param path the model's file; undefined if it was given as bytes
 * @throws UserError if there is no such file, it is too short, or it lies outside both folders
 */
export async function readExternalData(model: ModelProto, path: string | undefined): Promise<void> {
  for (const tensor of tensorsOf(model)) {
    if (tensor.dataLocation !== dataLocations.external) continue;
    const settings = Object.fromEntries(tensor.externalData.map(({ key, value }) => [key, value]));
    tensor.rawData = await readPart(tensor.name, settings, path);
    tensor.dataLocation = dataLocations.inside;
    tensor.externalData = [];
  }
}

function tensorsOf(model: ModelProto): TensorProto[] {
  const inNodes = (model.graph?.node ?? []).flatMap((node) =>
    node.attribute.flatMap(({ t }) => (t ? [t] : [])),
  );
  return [...(model.graph?.initializer ?? []), ...inNodes];
}

async function readPart(
  name: string,
  { location = "", offset = "0", length }: Record<string, string>,
  model: string | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const subject = `tensor "${name}"`;
  if (model === undefined) {
    throw new UserError(
      `${subject}: its values are in the file "${location}"; give the model's path instead of its bytes`,
    );
  }
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
