import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UserError } from "../common/errors.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { Tensors } from "../runtime/engine.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";

const kinds = {
  float32: { element: fc.float(), array: (values: number[]) => Float32Array.from(values) },
  float64: { element: fc.double(), array: (values: number[]) => Float64Array.from(values) },
  int32: { element: fc.integer(), array: (values: number[]) => Int32Array.from(values) },
  int64: { element: fc.integer(), array: (values: number[]) => BigInt64Array.from(values, BigInt) },
};

const tensor = fc
  .record({
    type: fc.constantFrom("float32", "float64", "int32", "int64"),
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
    [{ x: { ...entry, dtype: "BF16" } }, /tensor "x"/],
    [{ x: { ...entry, shape: [2] } }, /tensor "x"/],
    [{ x: { ...entry, shape: "1" } }, /tensor "x"/],
    [{ x: { ...entry, data_offsets: [4, 8] } }, /tensor "x"/],
    [{ x: { ...entry, data_offsets: [-4, 0] } }, /tensor "x"/],
    [{ x: { ...entry, data_offsets: undefined } }, /tensor "x"/],
    [{ x: null }, /tensor "x"/],
  ];
  for (const [header, expected] of headers) assert.match(refusal(fileWith(JSON.stringify(header))), expected);
  assert.match(refusal(fileWith('{"x": ')), /not JSON/);
});

test("random bytes are refused, never read", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => /damaged/.test(refusal(bytes))));
});

function int32(value: number): Tensors[string] {
  return { type: "int32", shape: [], data: Int32Array.of(value) };
}

/** A file of that header and four bytes of data. */
function fileWith(header: string): Uint8Array {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(4)]);
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
