import { UserError } from "../common/errors.ts";
import type { DataType, TensorData } from "./tensor.ts";
import { dataTypes, wideType } from "./types.ts";

/** A tensor of one element and no axes. */
export function scalarData(value: number, type: DataType): TensorData {
  return tensorData([value], [], type);
}

/** Numbers as a tensor of a type. Throws `UserError` for types that numbers cannot fill, such as texts. */
export function tensorData(values: ArrayLike<number>, shape: readonly number[], type: DataType): TensorData {
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

/** Equal keys mean equal content: JSON, in which -0, the infinities, NaN and bigints keep themselves apart. */
export function contentKey(content: unknown): string {
  return JSON.stringify(content, (_key, value) => {
    if (typeof value === "bigint") return { bigint: String(value) };
    if (typeof value !== "number" || (Number.isFinite(value) && !Object.is(value, -0))) return value;
    return { number: Object.is(value, -0) ? "-0" : String(value) };
  });
}
