import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { type Shape, sameShape, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { mul } from "../ops/arithmetic.ts";
import { convInputGradient, convWeightGradient } from "../ops/convolution.ts";
import { evaluateInBlocks, targets } from "../testing/blocks.ts";
import { type ConvolutionCase, caseFrom, convolutionInputs } from "../testing/convolutions.ts";
import { assertClose, evaluate, tensor } from "../testing/numeric.ts";
import { lower } from "./lower.ts";

// Gradients of a convolution whose incoming gradient is a product with a factor: which products with all of its elements are
// left, and the numbers, against the same gradients of the product as an input.

const caseOf = caseFrom({ images: 16, channels: 16, outputs: 32, size: [8, 8], kernel: [3, 3] });
const padded = { pads: [1, 1, 1, 1] };

const cases: Record<string, ConvolutionCase> = {
  "in blocks": caseOf(padded),
  strides: caseOf({ ...padded, strides: [2, 2], size: [12, 12] }),
  groups: caseOf({ ...padded, group: 2 }),
  "1-D": caseOf({ size: [200], kernel: [3] }),
  "3-D": caseOf({ channels: 2, outputs: 3, size: [5, 5, 6], kernel: [2, 2, 2] }),
};

function scene(problem: ConvolutionCase, factorShape: Shape, isFirst = false) {
  const random = randomStream(5, "scaled gradients");
  const { x, weight, dy, feeds } = convolutionInputs(problem, random);
  const { graph } = x;
  const factor = graph.input("factor", "float32", factorShape);
  const numbers = Float32Array.from({ length: factorShape.reduce((a, b) => a * b, 1) }, () =>
    random.normal(),
  );
  feeds.factor = tensor(numbers, factorShape, "float32");
  const scaled = isFirst ? mul(factor, dy) : mul(dy, factor);
  const gradientsOf = (incoming: Value) => ({
    dx: convInputGradient(incoming, weight, problem.size, problem),
    dw: convWeightGradient(x, incoming, problem.kernel, problem),
  });
  return { graph, scaled, gradients: gradientsOf(scaled), gradientsOf, feeds };
}

/** How many products have the shape of dy. */
function productsLeft({ graph, scaled, gradients }: ReturnType<typeof scene>, target: object): number {
  for (const [name, value] of Object.entries(gradients)) graph.output(name, value);
  const nodes = nodesOf(lower(graph, { target }).outputs.values());
  graph.outputs.clear();
  return nodes.filter(
    ({ operator, outputs }) => operator === "Mul" && sameShape(outputs[0].shape, scaled.shape),
  ).length;
}

async function check(made: ReturnType<typeof scene>): Promise<void> {
  const { graph, scaled, gradients, gradientsOf, feeds } = made;
  const { product } = await evaluate({ product: scaled }, feeds);
  graph.outputs.clear();
  const given = gradientsOf(graph.input("product", "float32", scaled.shape));
  const expected = await evaluate(given, { ...feeds, product: tensor(product, scaled.shape, "float32") });
  graph.outputs.clear();
  const actual = { plain: await evaluate(gradients, feeds) };
  graph.outputs.clear();
  const all = { ...actual, "in blocks of 8": await evaluateInBlocks(gradients, feeds, 8) };
  for (const [how, found] of Object.entries(all))
    for (const [name, numbers] of Object.entries(expected))
      assertClose(found[name], numbers, 1e-5, `${name} ${how}`);
}

const perChannel = ({ outputs, size }: ConvolutionCase): Shape => [1, outputs, ...size.map(() => 1)];

describe("a factor for each channel goes to the weights", () => {
  for (const [name, problem] of Object.entries(cases)) {
    for (const isFirst of [false, true]) {
      test(`${name}, the factor ${isFirst ? "first" : "last"}`, async () => {
        const made = scene(problem, perChannel(problem), isFirst);
        for (const target of Object.values(targets)) assert.equal(productsLeft(made, target), 0);
        await check(made);
      });
    }
  }
});

describe("other factors stay", () => {
  const { "in blocks": problem } = cases;
  const small = caseOf({ images: 2, ...padded });
  const others: Record<string, [ConvolutionCase, Shape]> = {
    "one for each image and channel": [problem, [16, 32, 1, 1]],
    "one for each place": [problem, [1, 1, 8, 8]],
    "one for each channel of few images": [small, perChannel(small)],
  };
  for (const [name, [own, shape]] of Object.entries(others)) {
    test(name, async () => {
      const made = scene(own, shape);
      for (const target of Object.values(targets)) assert.equal(productsLeft(made, target), 1);
      await check(made);
    });
  }
});
