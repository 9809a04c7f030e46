import { UserError } from "../common/errors.ts";
import { elementCount, type Shape, type Value } from "../graph/graph.ts";
import type { Tensors } from "../runtime/engine.ts";

// All parameters of a model as one vector: the tensors one after another, each row-major.

/** One parameter's place in the vector. */
export interface ParameterPart {
  name: string;
  shape: Shape;
  offset: number;
  length: number;
}

export interface ParameterLayout {
  parts: readonly ParameterPart[];
  /** Number of parameters, all tensors together. */
  length: number;
  /** In which type the model computes. */
  type: "float32" | "float64";
}

/** The layout of parameters in the order given. Throws `UserError` when there are none or they are of other types. */
export function parameterLayout(parameters: ReadonlyMap<string, Value>): ParameterLayout {
  const [first] = parameters.values();
  if (!first) throw new UserError("the model has no parameters: there is nothing to be flat in");
  const { type } = first;
  if (type !== "float32" && type !== "float64") {
    throw new UserError(`the model's parameters are ${type}; flatness is measured in float32 or float64`);
  }
  let length = 0;
  const parts = [...parameters].map(([name, { shape }]) => {
    const part = { name, shape, offset: length, length: elementCount(shape) };
    length += part.length;
    return part;
  });
  return { parts, length, type };
}

/** The layout of some of the parameters, in their old order. Throws `UserError` for names that are not there. */
export function partialLayout(layout: ParameterLayout, names: readonly string[]): ParameterLayout {
  const known = layout.parts.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new UserError(`there is no parameter "${unknown}"; choose among ${known.join(", ")}`);
  }
  let length = 0;
  const parts = layout.parts.flatMap((part) => {
    if (!names.includes(part.name)) return [];
    const moved = { ...part, offset: length };
    length += part.length;
    return [moved];
  });
  if (parts.length === 0) throw new UserError("no parameters were chosen; choose at least one");
  return { ...layout, parts, length };
}

/** The parameters of each layer: those whose names agree up to the last dot. A name without a dot is its own layer. */
export function layersOf({ parts }: ParameterLayout): Map<string, string[]> {
  const layers = new Map<string, string[]>();
  for (const { name } of parts) {
    const dot = name.lastIndexOf(".");
    const layer = dot < 0 ? name : name.slice(0, dot);
    layers.set(layer, [...(layers.get(layer) ?? []), name]);
  }
  return layers;
}

/** The vector of named tensors. Throws `UserError` for a tensor that is missing, of another size or not finite. */
export function flatten({ parts, length }: ParameterLayout, tensors: Tensors): Float64Array {
  const vector = new Float64Array(length);
  for (const { name, offset, length: size } of parts) {
    const data = tensors[name]?.data as ArrayLike<number> | undefined;
    if (data?.length !== size) {
      throw new UserError(`parameter "${name}" has ${data?.length ?? "no"} numbers; the model wants ${size}`);
    }
    vector.set(data, offset);
    for (let i = offset; i < offset + size; i++) {
      if (Number.isFinite(vector[i])) continue;
      throw new UserError(
        `parameter "${name}" holds ${vector[i]}: the model has diverged; measure a checkpoint from before`,
      );
    }
  }
  return vector;
}

/** The vector as tensors of the model's type, in memory of their own, each named `<parameter><suffix>`. */
export function unflatten({ parts, type }: ParameterLayout, vector: Float64Array, suffix = ""): Tensors {
  return Object.fromEntries(
    parts.map(({ name, shape, offset, length }) => {
      const part = vector.subarray(offset, offset + length);
      return [
        `${name}${suffix}`,
        { type, shape, data: type === "float32" ? new Float32Array(part) : part.slice() },
      ];
    }),
  );
}
