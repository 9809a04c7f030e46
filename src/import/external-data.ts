import { readBeside } from "#platform";
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
  return readBeside(model, { location, offset, length }, subject);
}
