import { constantNumbers } from "../graph/constants.ts";
import { elementCount, type Value } from "../graph/graph.ts";
import { madeBy } from "../graph/walk.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul, reciprocal, square, sub } from "../ops/arithmetic.ts";
import { equal, greater, where } from "../ops/comparison.ts";
import { allButChannels } from "../ops/convolution.ts";
import { cast, sqrt } from "../ops/elementwise.ts";
import { matMul } from "../ops/linear.ts";
import { concat, reshape } from "../ops/movement.ts";
import { apply, floatAttribute, intAttribute, normalizeAxes } from "../ops/operator.ts";
import { readPool } from "../ops/pooling.ts";
import { reduceMax, reduceMean } from "../ops/reduction.ts";
import { inputGradientForms } from "./input-gradient.ts";
import { scatteredMaxima } from "./pooling.ts";
import type { LoweringRule } from "./rule.ts";
import { plainLogSoftmax } from "./softmax.ts";
import type { Lack } from "./target.ts";
import { seenBy, tapsOf } from "./weight-gradient.ts";

// What a device has no kernel for, in operators that every device has. Sums are the same in another order, choices the same.

/** By the operator that is lowered: what has to be lacking, and the form then. */
export const portableRules: Readonly<Record<string, { lack: Lack; rule: LoweringRule }>> = {
  BatchNormTraining: {
    lack: "batch-statistics",
    rule: ([x, scale, bias], { attributes }) => {
      const wide = (vector: Value) =>
        reshape(
          vector,
          x.shape.map((size, axis) => (axis === 1 ? size : 1)),
        );
      const axes = allButChannels(x);
      const mean = reduceMean(x, axes, true);
      const centered = sub(x, mean);
      const variance = reduceMean(square(centered), axes, true);
      const deviation = sqrt(add(variance, floatAttribute(attributes, "epsilon", 1e-5)));
      const y = add(mul(centered, mul(reciprocal(deviation), wide(scale))), wide(bias));
      return [y, reshape(mean, scale.shape), reshape(variance, scale.shape)];
    },
  },
  LogSoftmax: {
    lack: "log-softmax",
    rule: ([x], node) => [plainLogSoftmax(x, node)],
  },
  ScatterElements: {
    lack: "maximum-places",
    rule: ([data, places, updates], node) => {
      const found = scatteredMaxima([data, places, updates], node);
      return found && [reshape(spreadToMaxima(found), node.outputs[0].shape)];
    },
  },
  // Which of the places 0, 1, … along the last axis the first maximum stands at: the gradient of GlobalMaxPool.
  Equal: {
    lack: "maximum-places",
    rule: ([places, first]) => {
      const found = madeBy(first, "ArgMax");
      const [x] = (found?.node.inputs ?? []) as readonly Value[];
      const last = x && x.shape.length - 1;
      const isLast =
        found && normalizeAxes("ArgMax", x, [intAttribute(found.node.attributes, "axis", 0)])[0] === last;
      const keeps = found && intAttribute(found.node.attributes, "keepdims", 1) === 1;
      const isFirst = found && intAttribute(found.node.attributes, "select_last_index", 0) === 0;
      const count = constantNumbers(places);
      const counts = count?.length === x?.shape[last ?? 0] && count?.every((value, index) => value === index);
      if (!x || !isLast || !keeps || !isFirst || !counts) return undefined;
      const [size] = x.shape.slice(-1);
      const rows = reshape(x, [elementCount(x.shape) / size, size, 1]);
      const chosen = firstOf(equal(rows, reduceMax(rows, [1], true)), x.type);
      return [greater(reshape(chosen, x.shape), 0)];
    },
  },
};

/**
 * What MaxPool's windows hand back to its input x [N, C, …size] goes to the first maximum of each: windows may overlap, so a
 * place may get several.
 *
 *   seen, chosen [N·C, taps, places]: what the tap of a window sees, and 1 where it is the window's first maximum, else 0
 */
function spreadToMaxima({
  x,
  y,
  gradient,
  attributes,
}: NonNullable<ReturnType<typeof scatteredMaxima>>): Value {
  const { kernel, strides, pads, dilations, size } = readPool(x, attributes);
  const window = { strides, pads, dilations, group: 1 };
  const taps = tapsOf(kernel);
  const images = x.shape[0] * x.shape[1];
  const places = elementCount(size);
  const padded = padLow(x, pads);
  const seen = concat(
    taps.map((tap) =>
      reshape(seenBy(padded, tap, { places: size, strides, dilations }), [images, 1, places]),
    ),
    1,
  );
  const isMaximum = equal(seen, reshape(y, [images, 1, places]));
  const sent = mul(firstOf(isMaximum, x.type), reshape(gradient, [images, 1, places]));
  // One filter per tap, which puts the tap's number where it looked.
  const ones = taps.flatMap((_, tap) => taps.map((_, other) => (tap === other ? 1 : 0)));
  const filters = x.graph.constant(tensorData(ones, [taps.length, 1, ...kernel], x.type));
  const spread = inputGradientForms.transposed(
    reshape(sent, [images, taps.length, ...size]),
    filters,
    x.shape.slice(2),
    window,
  );
  return reshape(spread, x.shape);
}

/** 1 at the first that holds along axis 1 of [images, n, places], else 0. */
function firstOf(holds: Value, type: Value["type"]): Value {
  const [, count] = holds.shape;
  const found = cast(holds, type);
  const earlier = Array.from({ length: count * count }, (_, at) =>
    at % count < Math.floor(at / count) ? 1 : 0,
  );
  const before = matMul(holds.graph.constant(tensorData(earlier, [count, count], type)), found);
  return where(greater(before, 0), 0, found);
}

/** x [N, C, …] with padding below every number. */
function padLow(x: Value, pads: readonly number[]): Value {
  if (pads.every((amount) => amount === 0)) return x;
  const axes = pads.length / 2;
  const amounts = [0, 0, ...pads.slice(0, axes), 0, 0, ...pads.slice(axes)];
  const { graph } = x;
  const vector = graph.constant(tensorData(amounts, [amounts.length], "int64"));
  return apply("Pad", [x, vector, graph.scalar(-3e38, x.type)])[0];
}
