import type { Random } from "../common/random.ts";
import { elementCount } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { pick, size } from "../testing/gradient-cases.ts";
import { type NodeCases, testNodes } from "../testing/kernel-cases.ts";
import { float, int, ints } from "./operator.ts";

// Operators that read images between their elements, against ONNX Runtime's kernels. Places lie a little away from where
// the interpolation has a kink, for the finite differences' sake; they reach beyond the image.

const beyond = (random: Random) => 3 * random.uniform() - 1.5;

function gridSample(opset: number, axes: number, modes: readonly string[]): NodeCases {
  return {
    operator: "GridSample",
    opset,
    draw: (random) => {
      const sizes = () => Array.from({ length: axes }, () => size(random));
      const count = size(random, 2);
      return {
        attributes: {
          mode: { string: pick(random, modes) },
          padding_mode: { string: pick(random, ["zeros", "border", "reflection"]) },
          align_corners: int(random.integer(2)),
        },
        inputs: [
          [count, size(random, 3), ...sizes()],
          [count, ...sizes(), axes],
        ],
        draw: (source, input) => (input === 1 ? beyond(source) : source.normal()),
        tolerance: 1e-4,
      };
    },
  };
}

testNodes({
  "GridSample of opset 16": gridSample(16, 2, ["nearest", "bilinear", "bicubic"]),
  "GridSample of images": gridSample(20, 2, ["nearest", "linear", "cubic"]),
  "GridSample of volumes": gridSample(20, 3, ["nearest", "linear"]),
  AffineGrid: {
    operator: "AffineGrid",
    opset: 20,
    draw: (random) => {
      const axes = pick(random, [2, 3]);
      const count = size(random, 3);
      const shape = [count, 2, ...Array.from({ length: axes }, () => size(random))];
      return {
        attributes: { align_corners: int(random.integer(2)) },
        inputs: [[count, axes, axes + 1], tensorData(shape, [shape.length], "int64")],
      };
    },
  },
  RoiAlign: {
    operator: "RoiAlign",
    opset: 16,
    draw: (random) => {
      const [count, regions] = [size(random, 2), size(random, 3)];
      const [height, width] = [1 + size(random, 5), 1 + size(random, 5)];
      const images = Array.from({ length: regions }, () => random.integer(count));
      let drawn = 0;
      return {
        attributes: {
          mode: { string: pick(random, ["avg", "max"]) },
          output_height: int(size(random, 3)),
          output_width: int(size(random, 3)),
          sampling_ratio: int(1 + random.integer(3)),
          spatial_scale: float(pick(random, [1, 0.5])),
          coordinate_transformation_mode: { string: pick(random, ["half_pixel", "output_half_pixel"]) },
        },
        inputs: [
          [count, size(random, 3), height, width],
          [regions, 4],
          tensorData(images, [regions], "int64"),
        ],
        // Left, top, right, bottom.
        draw: (source, input) => {
          if (input === 0) return source.normal();
          const end = drawn++ % 4 >= 2;
          return (end ? 4 : 0) + 2.5 * source.uniform();
        },
        tolerance: 1e-4,
      };
    },
  },
  DeformConv: {
    operator: "DeformConv",
    opset: 19,
    draw: (random) => {
      const [group, parts, count] = [size(random, 2), size(random, 2), size(random, 2)];
      const [channels, outputs] = [group * parts * size(random, 2), group * size(random, 2)];
      const kernel = [size(random, 3), size(random, 3)];
      const strides = [size(random, 2), size(random, 2)];
      const dilations = [size(random, 2), size(random, 2)];
      const pads = [random.integer(2), random.integer(2), random.integer(2), random.integer(2)];
      const shape = kernel.map((taps, axis) => dilations[axis] * (taps - 1) + size(random, 4));
      const out = shape.map((length, axis) => {
        const reach = dilations[axis] * (kernel[axis] - 1) + 1;
        return Math.floor((length + pads[axis] + pads[axis + 2] - reach) / strides[axis]) + 1;
      });
      const taps = elementCount(kernel);
      const [biased, masked] = [random.uniform() < 0.5, random.uniform() < 0.5];
      return {
        attributes: {
          group: int(group),
          offset_group: int(parts),
          strides: ints(strides),
          dilations: ints(dilations),
          pads: ints(pads),
          kernel_shape: ints(kernel),
        },
        inputs: [
          [count, channels, ...shape],
          [outputs, channels / group, ...kernel],
          [count, parts * taps * 2, ...out],
          biased ? [outputs] : undefined,
          masked ? [count, parts * taps, ...out] : undefined,
        ],
        tolerance: 1e-4,
      };
    },
  },
});
