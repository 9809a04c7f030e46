import type { Random } from "../common/random.ts";
import { elementCount } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { pick, size } from "../testing/gradient-cases.ts";
import { type NodeCases, testNodes } from "../testing/kernel-cases.ts";
import { int } from "./operator.ts";

// The losses of class numbers against ONNX Runtime's kernels.

function loss(operator: string, outputs: number): NodeCases {
  return {
    operator,
    opset: 13,
    draw: (random: Random) => {
      const [count, classes] = [1 + size(random), 1 + size(random)];
      const places = Array.from({ length: random.integer(3) }, () => size(random, 3));
      const shape = [count, ...places];
      const ignored = pick(random, [undefined, 0, -1, 100]);
      // The first target always counts, so that the mean is of something.
      const targets = Array.from({ length: elementCount(shape) }, (_, index) =>
        index === 0
          ? classes - 1
          : ignored !== undefined && random.uniform() < 0.3
            ? ignored
            : random.integer(classes),
      );
      return {
        inputs: [
          [count, classes, ...places],
          tensorData(targets, shape, pick(random, ["int32", "int64"])),
          random.uniform() < 0.5 ? [classes] : undefined,
        ],
        draw: (source, input) => (input === 2 ? 0.5 + source.uniform() : source.normal()),
        outputs,
        attributes: {
          reduction: { string: pick(random, ["mean", "sum", "none"]) },
          ...(ignored === undefined ? {} : { ignore_index: int(ignored) }),
        },
      };
    },
  };
}

testNodes({
  NegativeLogLikelihoodLoss: loss("NegativeLogLikelihoodLoss", 1),
  "SoftmaxCrossEntropyLoss and its log-probabilities": loss("SoftmaxCrossEntropyLoss", 2),
});
