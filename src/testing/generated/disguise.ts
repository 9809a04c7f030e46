import { create } from "@bufbuild/protobuf";
import type { Random } from "../../common/random.ts";
import { isModuleName, isParameterName } from "../../import/tensor-names.ts";
import {
  type GraphProto,
  type ModelProto,
  type NodeProto,
  StringStringEntryProtoSchema,
} from "../../onnx/onnx_pb.ts";
import { dataLocations, dataTypeName, isFloat } from "../../onnx/types.ts";

// Odd names, and weights beside the model.

const oddNames = [
  "input",
  "learning_rate",
  "loss",
  "weight.next",
  "a b",
  "ü/∂[0]",
  "0",
  "constructor",
  "toString",
  'quoted "name"',
  "target",
  "momentum",
  "weight.momentum",
  "/layer1/layer1.0/conv/Conv_output_0",
  "rho",
  "sequential/dense/MatMul/ReadVariableOp:0",
  "训练",
  "x'",
] as const;

/** Gives odd names to some tensors of the main graph; names that say that something is a parameter to parameters only. */
export function rename(
  proto: ModelProto,
  random: Random,
  parameters: ReadonlySet<string>,
): Map<string, string> {
  const graph = proto.graph!;
  const found = [...graph.initializer, ...graph.input, ...graph.output].map(({ name }) => name);
  const made = graph.node.flatMap(({ output }) => output).filter((name) => name !== "");
  const odd = random.shuffle([...oddNames]);
  const names = new Map<string, string>();
  for (const name of new Set([...found, ...made])) {
    if (random.uniform() < 0.4) continue;
    const at = odd.findLastIndex(
      (one) => parameters.has(name) || !(isParameterName(one) || isModuleName(one)),
    );
    if (at >= 0) names.set(name, odd.splice(at, 1)[0]);
  }
  const renamed = (name: string) => names.get(name) ?? name;
  const inside = (nodes: readonly NodeProto[]): void => {
    for (const node of nodes) {
      node.input = node.input.map(renamed);
      node.output = node.output.map(renamed);
      for (const { g } of node.attribute) {
        if (!g) continue;
        inside(g.node);
        for (const info of [...g.initializer, ...g.output]) info.name = renamed(info.name);
      }
    }
  };
  inside(graph.node);
  const infos = new Set([...graph.initializer, ...graph.input, ...graph.output]);
  for (const info of infos) info.name = renamed(info.name);
  for (const { attribute } of graph.node) for (const { t } of attribute) if (t) t.name = renamed(t.name);
  return names;
}

/** Moves the numbers of the initializers into a file beside the model. */
export function moveOut(graph: GraphProto): { name: string; bytes: Uint8Array } | undefined {
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of graph.initializer) {
    const { rawData } = tensor;
    // ONNX Runtime reads sizes and limits while it loads a model, and then only from the model itself.
    if (tensor.dims.length === 0 || !isFloat(dataTypeName(tensor.dataType, "tensor"))) continue;
    const entries = { location: "weights.bin", offset: String(offset), length: String(rawData.length) };
    tensor.externalData = Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    );
    tensor.dataLocation = dataLocations.external;
    parts.push(rawData);
    offset += rawData.length;
    tensor.rawData = new Uint8Array();
  }
  if (parts.length === 0) return undefined;
  return { name: "weights.bin", bytes: Buffer.concat(parts) };
}
