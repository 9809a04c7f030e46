import type { Shape, Value } from "../graph/graph.ts";
import { add } from "../ops/arithmetic.ts";
import { conv } from "../ops/convolution.ts";
import { reshape } from "../ops/movement.ts";
import { int, intAttribute, ints, intsAttribute, stringAttribute } from "../ops/operator.ts";
import { pad } from "../ops/padding.ts";
import { type Adapter, type ImportedNode, without } from "./adapter.ts";

// Convolutions and pools: `auto_pad` and `ceil_mode` become explicit padding, as all sizes are known.

interface Window {
  kernel: readonly number[];
  strides: readonly number[];
  dilations: readonly number[];
  pads: readonly number[];
}

function windowOf(node: ImportedNode, size: Shape, kernel: readonly number[]): Window {
  const { attributes } = node;
  const each = (value: number) => size.map(() => value);
  const strides = intsAttribute(attributes, "strides", each(1));
  const dilations = intsAttribute(attributes, "dilations", each(1));
  const explicit = intsAttribute(attributes, "pads", [...each(0), ...each(0)]);
  const auto = stringAttribute(attributes, "auto_pad", "NOTSET");
  const pads = auto === "NOTSET" ? explicit : auto === "VALID" ? explicit.map(() => 0) : samePads();
  return { kernel, strides, dilations, pads };

  /** As many outputs as input/stride, rounded up. */
  function samePads(): number[] {
    const totals = size.map((length, axis) => {
      const reach = dilations[axis] * (kernel[axis] - 1) + 1;
      return Math.max(0, (Math.ceil(length / strides[axis]) - 1) * strides[axis] + reach - length);
    });
    return shared(totals, auto);
  }
}

/** Padding split between both ends; an odd one goes to the end for SAME_UPPER. */
function shared(totals: readonly number[], auto: string): number[] {
  const less = totals.map((total) => Math.floor(total / 2));
  const more = totals.map((total, axis) => total - less[axis]);
  return auto === "SAME_LOWER" ? [...more, ...less] : [...less, ...more];
}

const conv2: Adapter = (node) => {
  const [x, weight] = [node.input(0), node.input(1)];
  const { strides, dilations, pads } = windowOf(node, x.shape.slice(2), weight.shape.slice(2));
  return [
    conv(x, weight, node.inputs[2], {
      strides,
      dilations,
      pads,
      group: intAttribute(node.attributes, "group", 1),
    }),
  ];
};

const convTranspose: Adapter = (node) => {
  const [x, weight, bias] = [node.input(0), node.input(1), node.inputs[2]];
  const size = x.shape.slice(2);
  const { strides, dilations, pads, kernel } = windowOf(node, size, weight.shape.slice(2));
  const outputPadding = intsAttribute(
    node.attributes,
    "output_padding",
    size.map(() => 0),
  );
  const auto = stringAttribute(node.attributes, "auto_pad", "NOTSET");
  const wanted = intsAttribute(
    node.attributes,
    "output_shape",
    auto.startsWith("SAME") ? size.map((length, axis) => length * strides[axis]) : [],
  ).slice(-size.length);
  const totals = wanted.map(
    (length, axis) =>
      strides[axis] * (size[axis] - 1) +
      outputPadding[axis] +
      (kernel[axis] - 1) * dilations[axis] +
      1 -
      length,
  );
  // Here the odd one is at the end unless SAME_UPPER is said: the other way round than in a convolution.
  const surplus = totals.map((total) => Math.max(0, total));
  const cut = totals.length > 0 ? shared(surplus, auto === "SAME_UPPER" ? "SAME_UPPER" : "SAME_LOWER") : pads;
  const missing = totals.length > 0 ? totals.map((total) => Math.max(0, -total)) : size.map(() => 0);
  const [y] = node.build([x, weight], {
    strides: ints(strides),
    dilations: ints(dilations),
    pads: ints(cut),
    group: int(intAttribute(node.attributes, "group", 1)),
    output_padding: ints(outputPadding.map((amount, axis) => amount + missing[axis])),
    kernel_shape: ints(kernel),
  });
  return [bias ? add(y, reshape(bias, perChannel(y, bias))) : y];
};

const pool: Adapter = (node) => {
  const x = node.input(0);
  const size = x.shape.slice(2);
  const window = windowOf(node, size, intsAttribute(node.attributes, "kernel_shape", []));
  const { kernel, strides, dilations } = window;
  if (kernel.length !== size.length) {
    throw node.error(
      `the kernel [${kernel.join(", ")}] needs one size per spatial axis of [${x.shape.join(", ")}]`,
    );
  }
  const extra =
    intAttribute(node.attributes, "ceil_mode", 0) === 1 ? ceilPads(size, window) : size.map(() => 0);
  const rounded = extra.some((amount) => amount > 0);
  const counted = intAttribute(node.attributes, "count_include_pad", 0) === 1;
  const kept = without(node.attributes, "auto_pad", "ceil_mode");
  const settings = {
    ...kept,
    kernel_shape: ints(kernel),
    strides: ints(strides),
    dilations: ints(dilations),
  };
  const [before, after] = [window.pads.slice(0, size.length), window.pads.slice(size.length)];
  if (rounded && counted) {
    // The padding counts, what the rounding adds does not: so the padding becomes part of the input.
    const padded = pad(x, [0, 0, ...before], [0, 0, ...after]);
    const pads = ints([...size.map(() => 0), ...extra]);
    return node.build([padded], { ...settings, pads, count_include_pad: int(0) });
  }
  return node.build([x], {
    ...settings,
    pads: ints([...before, ...after.map((amount, axis) => amount + extra[axis])]),
  });
};

/** Padding at the end that gives the output size of `ceil_mode`. A window that starts in it is left out, as in PyTorch. */
function ceilPads(size: Shape, { kernel, strides, dilations, pads }: Window): number[] {
  return size.map((length, axis) => {
    const reach = dilations[axis] * (kernel[axis] - 1) + 1;
    const padded = length + pads[axis] + pads[axis + size.length];
    let count = Math.ceil((padded - reach) / strides[axis]) + 1;
    if ((count - 1) * strides[axis] >= length + pads[axis]) count--;
    return Math.max(0, (count - 1) * strides[axis] + reach - padded);
  });
}

function perChannel(y: Value, vector: Value): number[] {
  return y.shape.map((_, axis) => (axis === 1 ? vector.shape[0] : 1));
}

export const windowAdapters: Readonly<Record<string, Adapter>> = {
  Conv: conv2,
  ConvTranspose: convTranspose,
  MaxPool: pool,
  AveragePool: pool,
};
