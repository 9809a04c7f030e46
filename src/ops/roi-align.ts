import { readOptions } from "../common/options.ts";
import { type Attributes, describe, sameShape, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, addAll, mul, sub } from "./arithmetic.ts";
import { and, greaterOrEqual, lessOrEqual } from "./comparison.ts";
import { cast, clip } from "./elementwise.ts";
import { interpolationTerms } from "./interpolation.ts";
import { expand, reshape, transpose } from "./movement.ts";
import {
  composeOperator,
  floatAttribute,
  intAttribute,
  operatorError,
  requireAtMost,
  stringAttribute,
} from "./operator.ts";
import { reduceMax, reduceMean } from "./reduction.ts";
import { slice } from "./slicing.ts";
import { maximum, maximumOf } from "./variadic.ts";

// Regions of images brought to one size (He et al. 2017): each is cut into bins, and each bin read at a few places.

export interface RoiAlignOptions {
  /** Height and width of the result. */
  size: readonly [height: number, width: number];
  /** Elements of the image for each unit of the regions. Default 1. */
  spatialScale?: number;
  /** Places read in each bin, along each axis. Default 2. */
  samplingRatio?: number;
  /** Regions are counted from the outer edge of the first element (default) instead of its center. */
  aligned?: boolean;
  /** `"avg"` (default), or `"max"`, which as in ONNX is that of the weighted neighbors. */
  mode?: "avg" | "max";
}

composeOperator("RoiAlign", {
  since: 16,
  build: ([x, rois, images], attributes) => [roiAlign(x!, rois!, images!, optionsOf(x!, attributes))],
});

function optionsOf(x: Value, attributes: Attributes): RoiAlignOptions {
  const mode = stringAttribute(attributes, "mode", "avg");
  if (mode !== "avg" && mode !== "max") {
    throw operatorError("RoiAlign", x, `mode ${mode} is not known, avg, max are`);
  }
  const coordinates = stringAttribute(attributes, "coordinate_transformation_mode", "half_pixel");
  return {
    mode,
    size: [intAttribute(attributes, "output_height", 1), intAttribute(attributes, "output_width", 1)],
    spatialScale: floatAttribute(attributes, "spatial_scale", 1),
    samplingRatio: intAttribute(attributes, "sampling_ratio", 0),
    aligned: coordinates === "half_pixel",
  };
}

/**
 * Regions [R, 4] (left, top, right, bottom) of the images x [N, C, H, W] that `images` (int64 [R]) names, as
 * [R, C, …size]: torchvision's `roi_align`. It is differentiable for the regions too, which torchvision's is not.
 */
export function roiAlign(x: Value, rois: Value, images: Value, options: RoiAlignOptions): Value {
  readOptions("roiAlign", options, {
    size: "list",
    spatialScale: "number",
    samplingRatio: "number",
    aligned: "boolean",
    mode: ["avg", "max"],
  });
  const { size, spatialScale = 1, samplingRatio = 2, aligned = true, mode = "avg" } = options;
  const [, channels, ...given] = x.shape;
  const count = rois.shape[0];
  if (given.length !== 2 || !sameShape(rois.shape, [count, 4]) || !sameShape(images.shape, [count])) {
    throw operatorError(
      "RoiAlign",
      x,
      `[N, C, H, W], [R, 4] and [R] are wanted; got ${describe(x)}, ${describe(rois)} and ${describe(images)}`,
    );
  }
  if (samplingRatio < 1) {
    throw operatorError(
      "RoiAlign",
      x,
      "with a sampling_ratio of 0 the work depends on the input's values; export the model with 1 or more (detectors have 2)",
    );
  }
  requireAtMost("RoiAlign", x, (size[0] + size[1]) * samplingRatio, "places");
  const shift = aligned ? -0.5 : 0;
  const bound = (column: number) => {
    const part = slice(rois, { axes: [1], starts: [column], ends: [column + 1] });
    return add(mul(part, spatialScale), shift);
  };
  // Along each axis the places of all bins, [R, bins·ratio].
  const places = size.map((bins, axis) => {
    const [start, end] = axis === 0 ? [bound(1), bound(3)] : [bound(0), bound(2)];
    const length = aligned ? sub(end, start) : maximum(sub(end, start), 1);
    const steps = Array.from(
      { length: bins * samplingRatio },
      (_, index) => (index + 0.5) / (bins * samplingRatio),
    );
    const parts = x.graph.constant(tensorData(steps, [1, steps.length], x.type));
    return add(start, mul(length, parts));
  });
  const [rows, columns] = [size[0] * samplingRatio, size[1] * samplingRatio];
  const everywhere = (value: Value, axis: number) =>
    reshape(
      expand(reshape(value, axis === 0 ? [count, rows, 1] : [count, 1, columns]), [count, rows, columns]),
      [count, rows * columns],
    );
  const all = places.map(everywhere);
  // More than one element outside nothing is read; less than one, the edge.
  const [inside, insideX] = all.map((place, axis) =>
    and(greaterOrEqual(place, -1), lessOrEqual(place, given[axis])),
  );
  const there = reshape(cast(and(inside, insideX), x.type), [count * rows * columns, 1]);
  const within = all.map((place, axis) => clip(place, 0, given[axis] - 1));
  const terms = interpolationTerms(x, cast(images, "int64"), within, { mode: "linear", padding: "border" });
  const read = mul(mode === "avg" ? addAll(terms) : maximumOf(terms), there);
  const bins = reshape(read, [count, size[0], samplingRatio, size[1], samplingRatio, channels]);
  return transpose((mode === "avg" ? reduceMean : reduceMax)(bins, [2, 4]), [0, 3, 1, 2]);
}
