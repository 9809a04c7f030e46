import { fromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { widened } from "../import/narrow-types.ts";
import { TensorProtoSchema, type TypeProto } from "../onnx/onnx_pb.ts";
import { readTensor, type TensorData } from "../onnx/tensor.ts";
import { dataTypeName } from "../onnx/types.ts";

// What ONNX's tests are fed and give: files of a tensor, a sequence or an optional (onnx-data.proto).

/** A tensor, the tensors of a sequence, or an optional without either. */
export type Held = TensorData | readonly TensorData[] | null;

/** A value of a file by the type that the model states for it. */
export function readHeld(bytes: Uint8Array, type: TypeProto | undefined): Held {
  const kind = type?.value;
  if (kind?.case === "sequenceType") {
    return fieldsOf(bytes, 3).map((tensor) => readHeld(tensor, kind.value.elemType) as TensorData);
  }
  if (kind?.case === "optionalType") {
    const isSequence = kind.value.elemType?.value.case === "sequenceType";
    const [value] = fieldsOf(bytes, isSequence ? 5 : 3);
    return value ? readHeld(value, kind.value.elemType) : null;
  }
  const tensor = readTensor(fromBinary(TensorProtoSchema, bytes));
  const stated = kind?.case === "tensorType" ? dataTypeName(kind.value.elemType, "a value") : tensor.type;
  // Older files hold bfloat16 as the uint16 that has its bits.
  return stated === "bfloat16" && tensor.type === "uint16"
    ? ({ ...tensor, type: stated } as TensorData)
    : tensor;
}

/** Values by the names of their tensors: those of a sequence are `name.0` and so on. */
export function namedTensors(name: string, held: Held): [name: string, tensor: TensorData][] {
  if (held === null) return [];
  if ("type" in held) return [[name, widened(held)]];
  return held.map((tensor, index) => [`${name}.${index}`, widened(tensor)]);
}

/** The bytes of a message's fields of a number. */
function fieldsOf(bytes: Uint8Array, wanted: number): Uint8Array[] {
  const reader = new BinaryReader(bytes);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === wanted && wireType === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(wireType);
  }
  return found;
}
