import { UserError } from "../common/errors.ts";
import { pad } from "../ops/padding.ts";
import { slice } from "../ops/slicing.ts";
import {
  batchNorm,
  conv2d,
  flatten,
  globalAveragePool,
  linear,
  maxPool,
  relu,
  residual,
  sequential,
} from "./layers.ts";
import type { Layer } from "./module.ts";

/** What a network is made for. */
export interface ModelShape {
  channels: number;
  height: number;
  width: number;
  classes: number;
}

const models = { mlp, lenet5, cnn, resnet20 };

export type ModelName = keyof typeof models;

export const modelNames = Object.keys(models) as ModelName[];

/** A network by name. Throws `UserError` listing the choices for a name that is not there. */
export function createModel(name: string, shape: ModelShape): Layer {
  if (!(modelNames as string[]).includes(name)) {
    throw new UserError(`there is no model "${name}"; choose one of ${modelNames.join(", ")}`);
  }
  return models[name as ModelName](shape);
}

/** Two hidden layers of 256 and 128, ReLU. */
export function mlp({ channels, height, width, classes }: ModelShape): Layer {
  return sequential({
    flatten: flatten(),
    fc1: linear(channels * height * width, 256),
    relu1: relu(),
    fc2: linear(256, 128),
    relu2: relu(),
    fc3: linear(128, classes),
  });
}

/** LeNet-5 (LeCun et al. 1998) as it is built today: ReLU and max pooling; needs images of 12×12 or more. */
export function lenet5({ channels, height, width, classes }: ModelShape): Layer {
  const [rows, columns] = [height, width].map((size) => Math.floor((Math.floor(size / 2) - 4) / 2));
  if (rows < 1 || columns < 1) {
    throw new UserError(`lenet5 needs images of at least 12×12, got ${height}×${width}; choose mlp or cnn`);
  }
  return sequential({
    conv1: conv2d(channels, 6, 5, { padding: 2 }),
    relu1: relu(),
    pool1: maxPool(2),
    conv2: conv2d(6, 16, 5),
    relu2: relu(),
    pool2: maxPool(2),
    flatten: flatten(),
    fc1: linear(16 * rows * columns, 120),
    relu3: relu(),
    fc2: linear(120, 84),
    relu4: relu(),
    fc3: linear(84, classes),
  });
}

/** Five 3×3 convolutions (16-32-32-64-64, strides 1-2-1-2-1) with BatchNorm and ReLU, global average pool, linear. */
export function cnn({ channels, classes }: ModelShape): Layer {
  const widths = [16, 32, 32, 64, 64];
  const strides = [1, 2, 1, 2, 1];
  const blocks = widths.flatMap((width, index): [string, Layer][] => [
    [
      `conv${index + 1}`,
      conv2d(widths[index - 1] ?? channels, width, 3, { stride: strides[index], padding: 1, bias: false }),
    ],
    [`bn${index + 1}`, batchNorm(width)],
    [`relu${index + 1}`, relu()],
  ]);
  return sequential({ ...Object.fromEntries(blocks), pool: globalAveragePool(), fc: linear(64, classes) });
}

/** The CIFAR residual network of 20 layers (He et al. 2016, section 4.2), shortcuts without parameters. */
export function resnet20({ channels, classes }: ModelShape): Layer {
  const stage = (inputs: number, outputs: number) =>
    sequential([basicBlock(inputs, outputs), basicBlock(outputs, outputs), basicBlock(outputs, outputs)]);
  return sequential({
    conv1: conv2d(channels, 16, 3, { padding: 1, bias: false }),
    bn1: batchNorm(16),
    relu: relu(),
    layer1: stage(16, 16),
    layer2: stage(16, 32),
    layer3: stage(32, 64),
    pool: globalAveragePool(),
    linear: linear(64, classes),
  });
}

/** Two 3×3 convolutions and a shortcut; where the width doubles, the first has stride 2. */
function basicBlock(inputs: number, outputs: number): Layer {
  const stride = inputs === outputs ? 1 : 2;
  return residual(
    sequential({
      conv1: conv2d(inputs, outputs, 3, { stride, padding: 1, bias: false }),
      bn1: batchNorm(outputs),
      relu: relu(),
      conv2: conv2d(outputs, outputs, 3, { padding: 1, bias: false }),
      bn2: batchNorm(outputs),
    }),
    inputs === outputs ? (x) => x : subsampled(outputs - inputs),
  );
}

/** Every second pixel, with channels of zeros added in equal parts before and after ("option A"). */
function subsampled(added: number): Layer {
  return (x) => {
    const thinned = slice(x, { axes: [2, 3], starts: [0, 0], ends: x.shape.slice(2), steps: [2, 2] });
    const before = Math.floor(added / 2);
    return pad(thinned, [0, before, 0, 0], [0, added - before, 0, 0]);
  };
}
