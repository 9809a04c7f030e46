import { readOptions } from "../common/options.ts";
import { type Attributes, describe, elementCount, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, addAll, mul } from "./arithmetic.ts";
import { asImages, type Interpolation, interpolationTerms, numbered } from "./interpolation.ts";
import { matMul, transposeLast } from "./linear.ts";
import { reshape } from "./movement.ts";
import {
  composeOperator,
  intAttribute,
  operatorError,
  requireAtMost,
  requireConstant,
  stringAttribute,
} from "./operator.ts";
import { slice } from "./slicing.ts";

// Spatial transformers (Jaderberg et al. 2015): images read at a grid of places, and the grid of an affine map.

const modes: Readonly<Record<string, Interpolation["mode"]>> = {
  nearest: "nearest",
  linear: "linear",
  bilinear: "linear",
  cubic: "cubic",
  bicubic: "cubic",
};
const paddings = ["zeros", "border", "reflection"] as const;

composeOperator("GridSample", {
  since: 20,
  build: ([x, grid], attributes) => [gridSample(x!, grid!, optionsOf(x!, attributes))],
});

function optionsOf(x: Value, attributes: Attributes): Interpolation {
  const mode = stringAttribute(attributes, "mode", "linear");
  const asked = stringAttribute(attributes, "padding_mode", "zeros");
  const padding = paddings.find((one) => one === asked);
  if (!Object.hasOwn(modes, mode)) {
    throw operatorError("GridSample", x, `mode ${mode} is not known, ${Object.keys(modes).join(", ")} are`);
  }
  if (!padding) {
    throw operatorError("GridSample", x, `padding_mode ${asked} is not known, ${paddings.join(", ")} are`);
  }
  return { mode: modes[mode], padding, alignCorners: intAttribute(attributes, "align_corners", 0) === 1 };
}

/**
 * Images x [N, C, …size] read at `grid` [N, …out, axes], which names places by numbers from −1 to 1, the last spatial
 * axis first: PyTorch's `grid_sample`. Returns [N, C, …out]. With `alignCorners` −1 and 1 are the centers of the outermost
 * elements, otherwise their outer edges.
 */
export function gridSample(
  x: Value,
  grid: Value,
  options: Interpolation = { mode: "linear", padding: "zeros" },
): Value {
  const kinds = { mode: ["nearest", "linear", "cubic"], padding: paddings, alignCorners: "boolean" } as const;
  readOptions("gridSample", options, kinds);
  const [count, , ...size] = x.shape;
  const out = grid.shape.slice(1, -1);
  if (grid.shape[0] !== count || grid.shape.at(-1) !== size.length || out.length !== size.length) {
    throw operatorError(
      "GridSample",
      x,
      `the grid ${describe(grid)} does not go with ${describe(x)}; [${count}, ${size.map(() => "…").join(", ")}, ${size.length}] is wanted`,
    );
  }
  if (options.mode === "cubic" && size.length !== 2) {
    throw operatorError("GridSample", x, `mode cubic is for [N, C, H, W], got ${describe(x)}`);
  }
  const flat = reshape(grid, [count, elementCount(out), size.length]);
  const places = size.map((length, axis) => {
    const last = size.length - 1 - axis;
    const part = slice(flat, { axes: [2], starts: [last], ends: [last + 1] });
    const half = (options.alignCorners ? length - 1 : length) / 2;
    return add(mul(reshape(part, [count, elementCount(out)]), half), (length - 1) / 2);
  });
  return asImages(addAll(interpolationTerms(x, numbered(x, count), places, options)), count, out);
}

composeOperator("AffineGrid", {
  since: 20,
  build: ([theta, size], attributes) => {
    const [, , ...out] = requireConstant("AffineGrid", theta!, size, "size");
    // Between the corners of an axis of one place is nothing; ONNX Runtime takes the last of them.
    return [affineGridOf(theta!, out, intAttribute(attributes, "align_corners", 0) === 1, 1)];
  },
});

/** The grid [N, …size, axes] for `gridSample` of affine maps [N, axes, axes + 1]: PyTorch's `affine_grid`. */
export function affineGrid(theta: Value, size: readonly number[], alignCorners = false): Value {
  return affineGridOf(theta, size, alignCorners, 0);
}

/** @param alone where the corners are aligned, the place of a point that is alone on its axis */
function affineGridOf(theta: Value, size: readonly number[], alignCorners: boolean, alone: number): Value {
  const axes = size.length;
  const [count, rows, columns] = theta.shape;
  if (theta.shape.length !== 3 || rows !== axes || columns !== axes + 1) {
    throw operatorError(
      "AffineGrid",
      theta,
      `${describe(theta)} is no list of maps for ${axes} axes; [N, ${axes}, ${axes + 1}] is wanted`,
    );
  }
  requireAtMost("AffineGrid", theta, elementCount(size) * columns, "numbers");
  const along = (at: number, length: number) => {
    if (!alignCorners) return (2 * at + 1) / length - 1;
    return length > 1 ? (2 * at) / (length - 1) - 1 : alone;
  };
  const points = Array.from({ length: elementCount(size) }, (_, index) => {
    const place = size.map((length, axis) => Math.floor(index / elementCount(size.slice(axis + 1))) % length);
    return [...place.map((at, axis) => along(at, size[axis])).reverse(), 1];
  });
  const base = theta.graph.constant(tensorData(points.flat(), [1, elementCount(size), columns], theta.type));
  return reshape(matMul(base, transposeLast(theta)), [count, ...size, axes]);
}
