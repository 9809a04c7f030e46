import { elementCount } from "../../graph/graph.ts";
import type { AttributeValue } from "../../onnx/attributes.ts";
import { float, int, ints } from "../../ops/operator.ts";
import type { Drawing, Drawn, Given } from "./drawing.ts";
import { asFloat, type Template } from "./elementwise.ts";

/** A window over the axes of space of an image, with what it gives. */
interface Window {
  attributes: Record<string, AttributeValue>;
  kernel: number[];
  sizes: number[];
}

interface WindowRules {
  dilations: boolean;
  ceil: boolean;
  /** Whether kernel_shape may be left out, being that of the weight. */
  impliedKernel?: boolean;
  mostPads?: (kernel: number) => number;
}

function window(g: Drawing, space: readonly number[], rules: WindowRules): Window {
  const axes = space.length;
  const kernel = space.map((size) => g.between(1, Math.min(3, size)));
  const strides = g.chance(0.5) ? space.map(() => 1) : space.map(() => g.between(1, 2));
  const dilations =
    rules.dilations && g.chance(0.3)
      ? space.map((size, at) => (2 * (kernel[at] - 1) < size ? 2 : 1))
      : space.map(() => 1);
  const reach = kernel.map((size, at) => (size - 1) * dilations[at] + 1);
  const attributes: Record<string, AttributeValue> = {};
  if (!rules.impliedKernel || g.chance(0.6)) attributes.kernel_shape = ints(kernel);
  if (strides.some((stride) => stride > 1) || g.chance(0.4)) attributes.strides = ints(strides);
  if (rules.dilations && (dilations.some((each) => each > 1) || g.chance(0.3)))
    attributes.dilations = ints(dilations);
  // ONNX Runtime's pools take no account of dilations where they choose the padding.
  const chooses = dilations.every((each) => each === 1) || rules.impliedKernel === true;
  const auto = chooses && g.chance(0.3) ? g.pick(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"]) : undefined;
  if (auto) attributes.auto_pad = { string: auto };
  if (auto?.startsWith("SAME")) {
    return { attributes, kernel, sizes: space.map((size, at) => Math.ceil(size / strides[at])) };
  }
  const most = rules.mostPads ?? ((size: number) => size - 1);
  const padded = auto !== "VALID" && g.chance(0.5);
  const pads = Array.from({ length: 2 * axes }, (_, at) =>
    padded ? g.between(0, most(kernel[at % axes])) : 0,
  );
  if (padded) attributes.pads = ints(pads);
  const ceil = rules.ceil && g.chance(0.3);
  if (ceil) attributes.ceil_mode = int(1);
  const sizes = space.map((size, at) => {
    const room = size + pads[at] + pads[at + axes] - reach[at];
    const places = (ceil ? Math.ceil : Math.floor)(room / strides[at]) + 1;
    // A window that would begin in the padding at the end is left out.
    return ceil && (places - 1) * strides[at] >= size + pads[at] ? places - 1 : places;
  });
  return { attributes, kernel, sizes };
}

function convolution(g: Drawing): Drawn {
  const axes = g.pick([1, 2, 2, 2, 3]);
  const x = g.images(axes);
  const [n, channels, ...space] = x.shape;
  const group = g.chance(0.3) ? g.pick([1, 2, 3, 4].filter((count) => channels % count === 0)) : 1;
  const filters = group * g.between(1, 3);
  const { attributes, kernel, sizes } = window(g, space, {
    dilations: true,
    ceil: false,
    impliedKernel: true,
  });
  if (group > 1 || g.chance(0.2)) attributes.group = int(group);
  const weight = g.parameter([filters, channels / group, ...kernel], 0.5);
  const bias = g.chance(0.6) ? g.parameter([filters]) : undefined;
  const size = x.size * Math.sqrt(elementCount(kernel) * channels);
  return g.node("Conv", [x, weight, bias], attributes, { shape: [n, filters, ...sizes], size });
}

function transposedConvolution(g: Drawing): Drawn {
  const axes = g.pick([1, 2, 2, 3]);
  const x = g.tensor(
    (shape) => shape.length === axes + 2 && shape[1] <= 4,
    () => [1, g.between(1, 4), ...Array.from({ length: axes }, () => g.between(1, 3))],
  );
  const [n, channels, ...space] = x.shape;
  const group = g.chance(0.3) ? g.pick([1, 2, 3].filter((count) => channels % count === 0)) : 1;
  const each = g.between(1, 2);
  const kernel = space.map(() => g.between(1, 3));
  const strides = space.map(() => g.between(1, 2));
  const dilations = space.map(() => (g.chance(0.2) ? 2 : 1));
  const attributes: Record<string, AttributeValue> = { strides: ints(strides) };
  if (dilations.some((one) => one > 1)) attributes.dilations = ints(dilations);
  if (g.chance(0.5)) attributes.kernel_shape = ints(kernel);
  if (group > 1) attributes.group = int(group);
  const extra = strides.map((stride) => (g.chance(0.3) ? g.between(0, stride - 1) : 0));
  if (extra.some((one) => one > 0)) attributes.output_padding = ints(extra);
  const reach = kernel.map((size, at) => (size - 1) * dilations[at] + 1);
  const pads = Array.from({ length: 2 * axes }, (_, at) =>
    g.chance(0.5) ? 0 : Math.min(1, Math.floor((reach[at % axes] - 1) / 2)),
  );
  if (pads.some((pad) => pad > 0)) attributes.pads = ints(pads);
  const sizes = space.map(
    (size, at) => strides[at] * (size - 1) + extra[at] + reach[at] - pads[at] - pads[at + axes],
  );
  const weight = g.parameter([channels, each, ...kernel], 0.5);
  const bias = g.chance(0.5) ? g.parameter([each * group]) : undefined;
  return g.node("ConvTranspose", [x, weight, bias], attributes, {
    shape: [n, each * group, ...sizes],
    size: x.size * 3,
  });
}

function pool(g: Drawing, operator: "MaxPool" | "AveragePool" | "LpPool"): Drawn | readonly Drawn[] {
  const axes = g.pick(operator === "LpPool" ? [1, 2] : [1, 2, 2, 3]);
  const x = g.images(axes);
  const [n, channels, ...space] = x.shape;
  const dilations = { MaxPool: 10, AveragePool: 19, LpPool: 18 }[operator];
  const ceil = { MaxPool: 10, AveragePool: 10, LpPool: 18 }[operator];
  const { attributes, sizes } = window(g, space, {
    dilations: g.opset >= dilations,
    ceil: g.opset >= ceil,
  });
  const shape = [n, channels, ...sizes];
  if (operator === "AveragePool" && g.chance(0.5)) attributes.count_include_pad = int(g.between(0, 1));
  if (operator === "LpPool" && g.chance(0.6)) attributes.p = int(g.between(1, 3));
  if (operator === "MaxPool" && g.opset >= 8 && g.chance(0.25)) {
    const [y, at] = g.nodeOf("MaxPool", [x], attributes, [{ shape }, { shape, type: "int64", size: 50 }]);
    return [y, asFloat(g, at)];
  }
  return g.node(operator, [x], attributes, { shape, size: operator === "LpPool" ? x.size * 3 : x.size });
}

function deformableConvolution(g: Drawing): Drawn {
  const x = g.images();
  const [n, channels, ...space] = x.shape;
  const kernel = space.map((size) => g.between(1, Math.min(2, size)));
  const sizes = space.map((size, at) => size - kernel[at] + 1);
  const filters = g.between(1, 2);
  const taps = kernel[0] * kernel[1];
  const offsets = g.parameter([n, 2 * taps, ...sizes], 0.4);
  const bias = g.chance(0.5) ? g.parameter([filters]) : undefined;
  const mask = g.chance(0.5) ? g.parameter([n, taps, ...sizes]) : undefined;
  const inputs = [x, g.parameter([filters, channels, ...kernel]), offsets, bias, mask];
  return g.node(
    "DeformConv",
    inputs,
    { kernel_shape: ints(kernel) },
    { shape: [n, filters, ...sizes], size: x.size * 3 },
  );
}

function resize(g: Drawing, operator: "Resize" | "Upsample"): Drawn {
  const x = g.images();
  const [n, c, h, w] = x.shape;
  const modes = ["nearest", "linear", ...(g.opset >= 11 && operator === "Resize" ? ["cubic"] : [])];
  const mode = g.pick(modes);
  const factors = operator === "Upsample" || g.opset < 11 ? [1, 2, 3] : [0.5, 1, 1.5, 2];
  const scales = [1, 1, g.pick(factors), g.pick(factors)];
  const sizes = [n, c, Math.floor(h * scales[2]), Math.floor(w * scales[3])];
  const attributes: Record<string, AttributeValue> =
    mode === "nearest" && g.chance(0.4) ? {} : { mode: { string: mode } };
  const stated = (values: readonly number[]) =>
    g.store([values.length], values, { type: "float32", fixedType: true });
  if (operator === "Upsample" && g.opset < 9) {
    return g.node("Upsample", [x], { ...attributes, scales: { floats: scales } }, { shape: sizes });
  }
  if (operator === "Upsample" || g.opset < 11)
    return g.node(operator, [x, stated(scales)], attributes, { shape: sizes });
  if (g.chance(0.7)) {
    attributes.coordinate_transformation_mode = {
      string: g.pick(["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]),
    };
  }
  if (mode === "nearest" && g.chance(0.6)) {
    attributes.nearest_mode = {
      string: g.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]),
    };
  }
  if (mode === "cubic" && g.chance(0.5)) attributes.cubic_coeff_a = float(-0.5);
  if (mode === "cubic" && g.chance(0.3)) attributes.exclude_outside = int(1);
  if (g.opset >= 18 && mode !== "nearest" && g.chance(0.3)) attributes.antialias = int(1);
  const roi = g.opset < 13 ? stated([]) : undefined;
  if (g.chance(0.5)) {
    const asked = sizes.map((size, at) => (at > 1 && g.chance(0.5) ? g.between(1, 6) : size));
    if (g.opset >= 18 && g.chance(0.5)) {
      attributes.axes = ints([2, 3]);
      return g.node("Resize", [x, roi, undefined, g.integers(asked.slice(2))], attributes, { shape: asked });
    }
    const empty = g.opset < 13 ? stated([]) : undefined;
    return g.node("Resize", [x, roi, empty, g.integers(asked)], attributes, { shape: asked });
  }
  return g.node("Resize", [x, roi, stated(scales)], attributes, { shape: sizes });
}

function gridSample(g: Drawing): Drawn {
  const x = g.images();
  const [n, c] = x.shape;
  const [h, w] = [g.between(1, 3), g.between(1, 3)];
  const grid = g.bounded(g.parameter([n, h, w, 2]), 1);
  const newer = g.opset >= 20;
  const modes = newer ? ["linear", "nearest", "cubic"] : ["bilinear", "nearest", "bicubic"];
  const attributes: Record<string, AttributeValue> = {
    ...(g.chance(0.6) && { mode: { string: g.pick(modes) } }),
    ...(g.chance(0.6) && { padding_mode: { string: g.pick(["zeros", "border", "reflection"]) } }),
    ...(g.chance(0.5) && { align_corners: int(g.between(0, 1)) }),
  };
  return g.node("GridSample", [x, grid], attributes, { shape: [n, c, h, w] });
}

function roiAlign(g: Drawing): Drawn {
  const x = g.images();
  const [n, c, h, w] = x.shape;
  const count = g.between(1, 2);
  const corners = Array.from({ length: count }, () => [
    g.random.uniform(),
    g.random.uniform(),
    w - 1.2 - g.random.uniform(),
    h - 1.2 - g.random.uniform(),
  ]).flat();
  const rois = g.store([count, 4], corners);
  const batch = g.indices(
    [count],
    Array.from({ length: count }, () => g.between(0, n - 1)),
  );
  const [height, width] = [g.between(1, 2), g.between(1, 2)];
  const mode = g.pick(["avg", "avg", "max"]);
  const attributes: Record<string, AttributeValue> = {
    output_height: int(height),
    output_width: int(width),
    // The largest of several samples is wrong in ONNX Runtime, which says so.
    ...(mode === "max"
      ? { mode: { string: mode }, sampling_ratio: int(1) }
      : { sampling_ratio: int(g.between(1, 2)) }),
    ...(g.chance(0.5) && { spatial_scale: float(0.75) }),
    ...(g.opset >= 16 &&
      g.chance(0.5) && {
        coordinate_transformation_mode: { string: g.pick(["half_pixel", "output_half_pixel"]) },
      }),
  };
  return g.node("RoiAlign", [x, rois, batch], attributes, { shape: [count, c, height, width] });
}

function overall(operator: string, attributes: (g: Drawing) => Given = () => ({})): Template {
  return {
    since: 7,
    draw: (g) => {
      const x = g.images(g.pick([1, 2, 2]));
      const shape = [...x.shape.slice(0, 2), ...x.shape.slice(2).map(() => 1)];
      return g.node(operator, [x], attributes(g), { shape, size: x.size * 3 });
    },
  };
}

export const windowTemplates: Readonly<Record<string, Template>> = {
  Conv: { since: 7, draw: convolution },
  ConvTranspose: { since: 7, draw: transposedConvolution },
  MaxPool: { since: 7, draw: (g) => pool(g, "MaxPool") },
  AveragePool: { since: 7, draw: (g) => pool(g, "AveragePool") },
  LpPool: { since: 7, draw: (g) => pool(g, "LpPool") },
  GlobalAveragePool: overall("GlobalAveragePool"),
  GlobalMaxPool: overall("GlobalMaxPool"),
  GlobalLpPool: {
    ...overall("GlobalLpPool", (g) => (g.chance(0.6) ? { p: int(g.between(1, 3)) } : {})),
    until: 21,
  },
  DeformConv: { since: 19, draw: deformableConvolution },
  Resize: { since: 10, draw: (g) => resize(g, "Resize") },
  Upsample: { since: 7, until: 9, draw: (g) => resize(g, "Upsample") },
  GridSample: { since: 16, draw: gridSample },
  AffineGrid: {
    since: 20,
    draw: (g) => {
      const n = g.between(1, 2);
      const theta = g.parameter([n, 2, 3], 0.4);
      const [c, h, w] = [1, g.between(1, 3), g.between(1, 3)];
      const align = g.chance(0.5) ? { align_corners: int(g.between(0, 1)) } : {};
      return g.node("AffineGrid", [theta, g.integers([n, c, h, w])], align, { shape: [n, h, w, 2] });
    },
  },
  RoiAlign: { since: 10, until: 21, draw: roiAlign },
  Col2Im: {
    since: 18,
    draw: (g) => {
      const [h, w] = [g.between(2, 4), g.between(2, 4)];
      const block = [g.between(1, 2), g.between(1, 2)];
      const places = (h - block[0] + 1) * (w - block[1] + 1);
      const [n, c] = [1, g.between(1, 2)];
      const wanted = [n, c * block[0] * block[1], places];
      const x = g.tensor(
        (shape) => shape.join() === wanted.join(),
        () => wanted,
      );
      return g.node(
        "Col2Im",
        [x, g.integers([h, w]), g.integers(block)],
        {},
        { shape: [n, c, h, w], size: x.size * 4 },
      );
    },
  },
};
