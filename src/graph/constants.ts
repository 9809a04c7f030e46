import { UserError } from "../common/errors.ts";
import type { DataType, TensorData } from "../onnx/tensor.ts";
import { dataTypes, wideType } from "../onnx/types.ts";
import type { Graph, Shape, Value } from "./graph.ts";

/** Constants up to this many elements are compared by content, so that equal ones are built once. */
const comparedElements = 256;

/** A tensor of one element and no axes. */
export function scalarData(value: number, type: DataType): TensorData {
  return tensorData([value], [], type);
}

/** Numbers as a tensor of a type. Throws `UserError` for types that numbers cannot fill, such as texts. */
export function tensorData(values: ArrayLike<number>, shape: Shape, type: DataType): TensorData {
  const { array } = dataTypes[type];
  // Smaller floats are stored as codes, smaller integers packed, complex numbers as pairs.
  if (!array || wideType(type) !== type || "parts" in dataTypes[type])
    throw new UserError(`numbers do not make a tensor of ${type}`);
  const data =
    array === BigInt64Array || array === BigUint64Array
      ? array.from(Array.from(values, (value) => wholeNumber(value, type)))
      : (array as Float32ArrayConstructor).from(values);
  return { type, shape, data } as TensorData;
}

function wholeNumber(value: number, type: DataType): bigint {
  if (Number.isInteger(value)) return BigInt(value);
  throw new UserError(`${value} is no whole number, as a tensor of ${type} holds them`);
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
