import { madeBy } from "../graph/walk.ts";
import { isSmallFloat } from "../onnx/small-floats.ts";
import { dataTypeName, dataTypeNumber, isFloat } from "../onnx/types.ts";
import { div } from "../ops/arithmetic.ts";
import { cast } from "../ops/elementwise.ts";
import { int, intAttribute } from "../ops/operator.ts";
import { dequantized, fakeQuantize, type QuantizedType, spread } from "../ops/quantization.ts";
import { roundToType } from "../ops/small-floats.ts";
import type { Adapter, ImportedNode } from "./adapter.ts";
import { without } from "./adapter.ts";

/** The type that a QuantizeLinear makes: as it says, or that of the zero point. */
function targetType(node: ImportedNode) {
  const stated = intAttribute(node.attributes, "output_dtype", 0);
  if (stated) return dataTypeName(stated, "output_dtype");
  return node.inputs[2] ? node.statedType(2) : "uint8";
}

/** To small floats a tensor is only divided and rounded, which the gradient passes; to integers it is one operator. */
const quantize: Adapter = (node) => {
  const [x, scale] = [node.input(0), node.input(1)];
  const type = targetType(node);
  if (isSmallFloat(type)) {
    const saturate = intAttribute(node.attributes, "saturate", 1) === 1;
    const wide = spread(cast(scale, x.type), x, node.attributes);
    return [roundToType(div(x, wide), type, { saturate })];
  }
  const attributes = without(node.attributes, "output_dtype", "saturate", "precision");
  const byDefault = type === (node.inputs[2]?.type ?? "uint8");
  return node.build(
    [x, cast(scale, x.type), node.inputs[2]],
    byDefault ? attributes : { ...attributes, output_dtype: int(dataTypeNumber(type)) },
  );
};

/**
 * A tensor quantized and taken back by the same scale and zero point becomes the one operator that lets the gradient
 * through.
 */
const dequantize: Adapter = (node) => {
  const [q, given] = [node.input(0), node.input(1)];
  if (isFloat(q.type)) return [dequantized(q, given, node.inputs[2], node.attributes)];
  const quantized = madeBy(q, "QuantizeLinear")?.node;
  const [x, scale, zero] = quantized?.inputs ?? [];
  const same = quantized && scale === given && zero === node.inputs[2];
  const attributes = without(node.attributes, "output_dtype");
  if (!same || !x || !scale || !zero) return node.build(node.inputs, attributes);
  if (intAttribute(quantized.attributes, "block_size", 0) !== 0) return node.build(node.inputs, attributes);
  const stated = intAttribute(quantized.attributes, "output_dtype", 0);
  const type = (stated ? dataTypeName(stated, "output_dtype") : q.type) as QuantizedType;
  const axis = intAttribute(node.attributes, "axis", 1);
  return [fakeQuantize(x, scale, cast(zero, x.type), { type, axis })];
};

export const quantizationAdapters: Readonly<Record<string, Adapter>> = {
  QuantizeLinear: quantize,
  DequantizeLinear: dequantize,
};
