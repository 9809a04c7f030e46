import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UserError } from "../common/errors.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";

const integer = (array: (values: number[]) => TensorData["data"], low: number, high: number) => ({
  element: fc.integer({ min: low, max: high }),
  array,
});
const kinds = {
  float32: { element: fc.float(), array: (values: number[]) => Float32Array.from(values) },
  float64: { element: fc.double(), array: (values: number[]) => Float64Array.from(values) },
  int32: { element: fc.integer(), array: (values: number[]) => Int32Array.from(values) },
  int64: { element: fc.integer(), array: (values: number[]) => BigInt64Array.from(values, BigInt) },
  int16: integer((values) => Int16Array.from(values), -(2 ** 15), 2 ** 15 - 1),
  int8: integer((values) => Int8Array.from(values), -128, 127),
  uint64: integer((values) => BigUint64Array.from(values, BigInt), 0, 2 ** 31 - 1),
  uint32: integer((values) => Uint32Array.from(values), 0, 2 ** 31 - 1),
  uint16: integer((values) => Uint16Array.from(values), 0, 2 ** 16 - 1),
  uint8: integer((values) => Uint8Array.from(values), 0, 255),
  bool: integer((values) => Uint8Array.from(values), 0, 1),
};

const tensor = fc
  .record({
    type: fc.constantFrom(...(Object.keys(kinds) as (keyof typeof kinds)[])),
    shape: fc.array(fc.nat({ max: 3 }), { maxLength: 3 }),
  })
  .chain(({ type, shape }) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const { element, array } = kinds[type];
    return fc
      .array(element, { minLength: count, maxLength: count })
      .map((values): TensorData => ({ type, shape, data: array(values) }));
  });
// "__proto__" is no name of a tensor, and JSON objects do not keep it; "__metadata__" is the format's own.
const name = fc.string().filter((text) => text !== "__proto__" && text !== "__metadata__");
const tensors = fc.dictionary(name, tensor, { noNullPrototype: true, maxKeys: 5 });
const metadata = fc.dictionary(name, fc.string(), { noNullPrototype: true, maxKeys: 3 });

test("what is written is read again: every type, shape and bit, and the words about them", () => {
  fc.assert(
    fc.property(tensors, metadata, (given, words) => {
      const read = readSafetensors(writeSafetensors(given, words), "file");
      assert.deepEqual(read.metadata, words);
      assert.deepEqual(read.tensors, given);
    }),
  );
});

test("the file is as the format says: length, JSON header with offsets into aligned data", () => {
  const bytes = writeSafetensors(
    { a: { type: "float32", shape: [2], data: Float32Array.of(1, -2) }, b: int32(5) },
    { step: "3" },
  );
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  assert.equal(length % 8, 0);
  assert.deepEqual(JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString()), {
    __metadata__: { step: "3" },
    a: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
    b: { dtype: "I32", shape: [], data_offsets: [8, 12] },
  });
  assert.equal(Buffer.from(bytes.subarray(8 + length)).toString("hex"), "0000803f000000c005000000");
});

test("wider types stand before narrower ones, so that each is aligned", () => {
  const bytes = writeSafetensors({
    a: { type: "uint8", shape: [1], data: Uint8Array.of(1) },
    b: { type: "int64", shape: [1], data: BigInt64Array.of(2n) },
    c: int32(3),
  });
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(Buffer.from(bytes.subarray(8, 8 + length)).toString());
  assert.deepEqual(
    ["b", "c", "a"].map((key) => header[key].data_offsets[0]),
    [0, 8, 12],
  );
});

test("a type that the format lacks is refused by the tensor's name", () => {
  assert.throws(
    () => writeSafetensors({ words: { type: "string", shape: [1], data: ["x"] } }),
    /"words" is of type string/,
  );
});

test("a view of a larger array is stored as the view alone", () => {
  const whole = Float32Array.of(0, 1, 2, 3);
  const { tensors: read } = readSafetensors(
    writeSafetensors({ x: { type: "float32", shape: [2], data: whole.subarray(1, 3) } }),
    "file",
  );
  assert.deepEqual(read.x.data, Float32Array.of(1, 2));
});

test("however a file is cut, what is left is refused in one sentence that names it", () => {
  const bytes = writeSafetensors({ x: int32(1), y: int32(2) }, { epoch: "1" });
  for (let length = 0; length < bytes.length; length++) {
    assert.match(refusal(bytes.subarray(0, length)), /^run\/x is damaged: [^\n.]+$/, `${length} bytes`);
  }
});

test("a header that lies is refused, and so is one of another kind", () => {
  const entry = { dtype: "I32", shape: [1], data_offsets: [0, 4] };
  const headers: [unknown, RegExp][] = [
    [null, /no JSON object/],
    [[], /no JSON object/],
    [{ __metadata__: { step: 3 }, x: entry }, /its metadata is no object of texts/],
    [
      { x: { ...entry, dtype: "F8_E4M3" } },
      /tensor "x" is of type F8_E4M3, which is not read; save it as one of F64/,
    ],
    [{ x: { ...entry, dtype: "toString" } }, /tensor "x" is of type toString/],
    [{ x: { ...entry, shape: [2] } }, /tensor "x" has 4 bytes, I32 of shape \[2\] wants 8/],
    [{ x: { ...entry, shape: [2 ** 40, 2 ** 40, 2 ** 40] } }, /tensor "x" has 4 bytes/],
    [{ x: { ...entry, shape: [0.5, 2] } }, /tensor "x" lacks a type, a shape or its place/],
    [{ x: { ...entry, shape: "1" } }, /tensor "x" lacks/],
    [{ x: { ...entry, data_offsets: [4, 8] } }, /tensor "x" lies at bytes 4 to 8 of the data, which has 4/],
    [{ x: { ...entry, data_offsets: [4, 0] } }, /tensor "x" lies at bytes 4 to 0/],
    [{ x: { ...entry, data_offsets: [-4, 0] } }, /tensor "x" lacks/],
    [{ x: { ...entry, data_offsets: undefined } }, /tensor "x" lacks/],
    [{ x: null }, /tensor "x" lacks/],
    [{ x: entry, y: entry }, /tensor "y" begins at byte 0 of the data, inside another tensor/],
    [
      { x: { dtype: "I16", shape: [1], data_offsets: [2, 4] } },
      /bytes 0 to 2 of the data belong to no tensor/,
    ],
    [{}, /bytes 0 to 4 of the data belong to no tensor/],
  ];
  for (const [header, expected] of headers) assert.match(refusal(fileWith(JSON.stringify(header))), expected);
  assert.match(refusal(fileWith('{"x": ')), /not JSON/);
  assert.match(refusal(fileWith("\xff")), /do not hold its header/);
  const huge = fileWith(JSON.stringify({ x: entry }));
  new DataView(huge.buffer, huge.byteOffset).setBigUint64(0, 2n ** 63n, true);
  assert.match(refusal(huge), /claims a header of 9223372036854776000 bytes/);
});

test("the numbers of 16 bits are read as the float32 numbers they are", () => {
  const read = (dtype: string, hex: number[]) => {
    const header = JSON.stringify({ x: { dtype, shape: [hex.length], data_offsets: [0, 2 * hex.length] } });
    const data = Buffer.from(Uint16Array.from(hex).buffer);
    return readSafetensors(fileWith(header, data), "file").tensors.x;
  };
  // The examples of IEEE 754 binary16: 1, −2, its largest, its smallest normal and subnormal, ±∞, NaN, 1/3, −0.
  const half = read("F16", [0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x7c00, 0xfc00, 0x7e00, 0x3555, 0x8000]);
  const values = [1, -2, 65504, 2 ** -14, 2 ** -24, Infinity, -Infinity, NaN, 0.333251953125, -0];
  assert.deepEqual(half, { type: "float32", shape: [10], data: Float32Array.from(values) });
  // bfloat16: 1, −2, its largest, π as it is rounded there, −∞.
  const brain = read("BF16", [0x3f80, 0xc000, 0x7f7f, 0x4049, 0xff80]);
  assert.deepEqual(Array.from(brain.data as Float32Array), [
    1,
    -2,
    2 ** 127 * (2 - 2 ** -7),
    3.140625,
    -Infinity,
  ]);
});

test("random bytes are refused, never read", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => /damaged/.test(refusal(bytes))));
});

test("a file with bytes changed anywhere is read or refused in a sentence, and nothing else happens", () => {
  const bytes = writeSafetensors({ x: int32(1), y: int32(2) }, { epoch: "1" });
  const change = fc.tuple(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
      const other = bytes.slice();
      for (const [at, value] of changes) other[at] = value;
      try {
        readSafetensors(other, "file");
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, /^file(:| is damaged:) [^\n]+$/);
      }
    }),
    { numRuns: 2000 },
  );
});

function int32(value: number): Tensors[string] {
  return { type: "int32", shape: [], data: Int32Array.of(value) };
}

/** A file of that header and data, four bytes when left out. */
function fileWith(header: string, data = Buffer.alloc(4)): Uint8Array {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), data]);
}

function refusal(bytes: Uint8Array): string {
  try {
    readSafetensors(bytes, "run/x");
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
  throw new Error("it was read");
}
