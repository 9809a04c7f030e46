import { create } from "@bufbuild/protobuf";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { fromOnnx } from "../import/from-onnx.ts";
import { compile } from "../lower/compile.ts";
import { type AttributeValue, writeAttributes } from "../onnx/attributes.ts";
import { writeModel } from "../onnx/model.ts";
import {
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
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
import { type DataType, dataTypeNumber } from "../onnx/types.ts";

// ONNX models written by hand, for tests of the importer.

/** A node: operator, inputs, outputs, attributes, name. */
export type NodeText = readonly [
  operator: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes?: Readonly<Record<string, AttributeValue>>,
  name?: string,
];

export interface ModelText {
  opset?: number;
  /** Sizes of float32 inputs by name; a text is a symbolic dimension. */
  inputs?: Readonly<Record<string, readonly (number | string)[]>>;
  weights?: Readonly<Record<string, TensorData>>;
  nodes: readonly NodeText[];
  outputs: readonly string[];
}

export function onnxModel({ opset = 17, inputs = {}, weights = {}, nodes, outputs }: ModelText): ModelProto {
  return create(ModelProtoSchema, {
    irVersion: 7n,
    opsetImport: [create(OperatorSetIdProtoSchema, { version: BigInt(opset) })],
    graph: create(GraphProtoSchema, {
      name: "test",
      input: Object.entries(inputs).map(([name, shape]) => valueInfo(name, { type: "float32", shape })),
      output: outputs.map((name) => create(ValueInfoProtoSchema, { name })),
      initializer: Object.entries(weights).map(([name, tensor]) => writeTensor(name, tensor)),
      node: nodes.map(([opType, input, output, attributes = {}, name = ""]) =>
        create(NodeProtoSchema, {
          opType,
          input: [...input],
          output: [...output],
          attribute: writeAttributes(attributes),
          name,
        }),
      ),
    }),
  });
}

/** Runs a model as it stands in a bare session. */
export async function runModel(bytes: Uint8Array, feeds: Tensors): Promise<Record<string, TensorData>> {
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 4 });
  try {
    const wanted = session.inputNames.map((name) => {
      const { type, data, shape } = feeds[name];
      return [name, new Tensor(type as Tensor.Type, data as Tensor.DataType, shape)];
    });
    const results = await session.run(Object.fromEntries(wanted));
    return Object.fromEntries(
      Object.entries(results).map(([name, { type, dims, data }]) => [
        name,
        { type, shape: dims, data } as unknown as TensorData,
      ]),
    );
  } finally {
    await session.release();
  }
}

/** What a model gives as it stands, and what it gives when it is imported and compiled again. */
export async function bothWays(model: ModelProto, feeds: Tensors) {
  const { graph, initializers } = fromOnnx(model);
  return {
    graph,
    original: await runModel(writeModel(model), feeds),
    imported: await runModel(compile(graph), { ...feeds, ...Object.fromEntries(initializers) }),
  };
}

/** What a graph states of an input or output; a text is a symbolic dimension. */
export function valueInfo(
  name: string,
  { type, shape }: { type: DataType; shape: readonly (number | string)[] },
): ValueInfoProto {
  const dim = shape.map((size) =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        typeof size === "string"
          ? { case: "dimParam", value: size }
          : { case: "dimValue", value: BigInt(size) },
    }),
  );
  const tensor = create(TypeProto_TensorSchema, {
    elemType: dataTypeNumber(type),
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: "tensorType", value: tensor } }),
  });
}
