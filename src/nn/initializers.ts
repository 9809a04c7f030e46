import type { Random } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";

/** What a parameter of a shape starts from: a function that gives its numbers one after another. */
export type Initializer = (shape: Shape, random: Random) => () => number;

/** A parameter's first values. */
export function initialTensor(
  initializer: Initializer,
  shape: Shape,
  random: Random,
  type: "float32" | "float64",
): TensorData {
  const next = initializer(shape, random);
  const data = new (type === "float64" ? Float64Array : Float32Array)(elementCount(shape));
  for (let index = 0; index < data.length; index++) data[index] = next();
  return { type, shape, data };
}

/**
 * Uniform on ±1/√fanIn: what PyTorch's `Linear` and `Conv2d` start weight and bias from (`kaiming_uniform_` with
 * a = √5 comes to the same bound). `fanIn` is the number of inputs one output sees.
 */
export function uniformByFanIn(fanIn: number): Initializer {
  return uniform(1 / Math.sqrt(fanIn));
}

/** Uniform on ±bound. */
export function uniform(bound: number): Initializer {
  return (_shape, random) => () => (2 * random.uniform() - 1) * bound;
}

/** Normal with mean 0. */
export function normal(deviation: number): Initializer {
  return (_shape, random) => () => deviation * random.normal();
}

/**
 * Normal with variance 2/fan (He et al. 2015), PyTorch's `kaiming_normal_` for ReLU. For a weight [outputs, inputs per
 * group, …window] the fan is inputs · window ("fan-in") or outputs · window ("fan-out").
 */
export function kaimingNormal(mode: "fan-in" | "fan-out"): Initializer {
  return (shape, random) => {
    const [outputs, inputs, ...window] = shape;
    const fan = elementCount([mode === "fan-in" ? inputs : outputs, ...window]);
    return normal(Math.sqrt(2 / fan))(shape, random);
  };
}

/** Numbers that are known, in row-major order. */
export function startingFrom(values: ArrayLike<number>): Initializer {
  return () => {
    let index = 0;
    return () => values[index++];
  };
}

/** Every element the same. */
export function filledWith(value: number): Initializer {
  return () => () => value;
}
