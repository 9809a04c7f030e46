import { plainPads, readConvolution } from "../ops/convolution.ts";
import { ints, intsAttribute, stringAttribute } from "../ops/operator.ts";
import type { Adapter } from "./adapter.ts";
import { without } from "./adapter.ts";

/**
 * Padding that a pool leaves to ONNX, as numbers. ONNX Runtime chooses it without regard to dilations, so its output
 * has fewer elements than ONNX states: with numbers it computes what ONNX defines.
 */
const pool: Adapter = (node) => {
  const { attributes } = node;
  if (stringAttribute(attributes, "auto_pad", "NOTSET") === "NOTSET") return node.build();
  const size = node.input(0).shape.slice(2);
  const settings = readConvolution(attributes, size.length);
  const pads = plainPads(attributes, size, intsAttribute(attributes, "kernel_shape", []), settings);
  return node.build(node.inputs, { ...without(attributes, "auto_pad"), pads: ints(pads) });
};

export const poolingAdapters: Readonly<Record<string, Adapter>> = {
  AveragePool: pool,
  LpPool: pool,
  MaxPool: pool,
};
