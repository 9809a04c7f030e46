import { UserError } from "../common/errors.ts";
import { type Attributes, elementCount, type Graph, type Value } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { expand } from "../ops/movement.ts";
import { fold } from "./fold.ts";

/** The outputs of an operator that is a constant once shapes are known; undefined for others. */
export function knownValue(
  graph: Graph,
  operator: string,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes,
): readonly Value[] | undefined {
  const [x] = inputs;
  if (operator === "Constant") return [graph.constant(constantOf(attributes))];
  if (operator === "Shape" && x) {
    const bound = (name: string, fallback: number) => {
      const value = attributes[name];
      return value && "int" in value ? value.int : fallback;
    };
    const sizes = x.shape.slice(bound("start", 0), bound("end", x.shape.length));
    return [graph.constant(tensorData(sizes, [sizes.length], "int64"))];
  }
  if (operator === "Size" && x) return [graph.scalar(elementCount(x.shape), "int64")];
  if (operator !== "ConstantOfShape" || !x) return undefined;
  if (x.origin.kind !== "constant")
    throw new UserError("its shape is computed while running; it has to be known before");
  const shape = Array.from(x.origin.data.data as ArrayLike<bigint>, Number);
  const value = attributes.value && "tensor" in attributes.value ? attributes.value.tensor : undefined;
  const one = value ? { ...value, shape: [] } : tensorData([0], [], "float32");
  const scalar = graph.constant(one);
  // Small ones are written out, so that what depends on them can be computed too.
  const filled = fold("Expand", [scalar, x], {});
  return filled ?? [expand(scalar, shape)];
}

function constantOf(attributes: Attributes): TensorData {
  const [value] = Object.values(attributes);
  if (value && "tensor" in value) return value.tensor;
  if (value && "float" in value) return tensorData([value.float], [], "float32");
  if (value && "int" in value) return tensorData([value.int], [], "int64");
  if (value && "floats" in value) return tensorData(value.floats, [value.floats.length], "float32");
  if (value && "ints" in value) return tensorData(value.ints, [value.ints.length], "int64");
  throw new UserError("a Constant holds numbers here: a tensor, int, ints, float or floats");
}
