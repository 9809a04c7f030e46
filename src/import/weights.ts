import { clone } from "@bufbuild/protobuf";
import { UserError } from "../common/errors.ts";
import { describe, elementCount, sameShape } from "../graph/graph.ts";
import {
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
} from "../onnx/onnx_pb.ts";
import { readTensor, type TensorData, writeTensor } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { dataTypeName } from "../onnx/types.ts";
import { narrowed, widened } from "./narrow-types.ts";

/**
 * The tensors that a file stores, by the names of {@link storedTensors}. Half precision becomes float32.
 * @throws UserError naming a tensor that is stored twice or cannot be read
 */
export function readWeights(
  graph: GraphProto,
  functions: readonly FunctionProto[] = [],
): Map<string, TensorData> {
  const tensors = new Map<string, TensorData>();
  if (graph.sparseInitializer.length > 0) {
    throw new UserError("the model stores sparse tensors, which are not read; export it with dense ones");
  }
  for (const proto of storedTensors(graph, functions)) {
    tensors.set(proto.name, widened(readTensor(proto.tensor, `tensor "${proto.name}"`)));
  }
  return tensors;
}

/** A copy of a model with other numbers in some of the tensors it stores; everything else stays as it is, types too. */
export function withWeights(model: ModelProto, tensors: ReadonlyMap<string, TensorData>): ModelProto {
  const copy = clone(ModelProtoSchema, model);
  const places = new Map(storedTensors(copy.graph!, copy.functions).map((place) => [place.name, place]));
  for (const [name, tensor] of tensors) {
    const place = places.get(name);
    if (!place) throw new UserError(`the model stores no tensor "${name}"`);
    const stored = { type: dataTypeName(place.tensor.dataType, name), shape: place.tensor.dims.map(Number) };
    const next = narrowed(tensor, stored.type);
    if (stored.type !== next.type || !sameShape(stored.shape, tensor.shape)) {
      throw new UserError(`tensor "${name}": the model stores ${describe(stored)}, got ${describe(tensor)}`);
    }
    place.replace(writeTensor(place.tensor.name, next));
  }
  return copy;
}

/** Whether a node is a stored weight: a Constant of several floating-point elements. */
export function isStoredWeight(node: NodeProto): boolean {
  return (
    node.opType === "Constant" && node.attribute.some((attribute) => heldTensor(attribute) !== undefined)
  );
}

/** What identifies a tensor that is stored: {@link StoredTensor.key}. */
export function keyOfTensor({ dims }: TensorProto): object {
  return dims;
}

/** What identifies the tensor that a Constant holds. */
export function keyOfConstant({ attribute }: NodeProto): object | undefined {
  return attribute.length > 0 ? keyOfAttribute(attribute[0]) : undefined;
}

function keyOfAttribute({ t, floats }: AttributeProto): object {
  return t ? keyOfTensor(t) : floats;
}

export function isFloatingPoint({ type }: Pick<TensorData, "type">): boolean {
  return type === "float32" || type === "float64" || type === "float16" || type === "bfloat16";
}

/** A tensor of a file and its place. */
export interface StoredTensor {
  name: string;
  tensor: TensorProto;
  /** An object of the file that identifies it, in every copy of its node that functions are written out to. */
  key: object;
  /** Whether it is an initializer of the model's graph; false for those of bodies, functions and nodes. */
  isInitializer: boolean;
  replace: (tensor: TensorProto) => void;
}

/**
 * The tensors that a file stores, where they stand: initializers under their names, and the floating-point tensors of
 * several elements (one, where a layer reads it as a parameter) that nodes hold, under the names of the nodes' outputs.
 * Those in the branches of an If or the body of a Loop count too. One in a function, which all calls share, is
 * `function.name`; one that a node hands to a function as an attribute is `node.attribute`.
 * @throws UserError naming a tensor that is stored twice
 */
export function storedTensors(graph: GraphProto, functions: readonly FunctionProto[] = []): StoredTensor[] {
  const found = new Map<string, StoredTensor>();
  const add = (name: string, scope: string, place: Omit<StoredTensor, "name">) => {
    const own = [name, `${scope}.${name}`].find((free) => !found.has(free));
    if (own === undefined || (place.isInitializer && own !== name))
      throw new UserError(`tensor "${name}" is stored twice`);
    found.set(own, { name: own, ...place });
  };
  const addInitializers = (tensors: TensorProto[], scope: string, prefix = "") => {
    for (const [index, tensor] of tensors.entries()) {
      const replace = (next: TensorProto) => {
        tensors[index] = next;
      };
      add(prefix + tensor.name, scope, {
        tensor,
        key: keyOfTensor(tensor),
        isInitializer: scope === "",
        replace,
      });
    }
  };
  const addHeld = (attribute: AttributeProto, name: string, scope: string, least = 2) => {
    const tensor = heldTensor(attribute, least);
    if (!tensor) return;
    const replace = (next: TensorProto) => {
      if (attribute.t) attribute.t = next;
      else attribute.floats = Array.from(readTensor(next).data as Float32Array);
    };
    add(name, scope, { tensor, key: keyOfAttribute(attribute), isInitializer: false, replace });
  };
  const addNodes = (nodes: readonly NodeProto[], scope: string, prefix = "") => {
    const parameters = readAsParameters(nodes);
    for (const node of nodes) {
      const label = node.name || node.output[0] || node.opType;
      for (const attribute of node.attribute) {
        const isConstant = node.opType === "Constant";
        if (isConstant)
          addHeld(attribute, prefix + node.output[0], scope || label, parameters.has(node.output[0]) ? 1 : 2);
        else if (node.domain !== "" && node.domain !== "ai.onnx")
          addHeld(attribute, `${prefix}${label}.${attribute.name}`, scope || label);
        if (!attribute.g) continue;
        const body = `${prefix}${label}.${attribute.name}`;
        addInitializers(attribute.g.initializer, body, prefix);
        addNodes(attribute.g.node, body, prefix);
      }
    }
  };
  addInitializers(graph.initializer, "");
  addNodes(graph.node, "");
  for (const { name, overload, domain, node, attributeProto } of functions) {
    const scope = [domain, name, overload].filter(Boolean).join(".");
    for (const attribute of attributeProto) addHeld(attribute, `${name}.${attribute.name}`, scope);
    addNodes(node, scope, `${name}.`);
  }
  return [...found.values()];
}

/** Operators whose inputs but the first are parameters, of one element too. */
const layers = new Set([
  ...["Conv", "ConvTranspose", "Gemm", "MatMul", "PRelu", "BatchNormalization", "InstanceNormalization"],
  ...["LayerNormalization", "GroupNormalization", "RMSNormalization"],
]);

function readAsParameters(nodes: readonly NodeProto[]): ReadonlySet<string> {
  return new Set(nodes.flatMap(({ opType, input }) => (layers.has(opType) ? input.slice(1) : [])));
}

/** What an attribute holds, if it has at least N elements. */
function heldTensor(attribute: AttributeProto, least = 2): TensorProto | undefined {
  const { name, t, floats } = attribute;
  if (t && elementCount(t.dims.map(Number)) >= least) {
    const type = dataTypeName(t.dataType, `tensor "${t.name || name}"`);
    return isFloatingPoint({ type }) ? t : undefined;
  }
  return name === "value_floats" && floats.length > 1
    ? writeTensor("", tensorData(floats, [floats.length], "float32"))
    : undefined;
}
