import { randomStream } from "../../common/random.ts";
import { dataTypeNumber } from "../../onnx/types.ts";
import { int, ints } from "../../ops/operator.ts";
import { Drawing, type Drawn, type DrawnModel, type Float } from "./drawing.ts";
import { modelOf } from "./generate.ts";

// Random classifiers of images: layers in which no example depends on another one, a last layer of ten classes, and what
// files have behind it.

export interface DrawnClassifier {
  model: DrawnModel;
  /** Whether it takes any number of images, and not only the number that it was drawn with. */
  takesAnyBatch: boolean;
}

/** The random classifier of a number. */
export function generateClassifier(seed: number, number: number): DrawnClassifier {
  const random = randomStream(seed, "generated classifier", number);
  const share = random.uniform();
  const float: Float = share < 0.8 ? "float32" : share < 0.84 ? "float64" : "float16";
  const g = new Drawing(random, 7 + random.integer(16), float);
  const layers = new Layers(g, g.between(1, 3), g.chance(0.75));
  let x = layers.images();
  for (let count = g.between(0, 3); count > 0; count--) x = g.pick(onImages)(layers, x);
  let y: Drawn;
  if (g.chance(0.15)) {
    y = layers.convolution(layers.pooledToOne(x), classes, 1);
    if (g.chance(0.6)) y = layers.flattened(y);
  } else {
    y = layers.flattened(g.chance(0.3) ? layers.pooledToOne(x) : x);
    for (let count = g.between(0, 2); count > 0; count--) y = g.pick(onFeatures)(layers, y);
    y = layers.linear(y, classes);
  }
  // Half precision holds no probability below 6e-8.
  if (float === "float16") y = g.bounded(y, 4);
  y = g.pick(ends)(layers, y);
  return { model: modelOf(g, [y]), takesAnyBatch: layers.takesAnyBatch };
}

const classes = 10;

/** Layers as networks have them, on [N, C, H, W] and [N, features]. */
class Layers {
  readonly g: Drawing;
  readonly takesAnyBatch: boolean;
  private readonly batch: number;

  constructor(g: Drawing, batch: number, takesAnyBatch: boolean) {
    this.g = g;
    this.batch = batch;
    this.takesAnyBatch = takesAnyBatch;
  }

  images(): Drawn {
    const { g, batch } = this;
    const size = g.pick([8, 8, 8, 6, 10]);
    const channels = g.pick([1, 1, 3]);
    const x = g.input([batch, channels, size, size]);
    // Sizes that depend on the batch would be others for another one.
    if (this.takesAnyBatch) g.pool.length = 0;
    return x;
  }

  convolution(x: Drawn, channels: number, kernel = this.g.pick([1, 3])): Drawn {
    const { g } = this;
    const [n, inner, ...size] = x.shape;
    const stride = kernel === 1 || size[0] < 4 ? 1 : g.pick([1, 2]);
    const pad = (kernel - 1) / 2;
    const deviation = 1 / Math.sqrt(inner * kernel ** 2);
    const bias = g.chance(0.6) ? g.parameter([channels], 0.2) : undefined;
    const attributes = { pads: ints([pad, pad, pad, pad]), strides: ints([stride, stride]) };
    const shape = [n, channels, ...size.map((one) => Math.floor((one + 2 * pad - kernel) / stride) + 1)];
    const weight = g.parameter([channels, inner, kernel, kernel], deviation);
    return g.node("Conv", [x, weight, bias], attributes, { shape, size: 3 });
  }

  linear(x: Drawn, width: number): Drawn {
    const { g } = this;
    const [n, inner] = x.shape;
    const like = { shape: [n, width], size: 3 };
    const deviation = 1 / Math.sqrt(inner);
    if (g.chance(0.5)) {
      const turned = g.chance(0.5);
      const weight = g.parameter(turned ? [width, inner] : [inner, width], deviation);
      const attributes = turned ? { transB: int(1) } : {};
      return g.node("Gemm", [x, weight, g.parameter([width], 0.3)], attributes, like);
    }
    const product = g.node("MatMul", [x, g.parameter([inner, width], deviation)], {}, like);
    return g.chance(0.7) ? g.node("Add", [product, g.parameter([width], 0.3)], {}, like) : product;
  }

  activation(x: Drawn): Drawn {
    const since: Record<string, number> = { Erf: 9, HardSwish: 14, Gelu: 20, Mish: 18, Celu: 12 };
    const all = ["Relu", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "Elu", "Selu", "Softplus", "Softsign"];
    const there = [...all, ...Object.keys(since)].filter((name) => this.g.opset >= (since[name] ?? 7));
    return this.g.node(this.g.pick(there), [x], {}, {});
  }

  normalization(x: Drawn): Drawn {
    const { g } = this;
    const count = x.shape[1];
    const [scale, bias] = [g.parameter([count], 0.5), g.parameter([count], 0.3)];
    if (x.shape.length === 4 && g.chance(0.3))
      return g.node("InstanceNormalization", [x, scale, bias], {}, { size: 3 });
    if (x.shape.length === 2 && g.opset >= 17 && g.chance(0.5))
      return g.node("LayerNormalization", [x, scale, bias], {}, { size: 3 });
    const mean = g.store([count], g.normals([count], 0.3));
    const variance = Array.from({ length: count }, () => 0.5 + g.random.uniform());
    return g.node("BatchNormalization", [x, scale, bias, mean, g.store([count], variance)], {}, { size: 3 });
  }

  pooling(x: Drawn): Drawn {
    const { g } = this;
    if (x.shape[2] < 4) return x;
    const attributes = { kernel_shape: ints([2, 2]), strides: ints([2, 2]) };
    const shape = [...x.shape.slice(0, 2), ...x.shape.slice(2).map((size) => Math.floor(size / 2))];
    return g.node(g.pick(["MaxPool", "AveragePool"] as const), [x], attributes, { shape });
  }

  pooledToOne(x: Drawn): Drawn {
    const { g } = this;
    if (g.chance(0.5)) return g.reduced("ReduceMean", x, [2, 3], true);
    const shape = [...x.shape.slice(0, 2), 1, 1];
    return g.node(g.pick(["GlobalAveragePool", "GlobalMaxPool"] as const), [x], {}, { shape });
  }

  /** [N, everything else], for any N where the file takes any. */
  flattened(x: Drawn): Drawn {
    const { g } = this;
    const [n, ...rest] = x.shape;
    const shape = [n, rest.reduce((a, b) => a * b, 1)];
    return g.chance(0.5) ? g.node("Flatten", [x], {}, { shape }) : this.reshaped(x, shape);
  }

  /** A Reshape in which the batch is copied, is what remains, or is a number. */
  reshaped(x: Drawn, shape: readonly number[]): Drawn {
    const { g } = this;
    const copied = [0, ...shape.slice(1)];
    const remaining = [-1, ...shape.slice(1)];
    const way = g.pick(this.takesAnyBatch ? [copied, remaining] : [copied, remaining, shape]);
    return g.node("Reshape", [x, g.integers(way)], {}, { shape });
  }
}

const onImages: readonly ((layers: Layers, x: Drawn) => Drawn)[] = [
  (layers, x) => layers.convolution(x, layers.g.between(2, 5)),
  (layers, x) => layers.activation(layers.convolution(x, layers.g.between(2, 5))),
  (layers, x) => layers.activation(x),
  (layers, x) => layers.normalization(x),
  (layers, x) => layers.pooling(x),
  ({ g }, x) => g.node("Add", [x, g.parameter([x.shape[1], 1, 1])], {}, {}),
  ({ g }, x) => g.node("Mul", [x, g.parameter([1, x.shape[1], 1, 1])], {}, {}),
  (layers, x) => {
    const { g } = layers;
    const branch = layers.activation(layers.convolution(x, x.shape[1], 1));
    return g.node(g.pick(["Add", "Mul", "Sub"] as const), [x, branch], {}, { size: 4 });
  },
  (layers, x) => {
    const { g } = layers;
    const other = layers.convolution(x, 2, 1);
    const shape = x.shape.with(1, x.shape[1] + 2);
    return g.node("Concat", [x, other], { axis: int(1) }, { shape });
  },
  ({ g }, x) => g.transposed(g.transposed(x, [0, 2, 3, 1]), [0, 3, 1, 2]),
];

const onFeatures: readonly ((layers: Layers, x: Drawn) => Drawn)[] = [
  (layers, x) => layers.activation(layers.linear(x, layers.g.between(3, 12))),
  (layers, x) => layers.linear(x, layers.g.between(3, 12)),
  (layers, x) => layers.normalization(x),
  (layers, x) => layers.activation(x),
  ({ g }, x) => g.node("Dropout", [x], {}, {}),
  ({ g }, x) => g.node("Add", [x, g.parameter([x.shape[1]])], {}, {}),
];

const softmax = ({ g }: Layers, x: Drawn, operator = "Softmax"): Drawn => {
  // Before opset 13 the axis said where the matrix is cut.
  const axes = g.opset < 13 || x.shape.length > 2 ? [1] : [1, -1];
  return g.node(operator, [x], { axis: int(g.pick(axes)) }, { size: 1 });
};

/** What stands behind the last layer, and behind the probabilities. */
const ends: readonly ((layers: Layers, x: Drawn) => Drawn)[] = [
  (_, x) => x,
  (_, x) => x,
  ({ g }, x) => g.node("Identity", [x], {}, {}),
  (layers, x) => softmax(layers, x),
  (layers, x) => softmax(layers, x, "LogSoftmax"),
  ({ g }, x) => g.node("Sigmoid", [x], {}, { size: 1 }),
  // Written out.
  ({ g }, x) => {
    const powers = g.node("Exp", [x], {}, { size: 20 });
    return g.node("Div", [powers, g.reduced("ReduceSum", powers, [1], true)], {}, { size: 1 });
  },
  (layers, x) => layers.reshaped(softmax(layers, x), [x.shape[0], classes]),
  (layers, x) => layers.g.node("Flatten", [softmax(layers, x)], {}, { shape: [x.shape[0], classes] }),
  (layers, x) => layers.g.node("Identity", [softmax(layers, x)], {}, {}),
  (layers, x) => {
    const { g } = layers;
    const [low, high] = [g.scalar(1e-6), g.scalar(1)];
    const y = softmax(layers, x);
    return g.opset < 11 ? y : g.node("Clip", [y, low, high], {}, {});
  },
  (layers, x) => {
    const { g } = layers;
    const type = g.float === "float64" ? "float32" : "float64";
    return g.node("Cast", [softmax(layers, x)], { to: int(dataTypeNumber(type)) }, { type });
  },
];
