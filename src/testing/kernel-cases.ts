import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Random, randomStream } from "../common/random.ts";
import { constantNumbers } from "../graph/constants.ts";
import { type Attributes, elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { isFloat } from "../onnx/types.ts";
import { concat, reshape } from "../ops/movement.ts";
import { apply } from "../ops/operator.ts";
import { cases } from "./extent.ts";
import { numbers } from "./networks.ts";
import { assertClose, checkGradient } from "./numeric.ts";
import { bothWays, onnxModel } from "./onnx-models.ts";

// Tables of random nodes. Each is checked three ways: a model of that one node against ONNX Runtime's own kernel, all
// its outputs; and the gradient and the gradient of the gradient of its outputs against central differences in float64.

const kernelCases = cases(4, 12);
const derivativeCases = cases(2, 5);

/** One random node. */
export interface NodeCase {
  attributes?: Attributes;
  /** A shape is an input of random numbers, which is differentiated; a tensor is stored in the model. */
  inputs: readonly (Shape | TensorData | undefined)[];
  /** How many outputs are asked for. Default 1. */
  outputs?: number;
  /** Draws one number of an input; default: standard normal. */
  draw?: (random: Random, input: number) => number;
  /** Largest difference to the kernel over the largest number. Default 1e-5. */
  tolerance?: number;
}

export interface NodeCases {
  operator: string;
  /** Of the models. */
  opset: number;
  draw: (random: Random) => NodeCase;
  /** Whether derivatives are checked. Default true. */
  differentiate?: boolean;
}

/** One test per row and check, each of several random nodes. */
export function testNodes(rows: Readonly<Record<string, NodeCases>>): void {
  describe(`as ONNX Runtime's kernel, ${kernelCases} cases each`, () => {
    for (const [name, row] of Object.entries(rows)) {
      test(name, async () => {
        for (let index = 0; index < kernelCases; index++) await checkNode(row, `${name} kernel`, index);
      });
    }
  });
  for (const order of [1, 2] as const) {
    describe(`derivative ${order}, ${derivativeCases} cases each`, () => {
      for (const [name, row] of Object.entries(rows)) {
        if (row.differentiate === false) continue;
        test(name, async () => {
          for (let index = 0; index < derivativeCases; index++) {
            await checkDerivative(row, randomStream(7, `${name} ${order}`, index), order);
          }
        });
      }
    });
  }
}

async function checkNode({ operator, opset, draw }: NodeCases, name: string, index: number): Promise<void> {
  const random = randomStream(7, name, index);
  const { inputs: given, attributes = {}, outputs = 1, draw: drawNumber, tolerance = 1e-5 } = draw(random);
  const inputs = given.slice(0, given.findLastIndex((input) => input !== undefined) + 1);
  const names = inputs.map((input, at) => (input ? `x${at}` : ""));
  const entries = inputs.map((input, at) => [names[at], input] as const);
  const fed = entries.filter((entry): entry is readonly [string, Shape] => isShape(entry[1]));
  const stored = entries.filter((entry): entry is readonly [string, TensorData] => isTensor(entry[1]));
  const results = Array.from({ length: outputs }, (_, at) => `y${at}`);
  const model = onnxModel({
    opset,
    inputs: Object.fromEntries(fed),
    weights: Object.fromEntries(stored),
    nodes: [[operator, names, results, attributes]],
    outputs: results,
  });
  const feeds = fed.map(([input, shape]) => {
    const values = Array.from({ length: elementCount(shape) }, () =>
      drawNumber ? drawNumber(random, names.indexOf(input)) : random.normal(),
    );
    return [input, tensorData(values, shape, "float32")] as const;
  });
  const { original, imported } = await bothWays(model, Object.fromEntries(feeds));
  for (const result of results) {
    const [ours, theirs] = [imported[result], original[result]];
    const label = `${operator} ${index}, ${result} ${JSON.stringify(attributes)} of ${inputs.map(describeInput).join(" ")}`;
    assert.deepEqual([ours.type, ours.shape], [theirs.type, theirs.shape], label);
    assertClose(numbers(ours), numbers(theirs), tolerance, label);
  }
}

async function checkDerivative({ operator, draw }: NodeCases, random: Random, order: 1 | 2): Promise<void> {
  const { inputs, attributes = {}, outputs = 1, draw: drawNumber } = draw(random);
  const places = inputs.flatMap((input, at) => (isShape(input) ? [at] : []));
  await checkGradient({
    shapes: places.map((at) => inputs[at] as Shape),
    draw: drawNumber && ((source, input) => drawNumber(source, places[input])),
    random,
    order,
    build: (values) => {
      const { graph } = values[0];
      const all = inputs.map((input, at) =>
        isTensor(input) ? graph.constant(inFloat64(input)) : values[places.indexOf(at)],
      );
      return together(apply(operator, all, attributes, outputs).slice(0, outputs));
    },
  });
}

/** All floating-point values as one vector. */
function together(values: readonly Value[]): Value {
  const flat = values
    .filter(({ type }) => isFloat(type))
    .map((value) => reshape(value, [elementCount(value.shape)]));
  return concat(flat, 0);
}

function inFloat64(tensor: TensorData): TensorData {
  if (tensor.type !== "float32") return tensor;
  return tensorData(constantNumbers(new Graph().constant(tensor))!, tensor.shape, "float64");
}

function isTensor(input: Shape | TensorData | undefined): input is TensorData {
  return input !== undefined && !Array.isArray(input);
}

function isShape(input: Shape | TensorData | undefined): input is Shape {
  return Array.isArray(input);
}

function describeInput(input: Shape | TensorData | undefined): string {
  if (!input) return "none";
  return isTensor(input) ? `${input.type} [${input.shape.join()}]` : `[${input.join()}]`;
}
