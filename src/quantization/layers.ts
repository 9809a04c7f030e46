import { readAttributes } from "../onnx/attributes.ts";
import type { NodeProto } from "../onnx/onnx_pb.ts";

// Layers with weights: convolutions and linear layers.

/** The axis of a layer's weights that its output channels are; undefined for other nodes. */
export function outputAxis(node: NodeProto): number | undefined {
  if (node.domain !== "" && node.domain !== "ai.onnx") return undefined;
  switch (node.opType) {
    case "Conv":
      return 0;
    case "ConvTranspose":
      return groupsOf(node) === 1 ? 1 : undefined;
    case "Gemm": {
      const { transA, transB, alpha, beta } = readAttributes(node.attribute);
      const is = (value: typeof alpha, wanted: number) =>
        !value || ("float" in value && value.float === wanted);
      if (transA && "int" in transA && transA.int !== 0) return undefined;
      if (!is(alpha, 1) || !is(beta, 1)) return undefined;
      return transB && "int" in transB && transB.int !== 0 ? 0 : 1;
    }
    case "MatMul":
      return 1;
    default:
      return undefined;
  }
}

/** What the bias of a layer that has none is called when it gets one. */
export function biasNameOf({ input: [, weight] }: NodeProto): string {
  return weight.endsWith(".weight") ? weight.replace(/weight$/, "bias") : `${weight}_bias`;
}

/** How many groups a convolution has. */
export function groupsOf(node: NodeProto): number {
  const { group } = readAttributes(node.attribute);
  return group && "int" in group ? group.int : 1;
}
