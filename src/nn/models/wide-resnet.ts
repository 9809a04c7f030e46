import { readOptions } from "../../common/options.ts";
import { filledWith, kaimingNormal } from "../initializers.ts";
import {
  batchNorm,
  conv2d,
  dropout,
  globalAveragePool,
  linear,
  relu,
  residualSum,
  sequential,
} from "../layers.ts";
import type { Layer } from "../module.ts";
import type { ModelShape } from "./shape.ts";

export interface WideResnetOptions {
  /** Factor of the widths 16, 32, 64. Default 10. */
  width?: number;
  /** Residual units in each of the three stages. Default 4, which makes 28 layers. */
  units?: number;
  /** Probability of dropout between the two convolutions of a unit. Default 0. */
  dropout?: number;
}

/**
 * A wide residual network (Zagoruyko & Komodakis 2016, arXiv 1605.07146), units with activation first. Names, structure
 * and initialization are those of davda54/sam (`WideResNet`), the code that bilateral SAM's authors build on. That code
 * puts one unit more into each stage than the depth in its name says: its WRN-28-10 is `units: 5`.
 */
export function wideResnet({ channels, classes }: ModelShape, options: WideResnetOptions = {}): Layer {
  const kinds = { width: "number", units: "number", dropout: "number" } as const;
  const { width = 10, units = 4, dropout: p = 0 } = readOptions("wideResnet", options, kinds);
  const widths = [16, 32, 64].map((channelsOfStage) => channelsOfStage * width);
  return sequential({
    f: sequential({
      "0_convolution": convolution(channels, 16, 3),
      "1_block": stage(16, widths[0], 1, units, p),
      "2_block": stage(widths[0], widths[1], 2, units, p),
      "3_block": stage(widths[1], widths[2], 2, units, p),
      "4_normalization": batchNorm(widths[2]),
      "5_activation": relu(),
      "6_pooling": globalAveragePool(),
      "8_classification": linear(widths[2], classes, {
        initializer: filledWith(0),
        biasInitializer: filledWith(0),
      }),
    }),
  });
}

function convolution(inputs: number, outputs: number, kernel: number, stride = 1): Layer {
  const initializer = kaimingNormal("fan-in");
  return conv2d(inputs, outputs, kernel, { stride, padding: (kernel - 1) / 2, bias: false, initializer });
}

function stage(inputs: number, outputs: number, stride: number, units: number, p: number): Layer {
  const rest = Array.from({ length: units - 1 }, () => unit(outputs, p));
  return sequential({ block: sequential([firstUnit(inputs, outputs, stride, p), ...rest]) });
}

/** Changes the shape; the shortcut begins after the first activation. */
function firstUnit(inputs: number, outputs: number, stride: number, p: number): Layer {
  const activated = sequential({
    norm_act: sequential({ "0_normalization": batchNorm(inputs), "1_activation": relu() }),
  });
  const block = sequential({
    "0_convolution": convolution(inputs, outputs, 3, stride),
    "1_normalization": batchNorm(outputs),
    "2_activation": relu(),
    "3_dropout": dropout(p),
    "4_convolution": convolution(outputs, outputs, 3),
  });
  const downsample = sequential({ downsample: convolution(inputs, outputs, 1, stride) });
  const added = residualSum(sequential({ block }), downsample);
  return (x, scope) => added(activated(x, scope), scope);
}

function unit(channels: number, p: number): Layer {
  return residualSum(
    sequential({
      block: sequential({
        "0_normalization": batchNorm(channels),
        "1_activation": relu(),
        "2_convolution": convolution(channels, channels, 3),
        "3_normalization": batchNorm(channels),
        "4_activation": relu(),
        "5_dropout": dropout(p),
        "6_convolution": convolution(channels, channels, 3),
      }),
    }),
  );
}
