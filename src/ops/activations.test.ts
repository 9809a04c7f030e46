import type { Random } from "../common/random.ts";
import type { Value } from "../graph/graph.ts";
import {
  awayFromZero,
  binary,
  type Case,
  partner,
  positive,
  shapeOf,
  testGradients,
  unary,
} from "../testing/gradient-cases.ts";
import * as activations from "./activations.ts";
import { add, mul, square } from "./arithmetic.ts";
import { isInf, isNan, not, where, xor } from "./comparison.ts";
import { sigmoid } from "./elementwise.ts";
import { apply, float, int } from "./operator.ts";
import * as trigonometry from "./trigonometry.ts";
import { maximumOf, meanOf, minimumOf } from "./variadic.ts";

// Activations, trigonometry, and operators of any number of inputs.

const raw =
  (operator: string, attributes = {}) =>
  (x: Value) =>
    apply(operator, [x], attributes)[0];
const insideOne = (random: Random) => 1.8 * random.uniform() - 0.9;

function variadic(build: (values: Value[]) => Value): Case {
  return (random) => {
    const shape = shapeOf(random, 3);
    const shapes = Array.from({ length: 1 + random.integer(4) }, () => partner(random, shape));
    return { shapes: [shape, ...shapes], build: (values) => square(build(values)) };
  };
}

testGradients({
  Selu: unary(activations.selu, { draw: awayFromZero }),
  "Selu (settings)": unary(raw("Selu", { alpha: float(1.5), gamma: float(0.75) }), { draw: awayFromZero }),
  Celu: unary((x) => activations.celu(x, 0.5), { draw: awayFromZero }),
  ThresholdedRelu: unary((x) => square(raw("ThresholdedRelu", { alpha: float(0.25) })(x)), {
    draw: awayFromZero,
  }),
  Shrink: unary((x) => square(raw("Shrink", { lambd: float(0.25), bias: float(0.5) })(x)), {
    draw: awayFromZero,
  }),
  HardSigmoid: unary((x) => square(raw("HardSigmoid", { alpha: float(0.25) })(x))),
  HardSwish: unary(raw("HardSwish"), { draw: (random) => 3 * random.normal() }),
  Gelu: unary(raw("Gelu")),
  "Gelu (tanh)": unary(activations.geluTanh),
  SwiGLU: (random) => {
    const shape = shapeOf(random);
    return {
      shapes: [shape, shape],
      build: (both) => apply("SwiGLU", both, { alpha: float(0.5 + random.uniform()) })[0],
    };
  },
  Swish: unary(raw("Swish", { alpha: float(1.5) })),
  Mish: unary(activations.mish),
  Softsign: unary(activations.softsign, { draw: awayFromZero }),
  PRelu: (random) => {
    const shape = shapeOf(random);
    return {
      shapes: [shape, partner(random, shape)],
      build: ([x, slope]) => square(activations.prelu(x, slope)),
      draw: awayFromZero,
    };
  },
  Tan: unary(trigonometry.tan, { draw: insideOne }),
  Asin: unary(trigonometry.asin, { draw: insideOne }),
  Acos: unary(trigonometry.acos, { draw: insideOne }),
  Atan: unary(trigonometry.atan, { draw: (random) => 2 * awayFromZero(random) }),
  Sinh: unary(trigonometry.sinh),
  Cosh: unary(trigonometry.cosh),
  Asinh: unary(trigonometry.asinh),
  Acosh: unary(trigonometry.acosh, { draw: (random) => 1.5 + random.uniform() }),
  Atanh: unary(trigonometry.atanh, { draw: insideOne }),
  "Clip without an upper bound": unary((x) => square(apply("Clip", [x, x.graph.scalar(-0.4, x.type)])[0])),
  "Clip without bounds": unary((x) => square(apply("Clip", [x])[0])),
  "Clip by computed bounds": (random) => ({
    shapes: [shapeOf(random), [], []],
    build: ([x, low, high]) => square(apply("Clip", [x, mul(low, -0.4), add(high, 0.2)])[0]),
    draw: (source, input) => (input === 0 ? source.normal() : positive(source)),
  }),
  "Max of several": variadic(maximumOf),
  "Min of several": variadic(minimumOf),
  Sum: variadic((values) => apply("Sum", values)[0]),
  Mean: variadic(meanOf),
  Mod: binary((a, b) => square(apply("Mod", [mul(a, 3.1), b], { fmod: int(1) })[0]), positive),
  "Xor, Not, IsNaN, IsInf": unary((x) => where(not(xor(isNan(x), isInf(x))), sigmoid(x), 0)),
});
