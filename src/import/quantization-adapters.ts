import type { Value } from "../graph/graph.ts";
import { cast } from "../ops/elementwise.ts";
import { intAttribute } from "../ops/operator.ts";
import { fakeQuantize } from "../ops/quantization.ts";
import type { Adapter } from "./adapter.ts";

/**
 * A tensor quantised and taken back by the same scale and zero point becomes the one operator that lets the gradient
 * through.
 */
const dequantize: Adapter = (node) => {
  const quantized = source(node.input(0));
  const [x, scale, zero] = quantized?.inputs ?? [];
  const same = quantized && scale === node.inputs[1] && zero === node.inputs[2];
  const type = node.input(0).type;
  if (!same || !x || !scale || !zero || (type !== "uint8" && type !== "int8")) return node.build();
  if (intAttribute(quantized.attributes, "block_size", 0) !== 0) return node.build();
  const axis = intAttribute(node.attributes, "axis", 1);
  return [fakeQuantize(x, scale, cast(zero, x.type), { type, axis })];
};

function source({ origin }: Value) {
  return origin.kind === "node" && origin.node.operator === "QuantizeLinear" ? origin.node : undefined;
}

export const quantizationAdapters: Readonly<Record<string, Adapter>> = { DequantizeLinear: dequantize };
