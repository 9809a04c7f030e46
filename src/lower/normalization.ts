import type { Node, Value } from "../graph/graph.ts";
import { neg } from "../ops/arithmetic.ts";
import { reshape } from "../ops/movement.ts";
import { float, floatAttribute, int } from "../ops/operator.ts";
import { slice } from "../ops/slicing.ts";

/**
 * ONNX's BatchNormalization in training mode. With momentum 0 its second and third output are the batch's own mean
 * and population variance.
 *
 * ONNX Runtime (1.30) writes those two over the memory of the fourth and fifth input, no matter what else reads them, be it a
 * constant of the model. So these inputs are tensors of their own: some elements of x and their negatives. Their
 * numbers do not matter, as they are multiplied by the momentum.
 */
export function lowerBatchNormTraining([x, scale, bias]: readonly Value[], node: Node): readonly Value[] {
  const axes = x.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
  const first = slice(x, { axes, starts: axes.map(() => 0), ends: axes.map(() => 1) });
  const scratch = reshape(first, scale.shape);
  return x.graph.add(
    "BatchNormalization",
    [x, scale, bias, scratch, neg(scratch)],
    {
      epsilon: float(floatAttribute(node.attributes, "epsilon", 1e-5)),
      momentum: float(0),
      training_mode: int(1),
    },
    node.outputs,
  );
}
