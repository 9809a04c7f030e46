import { readOptions } from "../../common/options.ts";
import { kaimingNormal } from "../initializers.ts";
import {
  averagePool,
  batchNorm,
  conv2d,
  globalAveragePool,
  linear,
  padChannels,
  relu,
  residualSum,
  sequential,
} from "../layers.ts";
import type { Layer } from "../module.ts";
import type { ModelShape } from "./shape.ts";

export interface PyramidnetOptions {
  /** Channels that are added from the first unit to the last. Default 270. */
  alpha?: number;
  /** Residual units in each of the three stages. Default 18, which makes 110 layers. */
  units?: number;
}

/**
 * The additive pyramidal residual network for small images, units of two 3×3 convolutions (Han et al. 2017,
 * arXiv 1610.02915): every unit is a little wider than the one before, and shortcuts are padded with channels of zeros.
 * Names, structure and initialization are those of dyhan0920/PyramidNet-PyTorch (`PyramidNet("cifar10", 110, 270, …)`).
 */
export function pyramidnet({ channels, classes }: ModelShape, options: PyramidnetOptions = {}): Layer {
  const kinds = { alpha: "number", units: "number" } as const;
  const { alpha = 270, units = 18 } = readOptions("pyramidnet", options, kinds);
  // Added up one by one as in the original, since sums of fractions decide which way a half is rounded.
  let exact = 16;
  const widths = Array.from({ length: 3 * units }, () => {
    exact += alpha / (3 * units);
    return roundHalfToEven(exact);
  });
  const last = widths[widths.length - 1];
  const stage = (number: number) =>
    sequential(
      Array.from({ length: units }, (_, unit) => {
        const index = number * units + unit;
        return pyramidUnit(widths[index - 1] ?? 16, widths[index], number > 0 && unit === 0 ? 2 : 1);
      }),
    );
  return sequential({
    conv1: convolution(channels, 16),
    bn1: batchNorm(16),
    layer1: stage(0),
    layer2: stage(1),
    layer3: stage(2),
    bn_final: batchNorm(last),
    relu_final: relu(),
    avgpool: globalAveragePool(),
    fc: linear(last, classes),
  });
}

function convolution(inputs: number, outputs: number, stride = 1): Layer {
  return conv2d(inputs, outputs, 3, {
    stride,
    padding: 1,
    bias: false,
    initializer: kaimingNormal("fan-out"),
  });
}

function pyramidUnit(inputs: number, outputs: number, stride: number): Layer {
  const main = sequential({
    bn1: batchNorm(inputs),
    conv1: convolution(inputs, outputs, stride),
    bn2: batchNorm(outputs),
    relu: relu(),
    conv2: convolution(outputs, outputs),
    bn3: batchNorm(outputs),
  });
  const thinned = stride === 1 ? [] : [averagePool(2, { ceilMode: true })];
  const padded = outputs === inputs ? [] : [padChannels(0, outputs - inputs)];
  return residualSum(main, sequential([...thinned, ...padded]));
}

/** As Python's `round`, by which the original's widths are made. */
function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
