import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { type AttributeValue, readAttributes, writeAttributes } from "./attributes.ts";
import {
  AttributeProtoSchema,
  GraphProtoSchema,
  SparseTensorProtoSchema,
  TypeProtoSchema,
} from "./onnx_pb.ts";
import { attributeTypes } from "./types.ts";

test("a value of every kind survives a round trip", () => {
  const tensor = { type: "float32", shape: [2], data: Float32Array.of(1, 2) } as const;
  const graph = create(GraphProtoSchema, { name: "body" });
  const sparseTensor = create(SparseTensorProtoSchema, { dims: [4n] });
  const type = create(TypeProtoSchema, { denotation: "IMAGE" });
  const values: Record<string, AttributeValue> = {
    axis: { int: -1 },
    alpha: { float: 0.5 },
    mode: { string: "größe" },
    value: { tensor },
    body: { graph },
    sparse: { sparseTensor },
    like: { type },
    pads: { ints: [0, 1, -(2 ** 53 - 1)] },
    scales: { floats: [1, Infinity, -0] },
    keys: { strings: ["a", ""] },
    values: { tensors: [tensor] },
    branches: { graphs: [graph, graph] },
    many: { sparseTensors: [sparseTensor] },
    likes: { types: [type] },
    none: { ints: [] },
    outer: { reference: "alpha", kind: "float" },
    zero: { int: 0 },
  };
  assert.deepEqual(readAttributes(writeAttributes(values)), values);
  const kinds = new Set(Object.values(values).map((value) => Object.keys(value)[0]));
  for (const kind of Object.keys(attributeTypes)) assert.ok(kinds.has(kind), `no example of ${kind}`);
});

test("any numbers survive, floats as float32; any name does", () => {
  const value: fc.Arbitrary<AttributeValue> = fc.oneof(
    fc.array(fc.maxSafeInteger()).map((ints) => ({ ints })),
    fc.array(fc.float()).map((floats) => ({ floats })),
    fc.string({ unit: "grapheme" }).map((string) => ({ string })),
  );
  fc.assert(
    fc.property(fc.dictionary(fc.string(), value, { noNullPrototype: true }), (values) => {
      assert.deepEqual(readAttributes(writeAttributes(values)), values);
    }),
  );
  assert.deepEqual(readAttributes(writeAttributes({ alpha: { float: 0.1 } })), {
    alpha: { float: Math.fround(0.1) },
  });
});

test("int and float are told apart on the wire", () => {
  const [int, float] = writeAttributes({ a: { int: 1 }, b: { float: 1 } });
  assert.deepEqual([int.type, int.i, float.type, float.f], [2, 1n, 1, 1]);
});

test("the kind is found where a file of IR version 1 does not state it, and defaults left out are 0", () => {
  assert.deepEqual(read({ ints: [1n, 2n] }), { ints: [1, 2] });
  assert.deepEqual(read({ f: 0 }), { float: 0 });
  assert.deepEqual(read({ type: attributeTypes.int }), { int: 0 });
  assert.deepEqual(read({ type: attributeTypes.string }), { string: "" });
});

test("the ends of int64 mean no bound, other integers beyond 53 bits are refused", () => {
  const ends = read({ type: attributeTypes.ints, ints: [2n ** 63n - 1n, -(2n ** 63n)] });
  assert.deepEqual(ends, { ints: [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER] });
  for (const i of [2n ** 53n, -(2n ** 53n), 2n ** 63n - 2n]) {
    assert.throws(() => read({ type: attributeTypes.int, i }), {
      name: "UserError",
      message: /attribute "a": -?\d+ is beyond/,
    });
  }
});

test("attributes that cannot be understood are refused by name", () => {
  const cases: [MessageInitShape<typeof AttributeProtoSchema>, RegExp][] = [
    [{}, /attribute "a": has neither type nor value/],
    [{ type: 99 }, /attribute "a": type number 99 is not known/],
    [{ type: attributeTypes.graph }, /attribute "a": is of kind graph and has no value/],
    [
      { type: attributeTypes.string, s: Uint8Array.of(0xff) },
      /attribute "a": holds a string of 1 bytes that is not UTF-8/,
    ],
    [{ type: attributeTypes.tensor, t: { dataType: 1, dims: [1n] } }, /^attribute "a": has 0 values/],
    [
      { type: attributeTypes.tensor, t: { name: "t", dataType: 1, dims: [1n] } },
      /^attribute "a", tensor "t": has 0 values/,
    ],
  ];
  for (const [fields, message] of cases) assert.throws(() => read(fields), { name: "UserError", message });
  const twice = [...writeAttributes({ a: { int: 1 } }), ...writeAttributes({ a: { int: 2 } })];
  assert.throws(() => readAttributes(twice), /attribute "a": is given twice/);
});

test("numbers that the format cannot hold are not written", () => {
  assert.throws(() => writeAttributes({ axis: { int: 0.5 } }), /attribute "axis": 0\.5 is no integer/);
  assert.throws(() => writeAttributes({ axis: { int: 2 ** 53 } }), /is no integer of at most 53 bits/);
  assert.throws(
    () => writeAttributes({ alpha: { float: 1e39 } }),
    /attribute "alpha": 1e\+39 is beyond the range/,
  );
});

function read(fields: MessageInitShape<typeof AttributeProtoSchema>): AttributeValue {
  return readAttributes([create(AttributeProtoSchema, { name: "a", ...fields })]).a;
}
