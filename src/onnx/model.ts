// ONNX files: bytes ⇄ ModelProto.

import { fromBinary, isFieldSet, toBinary } from "@bufbuild/protobuf";
import { UserError } from "../common/errors.ts";
import { type GraphProto, type ModelProto, ModelProtoSchema } from "./onnx_pb.ts";

/**
 * The model in the bytes of a file. Fields that the format did not know when this was written are kept and written
 * again by {@link writeModel}. Tensors look at the memory of `bytes`.
 *
 * ```ts
 * const model = readModel(await readFile("model.onnx"), "model.onnx");
 * ```
 * @param name how messages name the file
 * @throws UserError if the bytes are not an ONNX model
 */
export function readModel(bytes: Uint8Array, name = "the file"): ModelProto {
  const refuse = (reason: string) => new UserError(`${name} is not an ONNX model: ${reason}`);
  if (bytes.length === 0) throw refuse("it is empty");
  const other = otherFormats.find(({ offset, start }) => startsWith(bytes, start, offset));
  if (other !== undefined) throw refuse(other.reason);
  let model: ModelProto;
  try {
    // Not a Buffer, whose slices would be views.
    model = fromBinary(ModelProtoSchema, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  } catch (error) {
    throw refuse(explain(error, bytes.length));
  }
  if (!isFieldSet(model, ModelProtoSchema.field.irVersion)) throw refuse("it states no ONNX version");
  if (model.graph === undefined) throw refuse("it holds no graph");
  // Before IR version 3 there was only one operator set.
  if (model.opsetImport.length === 0 && model.irVersion >= 3) throw refuse("it states no operator set");
  return model;
}

/**
 * The bytes of a file that holds the model.
 * @throws UserError if they would be more than the 2 GB that the format (protobuf) allows
 */
export function writeModel(model: ModelProto): Uint8Array<ArrayBuffer> {
  // Before the bytes are gathered, as that many may not fit in memory.
  refuseAbove2GB(model.graph === undefined ? 0 : weightBytes(model.graph));
  const bytes = toBinary(ModelProtoSchema, model);
  refuseAbove2GB(bytes.length);
  return bytes;
}

function refuseAbove2GB(bytes: number) {
  if (bytes < 2 ** 31) return;
  throw new UserError(
    `the model needs ${(bytes / 2 ** 30).toFixed(1)} GB and an ONNX file cannot be larger than 2 GB; weights in a file of their own are not written yet`,
  );
}

function weightBytes(graph: GraphProto): number {
  return graph.initializer.reduce((sum, tensor) => sum + tensor.rawData.length, 0);
}

/** What people mistake for an ONNX file, by how it starts. */
const otherFormats = [
  {
    offset: 0,
    start: "version https://git-lfs",
    reason: "it is a Git LFS pointer; fetch the file itself with git lfs pull",
  },
  { offset: 0, start: "<", reason: "it is a web page or XML" },
  { offset: 0, start: "{", reason: "it is JSON" },
  {
    offset: 0,
    start: "PK\x03\x04",
    reason: "it is a zip archive, such as PyTorch saves; export the model to ONNX",
  },
  { offset: 0, start: "\x1f\x8b", reason: "it is compressed with gzip" },
  {
    offset: 4,
    start: "ORTM",
    reason: "it is in ONNX Runtime's own format; use the .onnx file that it was made from",
  },
] as const;

function startsWith(bytes: Uint8Array, start: string, offset: number): boolean {
  return [...start].every((character, index) => bytes[offset + index] === character.charCodeAt(0));
}

function explain(error: unknown, length: number): string {
  if (error instanceof RangeError) return `it is cut off or damaged (${length} bytes)`;
  // The decoder's own words are about its format ("cant skip wire type 4").
  return "it is damaged, or a file of another format";
}
