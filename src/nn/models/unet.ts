import { UserError } from "../../common/errors.ts";
import { concat } from "../../ops/movement.ts";
import { enlarge, resize } from "../../ops/resize.ts";
import { batchNorm, conv2d, maxPool, relu, sequential } from "../layers.ts";
import type { Layer } from "../module.ts";
import type { ModelShape } from "./shape.ts";

export interface UnetOptions {
  /** Channels of the first level. */
  width: number;
  /** How often height and width are halved. */
  depth: number;
  /** Channels double from level to level up to this multiple of the first level's. */
  growth: number;
  /** How much smaller than the image the first level is: 1, or the stride of a convolution before it that sees every pixel. */
  stem: number;
}

/**
 * A small U-Net (Ronneberger et al. 2015): [N, C, H, W] to logits [N, classes, H, W]. Two 3×3 convolutions with BatchNorm
 * and ReLU at each level, channels doubled from level to level up to a limit, max pooling down, nearest neighbors up. With a stem the
 * logits are resized to the image's size as PyTorch's `interpolate` does (bilinear, `align_corners=False`).
 */
export function unet(
  { channels, height, width: columns, classes }: ModelShape,
  { width, depth, growth, stem }: UnetOptions,
): Layer {
  const least = stem * 2 ** depth;
  if (height % least !== 0 || columns % least !== 0)
    throw new UserError(
      `unet with depth ${depth}${stem > 1 ? ` and stem ${stem}` : ""} needs images whose height and width are multiples of ${least}, got ${height}×${columns}; choose such a size, or another depth`,
    );
  const widthAt = (level: number) => width * Math.min(growth, 2 ** level);
  const pool = maxPool(2);
  const inputs = stem > 1 ? width : channels;
  const level = (index: number): Layer => {
    const own = widthAt(index);
    const down = twoConvolutions(index === 0 ? inputs : widthAt(index - 1), own);
    if (index === depth) return (x, scope) => scope.within(`down${index}`, down, x);
    const below = level(index + 1);
    const up = twoConvolutions(own + widthAt(index + 1), own);
    return (x, scope) => {
      const beside = scope.within(`down${index}`, down, x);
      const risen = enlarge(below(pool(beside, scope), scope), [1, 1, 2, 2]);
      return scope.within(`up${index}`, up, concat([beside, risen], 1));
    };
  };
  const [body, head] = [level(0), conv2d(width, classes, 1)];
  if (stem === 1) return (x, scope) => scope.within("head", head, body(x, scope));
  const first = sequential({
    conv: conv2d(channels, width, 2 * stem - 1, { stride: stem, padding: stem - 1, bias: false }),
    bn: batchNorm(width),
    relu: relu(),
  });
  return (x, scope) => {
    const logits = scope.within("head", head, body(scope.within("stem", first, x), scope));
    return resize(logits, [...logits.shape.slice(0, 2), ...x.shape.slice(2)]);
  };
}

function twoConvolutions(inputs: number, outputs: number): Layer {
  return sequential({
    conv1: conv2d(inputs, outputs, 3, { padding: 1, bias: false }),
    bn1: batchNorm(outputs),
    relu1: relu(),
    conv2: conv2d(outputs, outputs, 3, { padding: 1, bias: false }),
    bn2: batchNorm(outputs),
    relu2: relu(),
  });
}
