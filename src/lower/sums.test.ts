import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { addAll, mul } from "../ops/arithmetic.ts";
import { completeConvolution, conv, convInputGradient, convWeightGradient } from "../ops/convolution.ts";
import type { Tensors } from "../runtime/engine.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { evaluateInBlocks, targets } from "../testing/blocks.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { lower } from "./lower.ts";

// Which sums convolutions in blocks take over, and the numbers, for every block with what it does written in ONNX's operators,
// and by the kernels of the processor at hand.

const engine = new OnnxRuntimeEngine({ threads: 1 });
const processor = await engine.target();
await engine.close();

/** Convolutions of 16 images with 16 channels and 32 filters, each of its own x, weight, dy and bias. */
class Scene {
  readonly graph = new Graph();
  readonly feeds: Tensors = {};
  private readonly random = randomStream(3, "sums");
  readonly settings;

  constructor(stride: number) {
    this.settings = completeConvolution({ strides: [stride, stride], pads: [1, 1, 1, 1] }, 2);
  }

  readonly y = (filters = 32) =>
    conv(this.input([16, 16, 8, 8]), this.input([filters, 16, 3, 3]), undefined, this.settings);

  readonly biased = () =>
    conv(this.input([16, 16, 8, 8]), this.input([32, 16, 3, 3]), this.input([32]), this.settings);

  readonly dx = () =>
    convInputGradient(
      this.input([16, 32, ...this.places]),
      this.input([32, 16, 3, 3]),
      [8, 8],
      this.settings,
    );

  readonly dw = () =>
    convWeightGradient(
      this.input([16, 16, 8, 8]),
      this.input([16, 32, ...this.places]),
      [3, 3],
      this.settings,
    );

  readonly offset = (filters = 32) => this.input([1, filters, 1, 1]);

  readonly other = () => this.input([16, 32, ...this.places]);

  private get places(): Shape {
    return this.settings.strides.map((stride) => 8 / stride);
  }

  private input(shape: Shape): Value {
    const name = `x${this.graph.inputs.size}`;
    const numbers = Array.from({ length: elementCount(shape) }, () => this.random.normal());
    this.feeds[name] = tensorData(numbers, shape, "float32");
    return this.graph.input(name, "float32", shape);
  }
}

/** How many nodes with an operator are left. */
function count(value: Value, operator: string, blockedChannels: number | undefined): number {
  value.graph.output("value", value);
  const nodes = nodesOf(lower(value.graph, { target: { blockedChannels } }).outputs.values());
  value.graph.outputs.clear();
  return nodes.filter((node) => node.operator === operator).length;
}

async function check({ feeds }: Scene, value: Value): Promise<void> {
  const { graph } = value;
  const [expected] = Object.values(await evaluate({ value }, feeds));
  graph.outputs.clear();
  for (const block of [4, 8, 16]) {
    const { value: actual } = await evaluateInBlocks({ value }, feeds, block);
    assertClose(actual, expected, 1e-5, `in blocks of ${block}`);
  }
  const { value: actual } = await evaluate({ value }, feeds, { target: processor });
  graph.outputs.clear();
  assertClose(actual, expected, 1e-5, "by this processor's kernels");
}

type Build = (scene: Scene) => Value;

describe("sums that convolutions in blocks take over", () => {
  const sums: Record<string, [stride: number, build: Build]> = {
    "two convolutions": [1, ({ y }) => addAll([y(), y()])],
    "with biases": [1, ({ biased }) => addAll([biased(), biased()])],
    "a bias between them": [1, ({ y, offset }) => addAll([y(), offset(), y()])],
    "a bias after them": [1, ({ y, offset }) => addAll([y(), y(), offset()])],
    "channels that do not fill their blocks": [1, ({ y, offset }) => addAll([y(30), offset(30), y(30)])],
    "three convolutions": [1, ({ y }) => addAll([y(), y(), y()])],
    "input gradients": [1, ({ dx }) => addAll([dx(), dx()])],
    "input gradients with strides": [2, ({ dx }) => addAll([dx(), dx()])],
    "weight gradients": [1, ({ dw }) => addAll([dw(), dw()])],
    "weight gradients with strides": [2, ({ dw }) => addAll([dw(), dw()])],
    "the first is read elsewhere": [
      1,
      ({ y }) => {
        const first = y();
        return mul(addAll([first, y()]), first);
      },
    ],
  };
  for (const [name, [stride, build]] of Object.entries(sums)) {
    test(`${name}: no addition is left`, () => {
      for (const { blockedChannels } of Object.values(targets)) {
        const left = count(build(new Scene(stride)), "Add", blockedChannels);
        assert.equal(left > 0, blockedChannels === undefined, `${left} in blocks of ${blockedChannels}`);
      }
    });
    test(`${name}: the numbers`, () => {
      const scene = new Scene(stride);
      return check(scene, build(scene));
    });
  }
});

describe("sums that stay", () => {
  const sums: Record<string, Build> = {
    "both are read elsewhere": ({ y }) => {
      const [first, second] = [y(), y()];
      return mul(addAll([first, second]), mul(first, second));
    },
    "one is no convolution": ({ y, other }) => addAll([y(), other()]),
    "a number for each channel of something else": ({ other, offset }) => addAll([offset(), other()]),
    "a second bias": ({ biased, offset }) => addAll([biased(), offset()]),
    "one with itself": ({ y }) => {
      const value = y();
      return addAll([value, value]);
    },
  };
  for (const [name, build] of Object.entries(sums)) {
    test(name, async () => {
      const scene = new Scene(1);
      const value = build(scene);
      for (const { blockedChannels } of Object.values(targets))
        assert.equal(count(value, "Add", blockedChannels), 1);
      await check(scene, value);
    });
  }
});
