import { UserError } from "../../common/errors.ts";
import {
  batchNorm,
  conv2d,
  flatten,
  globalAveragePool,
  linear,
  maxPool,
  relu,
  sequential,
} from "../layers.ts";
import type { Layer } from "../module.ts";
import type { ModelShape } from "./shape.ts";

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
