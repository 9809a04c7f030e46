import type { Random } from "../common/random.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { type Case, pick, size, testGradients } from "../testing/gradient-cases.ts";
import { type NodeCase, type NodeCases, testNodes } from "../testing/kernel-cases.ts";
import { square } from "./arithmetic.ts";
import { apply, float, int, ints } from "./operator.ts";
import { resize } from "./resize.ts";

// Resize by matrices against ONNX Runtime's kernel.

const coordinates = ["half_pixel", "align_corners", "asymmetric"] as const;

function resizing(mode: "nearest" | "linear" | "cubic", transform: (typeof coordinates)[number]): Case {
  return (random) => {
    const [height, width] = [1 + size(random), 1 + size(random)];
    const sizes = [1, 2, pick(random, [2, 4, 8, height]), pick(random, [2, 4, 8, width])];
    return {
      shapes: [[1, 2, pick(random, [2, 4, height]), pick(random, [2, 4, width])]],
      build: ([x]) => square(resize(x, sizes, { mode, coordinates: transform })),
    };
  };
}

testGradients({
  ...Object.fromEntries(
    (["nearest", "linear", "cubic"] as const).flatMap((mode) =>
      coordinates.map((transform) => [`Resize (${mode}, ${transform})`, resizing(mode, transform)]),
    ),
  ),
  "Resize (scales)": (random) => {
    const scales = [1, 1, pick(random, [0.5, 1.5, 2]), pick(random, [0.5, 2, 2.5])];
    const settings = {
      mode: { string: "linear" },
      coordinate_transformation_mode: { string: "pytorch_half_pixel" },
    };
    return {
      shapes: [[1, 2, 3 + size(random), 3 + size(random)]],
      build: ([x]) => {
        const factors = x.graph.constant(tensorData(scales, [4], "float32"));
        return square(apply("Resize", [x, undefined, factors], settings)[0]);
      },
    };
  },
  "Resize (rounding)": (random) => {
    const settings = {
      nearest_mode: { string: pick(random, ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]) },
    };
    return {
      shapes: [[1, 1, 4, 8]],
      build: ([x]) => {
        const factors = x.graph.constant(tensorData([1, 1, 2, 0.5], [4], "float32"));
        return square(apply("Resize", [x, undefined, factors], settings)[0]);
      },
    };
  },
  "Resize (cubic, outside left out)": (random) => ({
    shapes: [[1, 1, 3 + size(random), 4]],
    build: ([x]) => {
      const factors = x.graph.constant(tensorData([1, 1, 2, 1.5], [4], "float32"));
      const settings = { mode: { string: "cubic" }, exclude_outside: int(1), cubic_coeff_a: float(-0.5) };
      return square(apply("Resize", [x, undefined, factors], settings)[0]);
    },
  }),
});

const region = (random: Random) => [
  0,
  0,
  0.25 * random.integer(3) - 0.2,
  0.1,
  1,
  1,
  0.7,
  0.8 + 0.2 * random.integer(3),
];

testNodes({
  "Resize against aliasing": {
    operator: "Resize",
    opset: 19,
    draw: (random) => ({
      attributes: {
        mode: { string: pick(random, ["linear", "cubic"]) },
        antialias: int(1),
        exclude_outside: int(random.integer(2)),
      },
      inputs: [
        [1, 2, 4 + size(random), 4 + size(random)],
        undefined,
        undefined,
        tensorData([1, 2, 2 + size(random, 3), 2 + size(random, 3)], [4], "int64"),
      ],
    }),
  },
  "Resize in proportion": {
    operator: "Resize",
    opset: 18,
    draw: (random) => ({
      attributes: {
        mode: { string: pick(random, ["linear", "nearest"]) },
        axes: ints([2, 3]),
        keep_aspect_ratio_policy: { string: pick(random, ["not_larger", "not_smaller"]) },
      },
      inputs: [
        [1, 2, 2 + size(random), 2 + size(random)],
        undefined,
        undefined,
        tensorData([3 + size(random), 3 + size(random)], [2], "int64"),
      ],
    }),
  },
  "Resize of a region": {
    operator: "Resize",
    opset: 13,
    draw: (random) => ({
      attributes: {
        mode: { string: pick(random, ["linear", "nearest"]) },
        coordinate_transformation_mode: { string: "tf_crop_and_resize" },
        extrapolation_value: float(random.integer(2)),
      },
      inputs: [
        [1, 2, 3 + size(random), 3 + size(random)],
        tensorData(region(random), [8], "float32"),
        undefined,
        tensorData([1, 2, 1 + size(random), 1 + size(random)], [4], "int64"),
      ],
    }),
  },
  "Resize of opset 10": {
    operator: "Resize",
    opset: 10,
    differentiate: false,
    draw: (random) => {
      const scales = [1, 1, pick(random, [2, 3, 0.5, 1.5]), pick(random, [2, 3, 0.4])];
      return {
        attributes: { mode: { string: pick(random, ["linear", "nearest"]) } },
        inputs: [[1, 2, 3 + size(random), 3 + size(random)], tensorData(scales, [4], "float32")],
      };
    },
  },
  ...Object.fromEntries(
    [7, 9].map((opset): [string, NodeCases] => [
      `Upsample of opset ${opset}`,
      {
        operator: "Upsample",
        opset,
        differentiate: false,
        draw: (random): NodeCase => {
          const scales = [1, 1, pick(random, [1, 2, 3, 1.5]), pick(random, [2, 3, 2.5])];
          const mode = { string: pick(random, ["linear", "nearest"]) };
          const shape = [1, 2, 1 + size(random), 1 + size(random)];
          return opset < 9
            ? { attributes: { mode, scales: { floats: scales } }, inputs: [shape] }
            : { attributes: { mode }, inputs: [shape, tensorData(scales, [4], "float32")] };
        },
      },
    ]),
  ),
});
