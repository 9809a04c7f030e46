import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { compile } from "../lower/compile.ts";
import { createModel } from "../nn/models.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import { readModel } from "../onnx/model.ts";
import { readTensor } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul, neg } from "../ops/arithmetic.ts";
import { exp, relu } from "../ops/elementwise.ts";
import { batchNormTraining } from "../ops/normalization.ts";
import { apply, requiredOpset } from "../ops/operator.ts";
import { reduceMean, reduceSum } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose, evaluate, tensor } from "../testing/numeric.ts";
import { Graph } from "./graph.ts";
import { type ToOnnxOptions, toOnnx } from "./to-onnx.ts";
import { nodesOf } from "./walk.ts";

const vector = (graph: Graph, name = "x") => graph.input(name, "float64", [2]);

/** The model's graph with every name it defines and reads. */
function written(graph: Graph, options: Partial<ToOnnxOptions> = {}) {
  const model = toOnnx(graph, { opset: 18, ...options });
  const proto = model.graph!;
  return {
    model,
    operators: proto.node.map(({ opType }) => opType),
    inputs: proto.input.map(({ name }) => name),
    outputs: proto.output.map(({ name }) => name),
    initializers: proto.initializer.map(({ name }) => name),
    defined: [
      ...proto.input.map(({ name }) => name),
      ...proto.initializer.map(({ name }) => name),
      ...proto.node.flatMap(({ output }) => output.filter((name) => name !== "")),
    ],
    nodes: proto.node,
  };
}

/** Runs a model's bytes once. */
async function run(bytes: Uint8Array, feeds: Tensors): Promise<Tensors> {
  const engine = new OnnxRuntimeEngine({ threads: 1 });
  await engine.load("model", bytes);
  const { outputs } = await engine.run("model", feeds);
  await engine.close();
  return outputs;
}

describe("what is written", () => {
  test("is what the outputs need: no dead node, no unread input or constant", () => {
    const graph = new Graph();
    const [x, unread] = [vector(graph), vector(graph, "unread")];
    exp(neg(unread));
    add(x, 7);
    graph.output("y", mul(exp(x), 3));
    const { operators, inputs, initializers } = written(graph);
    assert.deepEqual(operators, ["Exp", "Mul"]);
    assert.deepEqual(inputs, ["x"]);
    assert.equal(initializers.length, 1);
  });

  test("inputs, constants and duplicates may be outputs", async () => {
    const graph = new Graph();
    const x = vector(graph);
    const y = exp(x);
    const constant = graph.constant(tensorData([3, 4], [2], "float64"));
    graph.output("first", y);
    graph.output("second", y);
    graph.output("input", x);
    graph.output("input again", x);
    graph.output("constant", constant);
    graph.output("sum", add(y, constant));
    const outputs = await run(compile(graph), { x: tensor([0, 1], [2]) });
    assert.deepEqual(Object.keys(outputs).sort(), [...graph.outputs.keys()].sort());
    const e = [1, Math.E];
    assertClose(numbers(outputs.first), e, 1e-15);
    assertClose(numbers(outputs.second), e, 1e-15);
    assert.deepEqual(numbers(outputs.input), [0, 1]);
    assert.deepEqual(numbers(outputs["input again"]), [0, 1]);
    assert.deepEqual(numbers(outputs.constant), [3, 4]);
    assertClose(numbers(outputs.sum), [4, 4 + Math.E], 1e-15);
  });

  test("a result that another node reads keeps its name for both", async () => {
    const value = exp(vector(new Graph()));
    const { middle, end } = await evaluate({ middle: value, end: neg(value) }, { x: tensor([0, 0], [2]) });
    assert.deepEqual(
      [middle, end],
      [
        [1, 1],
        [-1, -1],
      ],
    );
  });

  test("names are unique, whatever the inputs and outputs are called", async () => {
    const build = (names: readonly string[]) => {
      const graph = new Graph();
      const inputs = names.map((name) => vector(graph, name));
      let value = inputs[0];
      for (const [index, each] of inputs.entries()) {
        value = add(
          mul(exp(neg(value)), 0.5 + index),
          graph.scoped("layer", () => neg(each)),
        );
      }
      graph.output("result", value);
      return graph;
    };
    // The names that the writer gives by itself, as inputs of the same graph.
    const plain = written(build(["a", "b", "c", "d"]));
    const given = plain.defined.filter((name) => name.includes("_"));
    const taken = [...given.slice(0, 2), ...given.slice(-2)];
    const graph = build(taken);
    const { defined } = written(graph);
    assert.equal(new Set(defined).size, defined.length);
    assert.ok(defined.length > given.length);
    let expected = 0;
    for (const index of taken.keys()) expected = Math.exp(-expected) * (0.5 + index);
    const feeds = Object.fromEntries(taken.map((name) => [name, tensor([0, 0], [2])]));
    const { result } = await run(compile(graph), feeds);
    assertClose(numbers(result), [expected, expected], 1e-12);
  });

  test("absent inputs are blanks between others and nothing at the end", async () => {
    const graph = new Graph();
    const x = vector(graph);
    const [clipped] = graph.add("Clip", [x, undefined, graph.scalar(1, "float64")], {}, [x]);
    const [open] = graph.add("Clip", [x, graph.scalar(-1, "float64"), undefined], {}, [x]);
    graph.output("below", clipped);
    graph.output("above", open);
    const { nodes } = written(graph);
    assert.deepEqual(
      nodes.map(({ input }) => input.map((name) => name === "")),
      [
        [false, true, false],
        [false, false],
      ],
    );
    const outputs = await run(compile(graph), { x: tensor([-5, 5], [2]) });
    assert.deepEqual([outputs.below, outputs.above].map(numbers), [
      [-5, 1],
      [-1, 5],
    ]);
  });

  test("outputs that nobody reads are left out, unless the operator insists", async () => {
    const pooling = new Graph();
    const [largest, places] = apply("MaxPool", [pooling.input("x", "float64", [1, 1, 4])], {
      kernel_shape: { ints: [2] },
      strides: { ints: [2] },
    });
    pooling.output("largest", largest);
    assert.equal(written(pooling).nodes[0].output.length, 1);
    pooling.output("places", places);
    const x = tensor([1, 3, 9, 2], [1, 1, 4]);
    assert.deepEqual(numbers((await run(compile(pooling), { x })).places), [1, 2]);
    const onlyPlaces = await evaluate(
      {
        places: apply("MaxPool", [new Graph().input("x", "float64", [1, 1, 4])], {
          kernel_shape: { ints: [2] },
          strides: { ints: [2] },
        })[1],
      },
      { x },
    );
    assert.deepEqual(onlyPlaces.places, [1, 2]);

    // ONNX Runtime refuses BatchNormalization in training mode without all three.
    for (const wanted of ["y", "mean", "variance"] as const) {
      const graph = new Graph();
      const one = graph.constant(tensorData([1], [1], "float64"));
      const normalized = batchNormTraining(graph.input("x", "float64", [3, 1]), one, one, 0);
      const actual = await evaluate({ [wanted]: normalized[wanted] }, { x: tensor([1, 3, 5], [3, 1]) });
      const deviation = Math.sqrt(8 / 3);
      const expected = { y: [1 - 2 / deviation, 1, 1 + 2 / deviation], mean: [3], variance: [8 / 3] };
      assertClose(actual[wanted], expected[wanted], 1e-12, wanted);
    }
  });

  test("operators of training are refused until they are lowered", () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [4, 2]);
    const scale = graph.input("scale", "float32", [2]);
    graph.output("y", batchNormTraining(x, scale, scale, 1e-5).y);
    assert.throws(
      () => toOnnx(graph, { opset: 18 }),
      /BatchNormTraining has no ONNX form; lower the graph first/,
    );
  });
});

describe("versions", () => {
  test("each opset gets the IR version that ONNX released it with", () => {
    // The table of versions in ONNX's documentation, releases 1.8 to 1.21.
    const released = [
      [13, 7],
      [14, 7],
      [15, 8],
      [16, 8],
      [17, 8],
      [18, 8],
      [19, 9],
      [20, 9],
      [21, 10],
      [22, 10],
      [23, 11],
      [24, 12],
      [25, 13],
      [26, 13],
    ];
    const graph = new Graph();
    graph.output("y", exp(vector(graph)));
    for (const [opset, irVersion] of released) {
      const { model } = written(graph, { opset });
      assert.equal(model.irVersion, BigInt(irVersion), `opset ${opset}`);
      assert.deepEqual(
        model.opsetImport.map(({ domain, version }) => [domain, version]),
        [["", BigInt(opset)]],
      );
    }
  });

  test("the smallest opset that has every operator in its form here", () => {
    const x = new Graph().input("x", "float32", [2, 2]);
    assert.equal(requiredOpset(nodesOf([exp(x)])), 13);
    assert.equal(requiredOpset(nodesOf([relu(x)])), 14);
    assert.equal(requiredOpset(nodesOf([reduceSum(x), exp(x)])), 13);
    assert.equal(requiredOpset(nodesOf([reduceMean(relu(x))])), 18);
  });
});

describe("weights and batch", () => {
  test("inputs named as weights become stored tensors and are no inputs any more", async () => {
    const graph = new Graph();
    const [x, w] = [vector(graph), vector(graph, "w")];
    graph.output("y", mul(x, w));
    graph.output("weight", w);
    const weights = new Map([["w", tensor([2, 3], [2])]]);
    const bytes = compile(graph, { weights, name: "product" });
    const { graph: proto, producerName } = readModel(bytes);
    assert.equal(producerName, "lowland");
    assert.equal(proto!.name, "product");
    assert.deepEqual(
      proto!.input.map(({ name }) => name),
      ["x"],
    );
    assert.deepEqual(
      proto!.initializer.map((each) => [each.name, numbers(readTensor(each))]),
      [["w", [2, 3]]],
    );
    const outputs = await run(bytes, { x: tensor([10, 100], [2]) });
    assert.deepEqual(numbers(outputs.y), [20, 300]);
    assert.deepEqual(numbers(outputs.weight), [2, 3]);
  });

  for (const name of [
    "mlp",
    "lenet5",
    "cnn",
    "resnet20",
    "mobilenet-v2:width=0.25",
    "efficientnet-b0:width=0.25",
  ]) {
    test(`${name} with a symbolic batch gives each image the logits it gets in a batch of one`, async () => {
      const shape = { channels: 2, height: 13, width: 12, classes: 4 };
      const [inputShape, count] = [[2, 13, 12], 3];
      const build = (batchSize: number) => {
        const model = buildModel(createModel(name, shape), { inputShape, batchSize, training: false });
        model.graph.output("logits", model.logits);
        return model;
      };
      const weights = new Map(Object.entries(initialTensors(build(1), 4)));
      const any = compile(build(1).graph, { weights, symbolicBatch: "batch" });
      const { input, output } = readModel(any).graph!;
      for (const info of [...input, ...output]) {
        assert.ok(info.type!.value.case === "tensorType");
        const first = info.type!.value.value.shape!.dim[0].value;
        assert.deepEqual(first, { case: "dimParam", value: "batch" });
      }
      const random = randomStream(6, "images");
      const images = Float32Array.from({ length: count * 2 * 13 * 12 }, () => random.normal());
      const image = images.length / count;
      const batch = { type: "float32", shape: [count, ...inputShape], data: images } as const;
      const together = numbers((await run(any, { input: batch })).logits);
      assert.equal(together.length, count * 4);
      for (let index = 0; index < count; index++) {
        const data = images.slice(index * image, (index + 1) * image);
        const alone = await run(compile(build(1).graph, { weights }), {
          input: { type: "float32", shape: [1, ...inputShape], data },
        });
        assertClose(together.slice(4 * index, 4 * index + 4), numbers(alone.logits), 1e-5);
      }
    });
  }
});
