import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { nodesOf } from "../graph/walk.ts";
import { writeAttributes } from "../onnx/attributes.ts";
import {
  AttributeProtoSchema,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  ValueInfoProtoSchema,
} from "../onnx/onnx_pb.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { float, int } from "../ops/operator.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { bothWays, onnxModel, valueInfo } from "../testing/onnx-models.ts";
import { fromOnnx } from "./from-onnx.ts";

// Functions that a file defines, and the branches of an If: against ONNX Runtime on the file as it stands.

const domain = "mine";
const opsets = [
  create(OperatorSetIdProtoSchema, { version: 17n }),
  create(OperatorSetIdProtoSchema, { domain, version: 1n }),
];

function nodeOf(
  opType: string,
  input: string[],
  output: string[],
  more: MessageInitShape<typeof NodeProtoSchema> = {},
): NodeProto {
  return create(NodeProtoSchema, { opType, input, output, ...more });
}

/** Leaky(x; alpha) = LeakyRelu(x), and Twice(x, y?) = Leaky(Leaky(x; 0.5); slope) + x. */
function withFunctions(model: ModelProto): ModelProto {
  const alpha = create(AttributeProtoSchema, { name: "alpha", type: 1, refAttrName: "alpha" });
  const slope = create(AttributeProtoSchema, { name: "alpha", type: 1, refAttrName: "slope" });
  const shared = { domain, opsetImport: opsets };
  model.functions = [
    create(FunctionProtoSchema, {
      ...shared,
      name: "Leaky",
      input: ["x"],
      output: ["y"],
      attributeProto: writeAttributes({ alpha: float(0.25) }),
      node: [nodeOf("LeakyRelu", ["x"], ["y"], { attribute: [alpha] })],
    }),
    create(FunctionProtoSchema, {
      ...shared,
      name: "Twice",
      input: ["x"],
      output: ["sum", "first"],
      attribute: ["slope"],
      node: [
        nodeOf("Leaky", ["x"], ["first"], { domain }),
        nodeOf("Leaky", ["first"], ["second"], { domain, attribute: [slope] }),
        nodeOf("Add", ["second", "x"], ["sum"]),
      ],
    }),
  ];
  model.opsetImport = opsets;
  model.irVersion = 8n;
  return model;
}

const x = tensorData([-2, -1, 0, 1, 2, 3], [2, 3], "float32");

test("functions of the file are replaced by what they do", async () => {
  const model = withFunctions(onnxModel({ inputs: { x: [2, 3] }, nodes: [], outputs: ["y"] }));
  model.graph!.node = [
    nodeOf("Twice", ["x"], ["a", "b"], {
      domain,
      name: "one",
      attribute: writeAttributes({ slope: float(0.1) }),
    }),
    nodeOf("Twice", ["a"], ["c", "unused"], {
      domain,
      name: "two",
      attribute: writeAttributes({ slope: float(0.7) }),
    }),
    nodeOf("Add", ["b", "c"], ["y"]),
  ];
  const { original, imported, graph } = await bothWays(model, { x });
  assertClose(numbers(imported.y), numbers(original.y), 1e-6);
  // Scopes name the call.
  assert.ok(nodesOf(graph.outputs.values()).some(({ scope }) => scope.startsWith("two/")));
});

test("a function that is called in a branch, in another function's branch and in a loop is replaced", async () => {
  const model = withFunctions(
    onnxModel({
      inputs: { x: [2, 3] },
      weights: {
        yes: tensorData([1], [], "bool"),
        three: tensorData([3], [], "int64"),
      },
      nodes: [],
      outputs: ["y"],
    }),
  );
  const call = (input: string, output: string, name: string) =>
    nodeOf("Twice", [input], [output, `${output} first`], {
      domain,
      name,
      attribute: writeAttributes({ slope: float(0.3) }),
    });
  const choose = (body: GraphProto, condition: string, output: string) =>
    nodeOf("If", [condition], [output], {
      attribute: writeAttributes({
        then_branch: { graph: body },
        else_branch: { graph: branch([nodeOf("Relu", ["x"], ["other"])], "other") },
      }),
    });
  model.functions.push(
    create(FunctionProtoSchema, {
      domain,
      opsetImport: opsets,
      name: "Chosen",
      input: ["x", "condition"],
      output: ["z"],
      node: [choose(branch([call("x", "inner", "deep")], "inner"), "condition", "z")],
    }),
  );
  const body = create(GraphProtoSchema, {
    name: "body",
    input: [
      valueInfo("time", { type: "int64", shape: [] }),
      valueInfo("before", { type: "bool", shape: [] }),
      valueInfo("carried", { type: "float32", shape: [2, 3] }),
    ],
    node: [nodeOf("Identity", ["before"], ["after"]), call("carried", "next", "repeated")],
    output: [
      valueInfo("after", { type: "bool", shape: [] }),
      valueInfo("next", { type: "float32", shape: [2, 3] }),
    ],
  });
  model.graph!.node = [
    choose(branch([call("x", "taken", "here")], "taken"), "yes", "a"),
    nodeOf("Chosen", ["a", "yes"], ["b"], { domain, name: "chosen" }),
    nodeOf("Loop", ["three", "yes", "b"], ["y"], { attribute: writeAttributes({ body: { graph: body } }) }),
  ];
  const { original, imported } = await bothWays(model, { x });
  assertClose(numbers(imported.y), numbers(original.y), 1e-5);
});

test("a function that calls itself is refused", () => {
  const model = withFunctions(onnxModel({ inputs: { x: [2, 3] }, nodes: [], outputs: ["y"] }));
  model.functions[0].node = [nodeOf("Leaky", ["x"], ["y"], { domain, name: "inner" })];
  model.graph!.node = [nodeOf("Leaky", ["x"], ["y"], { domain, name: "outer" })];
  assert.throws(
    () => fromOnnx(model),
    /^UserError: node "outer\/inner" \(Leaky\): the function calls itself$/,
  );
});

test("a function of another opset than the model's is read where its nodes mean the same in both", async () => {
  const older = [create(OperatorSetIdProtoSchema, { version: 11n })];
  const calling = (operator: string) => {
    const model = withFunctions(onnxModel({ inputs: { x: [2, 3] }, nodes: [], outputs: ["y"] }));
    const shared = { domain, name: "Older", input: ["x"], output: ["y"], opsetImport: older };
    model.functions = [create(FunctionProtoSchema, { ...shared, node: [nodeOf(operator, ["x"], ["y"])] })];
    model.graph!.node = [nodeOf("Older", ["x"], ["y"], { domain })];
    return model;
  };
  const { graph } = fromOnnx(calling("Sigmoid"));
  assert.deepEqual(
    nodesOf(graph.outputs.values()).map(({ operator }) => operator),
    ["Sigmoid"],
  );
  assert.throws(
    () => fromOnnx(calling("Hardmax")),
    /^UserError: function "Older" is of opset 11 and the model of 17, where Hardmax has another form/,
  );
});

test("functions that grow without bound are refused", () => {
  const model = withFunctions(onnxModel({ inputs: { x: [2, 3] }, nodes: [], outputs: ["y"] }));
  // Each calls the next ten times: 10⁸ nodes.
  model.functions = Array.from({ length: 8 }, (_, level) =>
    create(FunctionProtoSchema, {
      domain,
      name: `F${level}`,
      input: ["x"],
      output: ["y9"],
      node: Array.from({ length: 10 }, (_, index) =>
        nodeOf(level === 7 ? "Relu" : `F${level + 1}`, [index === 0 ? "x" : `y${index - 1}`], [`y${index}`], {
          domain: level === 7 ? "" : domain,
        }),
      ),
    }),
  );
  model.graph!.node = [nodeOf("F0", ["x"], ["y"], { domain })];
  assert.throws(() => fromOnnx(model), /the model's functions, written out, are more than 1000000 nodes/);
});

function branch(node: NodeProto[], output: string): GraphProto {
  return create(GraphProtoSchema, {
    name: "branch",
    node,
    output: [create(ValueInfoProtoSchema, { name: output })],
  });
}

test("of an If whose condition is known, the branch that is taken is built", async () => {
  for (const [size, expected] of [
    [3, "Relu"],
    [2, "Exp"],
  ] as const) {
    const model = onnxModel({
      inputs: { x: [2, size] },
      weights: { two: tensorData([1], [], "int64"), three: tensorData([3], [], "int64") },
      nodes: [
        ["Shape", ["x"], ["shape"]],
        ["Gather", ["shape", "two"], ["columns"], { axis: int(0) }],
        ["Equal", ["columns", "three"], ["isThree"]],
        ["Neg", ["x"], ["around"]],
        [
          "If",
          ["isThree"],
          ["z"],
          {
            then_branch: { graph: branch([nodeOf("Relu", ["around"], ["taken"])], "taken") },
            else_branch: { graph: branch([nodeOf("Exp", ["around"], ["other"])], "other") },
          },
        ],
        ["Neg", ["z"], ["y"]],
      ],
      outputs: ["y"],
    });
    const input = tensorData(
      Array.from({ length: 2 * size }, (_, index) => index - 2),
      [2, size],
      "float32",
    );
    const { original, imported, graph } = await bothWays(model, { x: input });
    assertClose(numbers(imported.y), numbers(original.y), 1e-6);
    const operators = nodesOf(graph.outputs.values()).map(({ operator }) => operator);
    assert.deepEqual(operators, ["Neg", expected, "Neg"]);
  }
});

test("an If that depends on what is fed is refused by name", () => {
  const model = onnxModel({
    inputs: { x: [1] },
    weights: { zero: tensorData([0], [1], "float32") },
    nodes: [
      ["Greater", ["x", "zero"], ["positive"]],
      [
        "If",
        ["positive"],
        ["y"],
        {
          then_branch: { graph: branch([nodeOf("Relu", ["x"], ["a"])], "a") },
          else_branch: { graph: branch([nodeOf("Exp", ["x"], ["b"])], "b") },
        },
        "choice",
      ],
    ],
    outputs: ["y"],
  });
  assert.throws(
    () => fromOnnx(model),
    /node "choice" \(If\): its condition is computed while running; it has to be known before/,
  );
});
