import assert from "node:assert/strict";
import { test } from "node:test";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { TensorProtoSchema } from "./onnx_pb.ts";
import { type DataArray, type DataType, readTensor, type TensorData, writeTensor } from "./tensor.ts";
import { dataTypeNumber, dataTypes } from "./types.ts";

/** Five elements of every type (two and a half complex ones would not do: four) as numbers, and their bytes in a file. */
const examples: [DataType, DataArray, string, MessageInitShape<typeof TensorProtoSchema>][] = [
  [
    "float32",
    Float32Array.of(0, 1, -2, 0.5),
    "00000000 0000803f 000000c0 0000003f",
    { floatData: [0, 1, -2, 0.5] },
  ],
  ["float64", Float64Array.of(1, -2), "000000000000f03f 00000000000000c0", { doubleData: [1, -2] }],
  ["float16", Uint16Array.of(0x3c00, 0xc000), "003c 00c0", { int32Data: [0x3c00, 0xc000] }],
  ["bfloat16", Uint16Array.of(0x3f80, 0xc000), "803f 00c0", { int32Data: [0x3f80, 0xc000] }],
  ["int8", Int8Array.of(1, -2, 127), "01 fe 7f", { int32Data: [1, -2, 127] }],
  ["uint8", Uint8Array.of(1, 254, 127), "01 fe 7f", { int32Data: [1, 254, 127] }],
  ["int16", Int16Array.of(1, -2), "0100 feff", { int32Data: [1, -2] }],
  ["uint16", Uint16Array.of(1, 65534), "0100 feff", { int32Data: [1, 65534] }],
  ["int32", Int32Array.of(1, -2), "01000000 feffffff", { int32Data: [1, -2] }],
  ["uint32", Uint32Array.of(1, 2 ** 32 - 2), "01000000 feffffff", { uint64Data: [1n, 2n ** 32n - 2n] }],
  ["int64", BigInt64Array.of(1n, -2n), "0100000000000000 feffffffffffffff", { int64Data: [1n, -2n] }],
  [
    "uint64",
    BigUint64Array.of(1n, 2n ** 64n - 2n),
    "0100000000000000 feffffffffffffff",
    { uint64Data: [1n, 2n ** 64n - 2n] },
  ],
  ["bool", Uint8Array.of(1, 0, 1), "01 00 01", { int32Data: [1, 0, 1] }],
  ["complex64", Float32Array.of(1, -2), "0000803f 000000c0", { floatData: [1, -2] }],
  ["complex128", Float64Array.of(1, -2), "000000000000f03f 00000000000000c0", { doubleData: [1, -2] }],
  ["float8e4m3fn", Uint8Array.of(0x38, 0xc0), "38 c0", { int32Data: [0x38, 0xc0] }],
  ["float8e4m3fnuz", Uint8Array.of(0x40, 0xc8), "40 c8", { int32Data: [0x40, 0xc8] }],
  ["float8e5m2", Uint8Array.of(0x3c, 0xc0), "3c c0", { int32Data: [0x3c, 0xc0] }],
  ["float8e5m2fnuz", Uint8Array.of(0x40, 0xc4), "40 c4", { int32Data: [0x40, 0xc4] }],
  ["float8e8m0", Uint8Array.of(127, 255), "7f ff", { int32Data: [127, 255] }],
  ["uint4", Uint8Array.of(1, 15, 8), "f1 08", { int32Data: [0xf1, 0x08] }],
  ["int4", Int8Array.of(1, -1, -8), "f1 08", { int32Data: [0xf1, 0x08] }],
  ["float4e2m1", Uint8Array.of(2, 12, 5), "c2 05", { int32Data: [0xc2, 0x05] }],
  ["uint2", Uint8Array.of(0, 1, 2, 3, 1), "e4 01", { int32Data: [0xe4, 0x01] }],
  ["int2", Int8Array.of(0, 1, -2, -1, 1), "e4 01", { int32Data: [0xe4, 0x01] }],
];

test("every data type is read from raw bytes and from its typed list, and written as raw bytes", () => {
  const named = new Set<DataType>(["string", ...examples.map(([type]) => type)]);
  assert.deepEqual([...named].sort(), Object.keys(dataTypes).sort());
  for (const [type, data, hex, list] of examples) {
    const rawData = Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));
    const elements = type.startsWith("complex") ? data.length / 2 : data.length;
    const tensor: TensorData = { type, shape: [1, elements], data };
    const head = { name: "t", dims: [1n, BigInt(elements)], dataType: dataTypeNumber(type) };
    assert.deepEqual(readTensor(create(TensorProtoSchema, { ...head, rawData })), tensor, `${type}, raw`);
    assert.deepEqual(readTensor(create(TensorProtoSchema, { ...head, ...list })), tensor, `${type}, list`);
    assert.deepEqual(writeTensor("t", tensor), create(TensorProtoSchema, { ...head, rawData }), type);
  }
});

test("strings are UTF-8 in string_data", () => {
  const tensor: TensorData<"string"> = { type: "string", shape: [3], data: ["größe", "", "\ufeff日本"] };
  const proto = writeTensor("t", tensor);
  assert.deepEqual(Buffer.from(proto.stringData[0]).toString("hex"), "6772c3b6c39f65");
  assert.deepEqual(readTensor(proto), tensor);
});

test("entries wider than the element keep their low bits, as in ONNX Runtime, and any bool but 0 is true", () => {
  const read = (type: DataType, int32Data: number[]) =>
    readTensor(
      create(TensorProtoSchema, {
        dims: [BigInt(int32Data.length)],
        dataType: dataTypeNumber(type),
        int32Data,
      }),
    ).data;
  assert.deepEqual(read("int8", [255, -129]), Int8Array.of(-1, 127));
  assert.deepEqual(read("float16", [-16384]), Uint16Array.of(0xc000));
  assert.deepEqual(read("bool", [0, 256, -1]), Uint8Array.of(0, 1, 1));
  const rawData = Uint8Array.of(0, 1, 2);
  assert.deepEqual(
    readTensor(create(TensorProtoSchema, { dims: [3n], dataType: dataTypeNumber("bool"), rawData })).data,
    Uint8Array.of(0, 1, 1),
  );
});

test("values survive a round trip through bytes at any offset and are copies", () => {
  const values = fc.array(fc.double(), { maxLength: 20 });
  fc.assert(
    fc.property(values, fc.nat(15), (numbers, offset) => {
      const tensor: TensorData = {
        type: "float64",
        shape: [numbers.length],
        data: Float64Array.from(numbers),
      };
      const bytes = toBinary(TensorProtoSchema, writeTensor("t", tensor));
      const shifted = Buffer.concat([Buffer.alloc(offset), bytes]).subarray(offset);
      const read = readTensor(fromBinary(TensorProtoSchema, shifted));
      shifted.fill(0xff);
      assert.deepEqual(read, tensor);
    }),
  );
});

test("a part of an array is written as that part", () => {
  const data = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
  const tensor: TensorData = { type: "float32", shape: [2], data };
  assert.deepEqual(readTensor(writeTensor("t", tensor)).data, Float32Array.of(1, 2));
});

test("scalars and empty tensors", () => {
  const scalar: TensorData = { type: "int64", shape: [], data: BigInt64Array.of(7n) };
  assert.deepEqual(readTensor(writeTensor("t", scalar)), scalar);
  const empty = create(TensorProtoSchema, { dims: [3n, 0n], dataType: dataTypeNumber("float32") });
  assert.deepEqual(readTensor(empty), { type: "float32", shape: [3, 0], data: new Float32Array(0) });
});

test("tensors that do not agree with themselves are refused by name", () => {
  const cases: [MessageInitShape<typeof TensorProtoSchema>, RegExp][] = [
    [
      { dims: [2n, 3n], dataType: 1, floatData: [1] },
      /^tensor "w": has 1 values in float_data, float32 of shape \[2, 3\] wants 6$/,
    ],
    [
      { dims: [2n], dataType: 1, rawData: new Uint8Array(9) },
      /has 9 bytes of raw_data, float32 of shape \[2\] wants 8/,
    ],
    [{ dims: [2n], dataType: 1, doubleData: [1, 2] }, /has 0 values in float_data/],
    [{ dims: [1n], dataType: 8, rawData: new Uint8Array(1) }, /has 0 values in string_data/],
    [{ dims: [1n], dataType: 8, stringData: [Uint8Array.of(0xff)] }, /not UTF-8/],
    [{ dims: [-1n], dataType: 1 }, /shape \[-1\] holds a negative size/],
    [{ dims: [2n ** 40n, 2n ** 40n], dataType: 1 }, /more elements than any memory holds/],
    [{ dims: [2n ** 50n], dataType: 1, floatData: [1] }, /has 1 values in float_data/],
    [{ dataType: 0 }, /has no data type/],
    [{ dataType: 99 }, /data type number 99 is not known/],
    [
      { dataType: 1, dataLocation: 1, externalData: [{ key: "location", value: "w.bin" }] },
      /another file \(w\.bin\), which is not read yet/,
    ],
    [{ dataType: 1, segment: { begin: 0n, end: 1n } }, /segments/],
  ];
  for (const [fields, message] of cases) {
    const proto = create(TensorProtoSchema, { name: "w", ...fields });
    assert.throws(() => readTensor(proto), { name: "UserError", message });
  }
});

test("arrays that do not fit their type or shape are not written", () => {
  const write = (tensor: TensorData) => () => writeTensor("w", tensor);
  const data = new Float32Array(2);
  assert.throws(
    write({ type: "float32", shape: [3], data }),
    /tensor "w": has 2 values, float32 of shape \[3\] wants 3/,
  );
  assert.throws(
    write({ type: "int32", shape: [2], data }),
    /int32 is held in a Int32Array, got a Float32Array/,
  );
  assert.throws(write({ type: "string", shape: [2], data }), /string is held in a Array, got a Float32Array/);
  assert.throws(write({ type: "float32", shape: [0.5], data }), /holds a size that is no integer/);
  assert.throws(write({ type: "float32", shape: [-2], data }), /negative size/);
});
