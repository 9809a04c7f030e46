import { UserError } from "../common/errors.ts";
import type { DataType, TensorData } from "../onnx/tensor.ts";
import type { Graph, Shape, Value } from "./graph.ts";

/** Constants up to this many elements are compared by content, so that equal ones are built once. */
const comparedElements = 256;

/** A tensor of one element and no axes. */
export function scalarData(value: number, type: DataType): TensorData {
  return tensorData([value], [], type);
}

/** Numbers as a tensor of a type. Throws for types that numbers cannot fill. */
export function tensorData(values: ArrayLike<number>, shape: Shape, type: DataType): TensorData {
  switch (type) {
    case "float32":
      return { type, shape, data: Float32Array.from(values) };
    case "float64":
      return { type, shape, data: Float64Array.from(values) };
    case "int32":
      return { type, shape, data: Int32Array.from(values) };
    case "int64":
      return { type, shape, data: BigInt64Array.from(Array.from(values), wholeNumber) };
    case "bool":
    case "uint8":
      return { type, shape, data: Uint8Array.from(values) };
    case "int8":
      return { type, shape, data: Int8Array.from(values) };
    default:
      throw new Error(`constants of type ${type} are not built from numbers`);
  }
}

function wholeNumber(value: number): bigint {
  if (Number.isInteger(value)) return BigInt(value);
  throw new UserError(`${value} is no whole number, as a tensor of int64 holds them`);
}

/** A vector of int64: what ONNX wants for shapes, axes and the like. */
export function int64Vector(graph: Graph, values: readonly number[]): Value {
  return graph.constant(tensorData(values, [values.length], "int64"));
}

/** The numbers of a constant, or undefined when the value is computed or fed. */
export function constantNumbers(value: Value | undefined): number[] | undefined {
  if (value?.origin.kind !== "constant") return undefined;
  return Array.from(value.origin.data.data as ArrayLike<number | bigint>, Number);
}

/** Equal keys mean equal constants; undefined for those too large to compare. */
export function constantKey(data: TensorData): string | undefined {
  if (data.data.length > comparedElements) return undefined;
  return contentKey(data);
}

/** Equal keys mean equal content: JSON, in which -0, the infinities, NaN and bigints keep themselves apart. */
export function contentKey(content: unknown): string {
  return JSON.stringify(content, (_key, value) => {
    if (typeof value === "bigint") return { bigint: String(value) };
    if (typeof value !== "number" || (Number.isFinite(value) && !Object.is(value, -0))) return value;
    return { number: Object.is(value, -0) ? "-0" : String(value) };
  });
}
