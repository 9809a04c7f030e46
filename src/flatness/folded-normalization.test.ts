import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gradients, hessianVectorProduct } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { type ConvolutionOptions, conv } from "../ops/convolution.ts";
import { relu, tanh } from "../ops/elementwise.ts";
import { batchNormInference } from "../ops/normalization.ts";
import { reduceSum } from "../ops/reduction.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { measurementGraph, type ProgramKind } from "./curvature-graphs.ts";
import { withFoldedNormalization } from "./folded-normalization.ts";

// The folded network against the one it was made of, in float64: value, gradient and products with the Hessian.

class Scene {
  readonly graph = new Graph();
  readonly feeds: Tensors = {};
  readonly parameters: Value[] = [];
  private readonly random = randomStream(11, "folded");

  input(shape: Shape, isPositive = false): Value {
    const name = `x${this.graph.inputs.size}`;
    const numbers = Array.from({ length: elementCount(shape) }, () => this.random.normal());
    const drawn = isPositive ? numbers.map((number) => 0.5 + number ** 2) : numbers;
    this.feeds[name] = tensorData(drawn, shape, "float64");
    return this.graph.input(name, "float64", shape);
  }

  parameter(shape: Shape): Value {
    const value = this.input(shape);
    this.parameters.push(value);
    return value;
  }

  normalized(x: Value): Value {
    const channels = [x.shape[1]];
    const [scale, bias] = [this.parameter(channels), this.parameter(channels)];
    return batchNormInference(x, scale, bias, this.input(channels), this.input(channels, true), 2 ** -7);
  }
}

function convolution(
  scene: Scene,
  x: Value,
  outputs: number,
  options: ConvolutionOptions & { bias?: boolean } = {},
) {
  const { bias, ...settings } = options;
  const weight = scene.parameter([outputs, x.shape[1] / (settings.group ?? 1), 3, 3]);
  return conv(x, weight, bias ? scene.parameter([outputs]) : undefined, settings);
}

const networks: Record<string, [remaining: number, build: (scene: Scene) => Value]> = {
  "two layers": [
    0,
    (scene) => {
      const first = tanh(
        scene.normalized(convolution(scene, scene.input([2, 3, 6, 6]), 4, { pads: [1, 1, 1, 1] })),
      );
      return tanh(scene.normalized(convolution(scene, first, 5, { strides: [2, 2] })));
    },
  ],
  "a bias, and groups": [
    0,
    (scene) =>
      tanh(scene.normalized(convolution(scene, scene.input([2, 4, 5, 5]), 6, { bias: true, group: 2 }))),
  ],
  "a result that is read elsewhere": [
    1,
    (scene) => {
      const y = convolution(scene, scene.input([2, 3, 5, 5]), 4);
      return tanh(add(scene.normalized(y), y));
    },
  ],
  "no convolution before it": [
    1,
    (scene) => tanh(convolution(scene, relu(scene.normalized(scene.input([2, 3, 5, 5]))), 4)),
  ],
};

test("products take it so, and losses do not", () => {
  const scene = new Scene();
  const y = networks["two layers"][1](scene);
  const parameters = new Map(scene.parameters.map((value, index) => [`${index}`, value]));
  const model = { loss: reduceSum(mul(y, y)), output: y, parameters };
  const count = (kind: ProgramKind) => {
    const nodes = nodesOf(measurementGraph(model, kind, ["0"]).outputs.values());
    return nodes.filter(({ operator }) => operator === "BatchNormalization").length;
  };
  assert.deepEqual((["loss", "gradient", "hessian", "gauss-newton"] as const).map(count), [2, 2, 0, 0]);
});

describe("BatchNorm in inference mode as part of the convolution before it", () => {
  for (const [name, [remaining, build]] of Object.entries(networks)) {
    test(name, async () => {
      const scene = new Scene();
      const y = build(scene);
      const loss = reduceSum(mul(y, y));
      const vector = scene.parameters.map(({ shape }) => scene.input(shape));
      const [folded, ...others] = withFoldedNormalization([loss, ...scene.parameters, ...vector]);
      const [parameters, directions] = [others.slice(0, vector.length), others.slice(vector.length)];
      const left = nodesOf([folded]).filter(({ operator }) => operator === "BatchNormalization");
      assert.equal(left.length, remaining);
      const measured = (of: Value, wrt: readonly Value[], along: readonly Value[]) => {
        const [slope, product] = [gradients(of, wrt), hessianVectorProduct(of, wrt, along)];
        const named = (kind: string, values: readonly Value[]) =>
          values.map((value, index): [string, Value] => [`${kind} ${index}`, value]);
        return evaluate(
          Object.fromEntries([["loss", of], ...named("gradient", slope), ...named("product", product)]),
          scene.feeds,
        );
      };
      const expected = await measured(loss, scene.parameters, vector);
      const actual = await measured(folded, parameters, directions);
      for (const [key, numbers] of Object.entries(expected)) assertClose(actual[key], numbers, 1e-10, key);
    });
  }
});
