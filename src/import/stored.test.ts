import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { gradients } from "../autodiff/gradients.ts";
import { compile } from "../lower/compile.ts";
import { writeAttributes } from "../onnx/attributes.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import {
  FunctionProtoSchema,
  GraphProtoSchema,
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "../onnx/onnx_pb.ts";
import { type TensorData, type Tensors, writeTensor } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { int } from "../ops/operator.ts";
import { reduceSum } from "../ops/reduction.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { onnxModel, runModel } from "../testing/onnx-models.ts";
import { loadModel } from "./load.ts";

// Weights in branches, loops and functions: they train, and are written back to where they stand.

const row = (...values: number[]) => tensorData(values, [values.length], "float32");
const x = tensorData([1, -2, 3, 0.5, 2, -1], [3, 2], "float32");

const node = (opType: string, input: string[], output: string[], attribute = {}, domain = ""): NodeProto =>
  create(NodeProtoSchema, { opType, input, output, attribute: writeAttributes(attribute), domain });
const constant = (name: string, tensor: TensorData) => node("Constant", [], [name], { value: { tensor } });
const info = (name: string) => create(ValueInfoProtoSchema, { name });
/** What a Loop's body states of its inputs: the count, the condition, what is carried. */
const stated = (name: string, elemType: number, sizes: readonly number[]) =>
  create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: "tensorType",
        value: create(TypeProto_TensorSchema, {
          elemType,
          shape: create(TensorShapeProtoSchema, {
            dim: sizes.map((size) =>
              create(TensorShapeProto_DimensionSchema, { value: { case: "dimValue", value: BigInt(size) } }),
            ),
          }),
        }),
      },
    }),
  });

const body = (
  nodes: NodeProto[],
  output: string[],
  more: { input?: ValueInfoProto[]; weights?: Tensors } = {},
) =>
  create(GraphProtoSchema, {
    name: "body",
    node: nodes,
    input: more.input ?? [],
    output: output.map(info),
    initializer: Object.entries(more.weights ?? {}).map(([name, tensor]) => writeTensor(name, tensor)),
  });

const withFunction = (model: ModelProto, nodes: NodeProto[], attribute: string[] = []): ModelProto => {
  model.irVersion = 8n;
  model.opsetImport = [
    create(OperatorSetIdProtoSchema, { version: 17n }),
    create(OperatorSetIdProtoSchema, { domain: "mine", version: 1n }),
  ];
  model.functions = [
    create(FunctionProtoSchema, {
      domain: "mine",
      name: "Layer",
      input: ["a"],
      output: ["z"],
      attribute,
      opsetImport: model.opsetImport,
      node: nodes,
    }),
  ];
  return model;
};

const truth = (value: number) => tensorData([value], [], "bool");
const inputs = { x: [3, 2] };

/** Each model, its parameters, and those of them that its output depends on as it is built. */
const cases: Record<string, { model: () => ModelProto; names: string[]; built?: string[] }> = {
  "an initializer and a Constant in the branch that is taken": {
    model: () =>
      onnxModel({
        inputs,
        weights: { condition: truth(1) },
        nodes: [
          [
            "If",
            ["condition"],
            ["y"],
            {
              then_branch: {
                graph: body(
                  [
                    constant("shift", row(0.5, 0.25)),
                    node("Mul", ["x", "factor"], ["m"]),
                    node("Add", ["m", "shift"], ["taken"]),
                  ],
                  ["taken"],
                  { weights: { factor: row(2, 3) } },
                ),
              },
              else_branch: {
                graph: body([node("Mul", ["x", "other"], ["left"])], ["left"], {
                  weights: { other: row(4, 5) },
                }),
              },
            },
            "choice",
          ],
        ],
        outputs: ["y"],
      }),
    names: ["factor", "shift"],
  },
  "a condition of sizes: both branches are listed, the one that is built trains": {
    model: () =>
      onnxModel({
        inputs,
        weights: { one: tensorData([3], [], "int64"), first: tensorData([0], [], "int64") },
        nodes: [
          ["Shape", ["x"], ["shape"]],
          ["Gather", ["shape", "first"], ["rows"], { axis: int(0) }],
          ["Equal", ["rows", "one"], ["isThree"]],
          [
            "If",
            ["isThree"],
            ["y"],
            Object.fromEntries(
              ["then_branch", "else_branch"].map((name, at) => [
                name,
                // Both branches call their weight the same.
                { graph: body([node("Mul", ["x", "w"], ["r"])], ["r"], { weights: { w: row(2 + at, 3) } }) },
              ]),
            ),
            "choice",
          ],
        ],
        outputs: ["y"],
      }),
    names: ["w", "choice.else_branch.w"],
    built: ["w"],
  },
  "a weight in the body of a Loop, used each time": {
    model: () =>
      onnxModel({
        inputs,
        weights: { times: tensorData([3], [], "int64"), yes: truth(1) },
        nodes: [
          [
            "Loop",
            ["times", "yes", "x"],
            ["y"],
            {
              body: {
                graph: body(
                  [node("Identity", ["go"], ["on"]), node("Mul", ["carried", "w"], ["next"])],
                  ["on", "next"],
                  {
                    input: [stated("time", 7, []), stated("go", 9, []), stated("carried", 1, [3, 2])],
                    weights: { w: row(1.5, 0.5) },
                  },
                ),
              },
            },
          ],
        ],
        outputs: ["y"],
      }),
    names: ["w"],
  },
  "a Constant of a function that is called twice is one parameter": {
    model: () => {
      const model = onnxModel({ inputs, nodes: [], outputs: ["y"] });
      model.graph!.node = [node("Layer", ["x"], ["h"], {}, "mine"), node("Layer", ["h"], ["y"], {}, "mine")];
      return withFunction(model, [constant("k", row(1.5, 0.5)), node("Mul", ["a", "k"], ["z"])]);
    },
    names: ["Layer.k"],
  },
  "a tensor that a call hands to a function as an attribute is one of the call": {
    model: () => {
      const model = onnxModel({ inputs, nodes: [], outputs: ["y"] });
      model.graph!.node = [
        node("Layer", ["x"], ["h"], { k: { tensor: row(1.5, 0.5) } }, "mine"),
        node("Layer", ["h"], ["y"], { k: { tensor: row(2, -1) } }, "mine"),
      ];
      const [held] = writeAttributes({ value: { tensor: row(0, 0) } });
      held.t = undefined;
      held.refAttrName = "k";
      const own = create(NodeProtoSchema, { opType: "Constant", output: ["c"], attribute: [held] });
      return withFunction(model, [own, node("Mul", ["a", "c"], ["z"])], ["k"]);
    },
    names: ["h.k", "y.k"],
  },
  "a Constant that lists its elements": {
    model: () =>
      onnxModel({
        inputs,
        nodes: [
          ["Constant", [], ["k"], { value_floats: { floats: [1.5, 0.5] } }],
          ["Mul", ["x", "k"], ["y"]],
        ],
        outputs: ["y"],
      }),
    names: ["k"],
  },
};

describe("weights that are stored inside", () => {
  for (const [name, { model, names, built = names }] of Object.entries(cases)) {
    test(name, async () => {
      const bytes = writeModel(model());
      const loaded = await loadModel(bytes);
      const trained = loaded.trainable.map(({ name: own }) => own);
      assert.deepEqual(trained.sort(), [...names].sort());
      const { graph, outputs, parameters } = loaded.build({ training: true });
      assert.deepEqual([...parameters.keys()].sort(), [...built].sort());
      const feeds = { x };
      const before = await runModel(bytes, feeds);
      assertClose(
        numbers((await runModel(compile(graph), { ...loaded.tensors, ...feeds })).y),
        numbers(before.y),
        1e-6,
      );
      // Written back with other numbers the file computes what the graph does with them, and has their slopes.
      const slopes = gradients(reduceSum(outputs.get("y")!), [...parameters.values()]);
      graph.outputs.clear();
      for (const [at, own] of [...parameters.keys()].entries()) graph.output(`${own}/g`, slopes[at]);
      const results = await runModel(compile(graph), { ...loaded.tensors, ...feeds });
      const sum = async (tensors: Tensors) =>
        numbers((await runModel(loaded.write(tensors), feeds)).y).reduce((total, value) => total + value, 0);
      for (const own of built) {
        const values = numbers(loaded.tensors[own]);
        const moved = (by: number) => ({ ...loaded.tensors, [own]: row(...values.with(0, values[0] + by)) });
        const slope = ((await sum(moved(0.01))) - (await sum(moved(-0.01)))) / 0.02;
        assert.ok(
          Math.abs(slope - numbers(results[`${own}/g`])[0]) < 1e-2 * Math.max(1, Math.abs(slope)),
          own,
        );
      }
      assert.deepEqual(Buffer.from(loaded.write({})), Buffer.from(writeModel(readModel(bytes))));
    });
  }
});
