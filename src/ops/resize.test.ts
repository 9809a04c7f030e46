import { tensorData } from "../graph/constants.ts";
import { type Case, pick, size, testGradients } from "../testing/gradient-cases.ts";
import { square } from "./arithmetic.ts";
import { apply, float, int } from "./operator.ts";
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
