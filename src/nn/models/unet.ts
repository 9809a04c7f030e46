import { UserError } from "../../common/errors.ts";
import { concat } from "../../ops/movement.ts";
import { enlarge } from "../../ops/resize.ts";
import { batchNorm, conv2d, maxPool, relu, sequential } from "../layers.ts";
import type { Layer } from "../module.ts";
import type { ModelShape } from "./shape.ts";

export interface UnetOptions {
  /** Channels of the first level. */
  width: number;
  /** How often height and width are halved. */
  depth: number;
}

/**
 * A small U-Net (Ronneberger et al. 2015): [N, C, H, W] to logits [N, classes, H, W]. Two 3×3 convolutions with BatchNorm
 * and ReLU at each level, channels doubled at the first two of them, max pooling down, nearest neighbors up.
 */
export function unet(
  { channels, height, width: columns, classes }: ModelShape,
  { width, depth }: UnetOptions,
): Layer {
  const least = 2 ** depth;
  if (height % least !== 0 || columns % least !== 0)
    throw new UserError(
      `unet with depth ${depth} needs images whose height and width are multiples of ${least}, got ${height}×${columns}; choose such a size, or another depth`,
    );
  const widthAt = (level: number) => width * Math.min(4, 2 ** level);
  const pool = maxPool(2);
  const level = (index: number): Layer => {
    const own = widthAt(index);
    const down = twoConvolutions(index === 0 ? channels : widthAt(index - 1), own);
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
  return (x, scope) => scope.within("head", head, body(x, scope));
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
