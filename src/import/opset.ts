import type { FunctionProto, ModelProto } from "../onnx/onnx_pb.ts";

/** Whether a domain is that of ONNX's own operators. */
export function isOnnxDomain(domain: string): boolean {
  return domain === "" || domain === "ai.onnx";
}

/** The version of ONNX's operator set that a model or one of its functions states; `fallback` where it states none. */
export function opsetOf({ opsetImport }: ModelProto | FunctionProto, fallback = 1): number {
  return Number(opsetImport.find(({ domain }) => isOnnxDomain(domain))?.version ?? fallback);
}
