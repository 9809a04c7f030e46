import type { DataType } from "./types.ts";

// Floating-point numbers of 16 bits and fewer, by their definitions.

interface FloatFormat {
  bits: number;
  /** Bits of the fraction. */
  fraction: number;
  /** Exponent of the smallest normal number. */
  least: number;
  /** Bits of the largest number. */
  last: number;
  /** Bits of what is not finite, where there is such a thing. */
  infinity?: number;
  nan?: number;
}

/** The formats with a sign and a fraction; float8e8m0 has neither, its numbers are the powers of two. */
const formats = {
  float16: { bits: 16, fraction: 10, least: -14, last: 0x7bff, infinity: 0x7c00, nan: 0x7e00 },
  bfloat16: { bits: 16, fraction: 7, least: -126, last: 0x7f7f, infinity: 0x7f80, nan: 0x7fc0 },
  float8e4m3fn: { bits: 8, fraction: 3, least: -6, last: 0x7e, nan: 0x7f },
  float8e4m3fnuz: { bits: 8, fraction: 3, least: -7, last: 0x7f, nan: 0x80 },
  float8e5m2: { bits: 8, fraction: 2, least: -14, last: 0x7b, infinity: 0x7c, nan: 0x7e },
  float8e5m2fnuz: { bits: 8, fraction: 2, least: -15, last: 0x7f, nan: 0x80 },
  float4e2m1: { bits: 4, fraction: 1, least: 0, last: 7 },
} as const satisfies Partial<Record<DataType, FloatFormat>>;

export type FractionalType = keyof typeof formats;
export type SmallFloat = FractionalType | "float8e8m0";

export function isSmallFloat(type: DataType): type is SmallFloat {
  return type === "float8e8m0" || Object.hasOwn(formats, type);
}

/** What a format holds: its largest number, the bits of its fraction, and so on. */
export function floatFormat(type: FractionalType): FloatFormat & { largest: number } {
  return { ...formats[type], largest: smallFloatValue(formats[type].last, type) };
}

/** The number that bits stand for. */
export function smallFloatValue(bits: number, type: SmallFloat): number {
  if (type === "float8e8m0") return bits === 0xff ? Number.NaN : 2 ** (bits - 127);
  const format: FloatFormat = formats[type];
  const negative = 1 << (format.bits - 1);
  const code = bits & (negative - 1);
  if (bits === format.nan) return Number.NaN;
  const sign = bits & negative ? -1 : 1;
  if (code > format.last) return code === format.infinity ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  const whole = 1 << format.fraction;
  const field = code >> format.fraction;
  const steps = field === 0 ? code : whole + (code & (whole - 1));
  return sign * steps * 2 ** (format.least + Math.max(0, field - 1) - format.fraction);
}

const word = new Uint32Array(1);
const asFloat = new Float32Array(word.buffer);

/**
 * The bits of the nearest number, ties to even. What is too large becomes infinite in 16 bits, and the largest number in
 * fewer.
 */
export function smallFloatBits(value: number, type: SmallFloat): number {
  if (type === "float8e8m0") {
    if (Number.isNaN(value)) return 0xff;
    return Math.min(0xfe, Math.max(0, Math.round(Math.log2(Math.abs(value))) + 127)) || 0;
  }
  const { bits, fraction, least, last, nan, infinity }: FloatFormat = formats[type];
  if (Number.isNaN(value)) return nan ?? 0;
  asFloat[0] = value;
  const sign = word[0] >>> 31 ? 1 << (bits - 1) : 0;
  const exponent = Math.max(least, ((word[0] >>> 23) & 0xff) - 127);
  // A carry out of the fraction moves into the exponent, and so does the one in front of it.
  const code =
    (exponent - least) * 2 ** fraction + roundedToEven(Math.abs(asFloat[0]) * 2 ** (fraction - exponent));
  if (!(code > last)) return sign && code === 0 && nan === sign ? 0 : sign | code;
  return sign | (bits === 16 ? infinity! : last);
}

function roundedToEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}
