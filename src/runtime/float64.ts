import { UserError } from "../common/errors.ts";
import { readModel } from "../onnx/model.ts";
import type { GraphProto } from "../onnx/onnx_pb.ts";
import { dataTypeNumber } from "../onnx/types.ts";

/** Whether a model takes or gives float64. Of bytes that are no model ONNX Runtime says what is wrong with them. */
export function isInFloat64(model: Uint8Array): boolean {
  let graph: GraphProto | undefined;
  try {
    ({ graph } = readModel(model));
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
  return [...(graph?.input ?? []), ...(graph?.output ?? [])].some(
    ({ type }) =>
      type?.value.case === "tensorType" && type.value.value.elemType === dataTypeNumber("float64"),
  );
}
