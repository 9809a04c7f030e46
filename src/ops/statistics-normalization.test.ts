import type { Value } from "../graph/graph.ts";
import { type Case, shapeOf, size, testGradients } from "../testing/gradient-cases.ts";
import { square } from "./arithmetic.ts";
import { apply, float, int, ints } from "./operator.ts";
import { groupNorm, instanceNorm, layerNorm, rmsNorm } from "./statistics-normalization.ts";

// Normalization of each example by its own statistics. ε is large, so that it matters.

const epsilon = 0.25;

function byChannel(build: (x: Value, scale: Value, bias: Value) => Value): Case {
  return (random) => {
    const channels = 2 * size(random, 2);
    return {
      shapes: [[size(random, 2), channels, ...shapeOf(random, 2)], [channels], [channels]],
      build: ([x, scale, bias]) => build(x, scale, bias),
    };
  };
}

testGradients({
  LayerNormalization: (random) => {
    const shape = shapeOf(random, 3);
    const axis = random.integer(3);
    const vector = shape.slice(axis);
    return {
      shapes: [shape, vector, vector],
      build: ([x, scale, bias]) =>
        layerNorm(x, scale, random.uniform() < 0.5 ? bias : undefined, axis - 3, epsilon),
    };
  },
  RMSNormalization: (random) => {
    const shape = shapeOf(random, 3);
    const axis = random.integer(3);
    return { shapes: [shape, shape.slice(axis)], build: ([x, scale]) => rmsNorm(x, scale, axis, epsilon) };
  },
  GroupNormalization: byChannel((x, scale, bias) => groupNorm(x, 2, scale, bias, epsilon)),
  InstanceNormalization: byChannel((x, scale, bias) => instanceNorm(x, scale, bias, epsilon)),
  MeanVarianceNormalization: (random) => ({
    shapes: [[3, size(random), 2, size(random)]],
    build: ([x]) => square(apply("MeanVarianceNormalization", [x])[0]),
  }),
  "MeanVarianceNormalization (axes)": (random) => ({
    shapes: [[2, size(random), 3, size(random)]],
    build: ([x]) => square(apply("MeanVarianceNormalization", [x], { axes: ints([0, 2]) })[0]),
  }),
  LRN: (random) => {
    const settings = {
      // ONNX Runtime takes odd sizes only.
      size: int(1 + 2 * random.integer(3)),
      alpha: float(0.5),
      beta: float(0.75),
      bias: float(1.5),
    };
    return {
      shapes: [[size(random, 2), 1 + size(random), size(random), size(random)]],
      build: ([x]) => apply("LRN", [x], settings)[0],
    };
  },
});
