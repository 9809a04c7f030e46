import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { UserError } from "../common/errors.ts";
import { readAttributes, writeAttributes } from "./attributes.ts";
import { readModel, writeModel } from "./model.ts";
import { type ModelProto, ModelProtoSchema } from "./onnx_pb.ts";
import { readTensor, writeTensor } from "./tensor.ts";
import { dataTypeNumber } from "./types.ts";

// Written by the Python package onnx 1.23.1: Add and a call of a function with an overload, float32 and int4
// initializers, metadata and a device configuration on the node, IR version 13.
const foreign = Buffer.from(
  "CA0SBG9ubng6wAEKQQoBeAoBdxIBeRoDYWRkIgNBZGRKDwoEbm90ZRIHZ3LDtsOfZVIbCgN0d28SEgoBeBAAEAEiCQgAEgUSAW4Y" +
    "AhgBCigKAXkSAXoiBVR3aWNlKgwKAmJ5FQAAAECgAQE6BWxvY2FsQgRmYXN0EgFnKhUIAxABIgwAAIA/AAAAQAAAQEBCAXcqCwgD" +
    "EBYqAngBQgFxWhQKAXgSDwoNCAESCQoDEgFuCgIIA2IUCgF6Eg8KDQgBEgkKAxIBbgoCCANCBAoAEBVCCQoFbG9jYWwQAcoBWgoF" +
    "VHdpY2UiAWEqAWIyAmJ5OiQSAWsiCENvbnN0YW50KhUKC3ZhbHVlX2Zsb2F0oAEBqgECYnk6DgoBYQoBaxIBYiIDTXVsSgQKABAV" +
    "UgVsb2NhbGoEZmFzdNIBDQoDdHdvEAIaAWEaAWI=",
  "base64",
);

test("a model written by somebody else is understood and written back byte for byte", () => {
  const model = readModel(foreign);
  const [add, call] = model.graph!.node;
  assert.equal(model.irVersion, 13n);
  assert.deepEqual(add.input, ["x", "w"]);
  assert.equal(add.metadataProps[0].value, "größe");
  assert.deepEqual(add.deviceConfigurations[0].shardingSpec[0].device, [0n, 1n]);
  assert.equal(call.overload, "fast");
  assert.deepEqual(readAttributes(call.attribute), { by: { float: 2 } });
  assert.deepEqual(readAttributes(model.functions[0].node[0].attribute), {
    value_float: { reference: "by", kind: "float" },
  });
  const [w, q] = model.graph!.initializer.map((tensor) => readTensor(tensor));
  assert.deepEqual(w, { type: "float32", shape: [3], data: Float32Array.of(1, 2, 3) });
  assert.deepEqual(q, { type: "int4", shape: [3], data: Int8Array.of(-8, 7, 1) });
  const type = model.graph!.input[0].type!.value;
  assert.equal(type.case, "tensorType");
  assert.deepEqual(type.case === "tensorType" && type.value.shape!.dim.map((dim) => dim.value.value), [
    "n",
    3n,
  ]);
  assert.deepEqual(Buffer.from(writeModel(model)), foreign);
});

test("a hand-built model loads and runs in ONNX Runtime", async () => {
  const session = await InferenceSession.create(writeModel(addition()));
  const x = new Tensor("float32", Float32Array.of(1, 2, 3), [3]);
  const { sum } = await session.run({ x, y: new Tensor("float32", Float32Array.of(10, 20, 30), [3]) });
  assert.deepEqual(sum.data, Float32Array.of(12, 23, 34));
  await session.release();
});

test("any model survives a round trip", () => {
  const text = fc.string({ unit: "grapheme" });
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
  const attribute = fc.record({ name: text, ints: fc.array(int64), type: fc.integer({ min: -9, max: 99 }) });
  const node = fc.record({
    opType: text,
    input: fc.array(text),
    domain: text,
    attribute: fc.array(attribute),
  });
  const tensor = fc.record({
    name: text,
    dims: fc.array(int64),
    rawData: fc.uint8Array(),
    floatData: fc.array(fc.float()),
  });
  const graph = fc.record({ name: text, node: fc.array(node), initializer: fc.array(tensor) });
  const model = fc.record({
    irVersion: int64,
    graph,
    opsetImport: fc.constant({ version: 1n }).map((entry) => [entry]),
  });
  fc.assert(
    fc.property(model, (fields) => {
      const built = create(ModelProtoSchema, fields);
      assert.deepEqual(readModel(writeModel(built)), built);
    }),
  );
});

test("unknown fields survive at every depth", () => {
  const unknown = fc.oneof(
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => [...varint(900n << 3n), ...varint(value)]),
    fc.uint8Array({ minLength: 8, maxLength: 8 }).map((bytes) => [...varint((901n << 3n) | 1n), ...bytes]),
    fc.uint8Array().map((bytes) => field(902, bytes)),
  );
  fc.assert(
    fc.property(fc.array(fc.array(unknown), { minLength: 6, maxLength: 6 }), (lists) => {
      const [model, graph, node, attribute, subgraph, opset] = lists.map((list) => list.flat());
      const bytes = Uint8Array.from([
        ...[0x08, 13],
        ...field(7, [...field(1, [...field(5, [...field(6, subgraph), ...attribute]), ...node]), ...graph]),
        ...field(8, opset),
        ...model,
      ]);
      assert.deepEqual(writeModel(readModel(bytes)), bytes);
    }),
  );
});

test("what is no ONNX model is refused with the reason", () => {
  const cases: [Uint8Array | string, RegExp][] = [
    ["", /^a\.onnx is not an ONNX model: it is empty$/],
    ["version https://git-lfs.github.com/spec/v1", /Git LFS pointer/],
    ["<!DOCTYPE html>", /web page/],
    ["PK\x03\x04", /zip archive/],
    [Uint8Array.of(0x1f, 0x8b, 8), /gzip/],
    ["\x1c\0\0\0ORTM", /ONNX Runtime's own format/],
    ["Hello, world", /not an ONNX model: it is damaged, or a file of another format$/],
    [foreign.subarray(0, 100), /not an ONNX model: it is cut off or damaged \(100 bytes\)/],
    [foreign.subarray(0, 2), /it holds no graph/],
    [foreign.subarray(2), /states no ONNX version/],
    [Uint8Array.of(0x08, 13, 0x3a, 0), /states no operator set/],
  ];
  for (const [bytes, message] of cases) {
    const given = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    assert.throws(() => readModel(given, "a.onnx"), { name: "UserError", message });
  }
});

test("cut off anywhere, a model is refused, unless the cut lies between two fields of the model itself", () => {
  for (let length = 0; length < foreign.length; length++) {
    const cut = foreign.subarray(0, length);
    const model = onlyUserErrors(() => readModel(cut));
    if (model !== undefined) assert.deepEqual(Buffer.from(writeModel(model)), Buffer.from(cut));
  }
});

test("damaged bytes give a model or a UserError, never anything else", () => {
  const edit = fc.record({
    at: fc.nat(foreign.length),
    remove: fc.nat(4),
    insert: fc.uint8Array({ maxLength: 4 }),
  });
  const damaged = fc.array(edit, { minLength: 1, maxLength: 4 }).map((edits) => {
    const bytes = [...foreign];
    for (const { at, remove, insert } of edits) bytes.splice(at, remove, ...insert);
    return Uint8Array.from(bytes);
  });
  let read = 0;
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: damaged }, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      const model = onlyUserErrors(() => readModel(bytes));
      if (model === undefined) return;
      read++;
      for (const tensor of model.graph!.initializer) onlyUserErrors(() => readTensor(tensor));
      for (const node of model.graph!.node) {
        onlyUserErrors(() => writeAttributes(readAttributes(node.attribute)));
      }
      const written = writeModel(model);
      assert.deepEqual(writeModel(readModel(written)), written);
    }),
    { numRuns: 5000 },
  );
  assert.ok(read > 100, `only ${read} of the damaged models could be read, so little was tried`);
});

test("graphs nested without end are refused", () => {
  let graph: number[] = [];
  for (let depth = 0; depth < 500; depth++) graph = field(1, field(5, field(6, graph)));
  assert.throws(() => readModel(Uint8Array.from([0x08, 13, ...field(7, graph)])), UserError);
});

test("a model above 2 GB is refused before its bytes are gathered", () => {
  const model = addition();
  const rawData = new Uint8Array(2 ** 20);
  const tensor = writeTensor("w", { type: "uint8", shape: [2 ** 20], data: rawData });
  model.graph!.initializer = Array.from({ length: 2048 }, () => tensor);
  assert.throws(() => writeModel(model), { name: "UserError", message: /needs 2\.0 GB/ });
});

/** sum = x + y + w, where w = [1, 1, 1]. */
function addition(): ModelProto {
  const type = {
    value: {
      case: "tensorType" as const,
      value: {
        elemType: dataTypeNumber("float32"),
        shape: { dim: [{ value: { case: "dimValue" as const, value: 3n } }] },
      },
    },
  };
  return create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [{ version: 21n }],
    graph: {
      name: "addition",
      node: [
        { opType: "Add", input: ["x", "y"], output: ["partial"] },
        { opType: "Add", input: ["partial", "w"], output: ["sum"] },
      ],
      initializer: [writeTensor("w", { type: "float32", shape: [3], data: Float32Array.of(1, 1, 1) })],
      input: [
        { name: "x", type },
        { name: "y", type },
      ],
      output: [{ name: "sum", type }],
    },
  });
}

function onlyUserErrors<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** A length-delimited field on the wire. */
function field(number: number, content: Iterable<number>): number[] {
  const bytes = [...content];
  return [...varint((BigInt(number) << 3n) | 2n), ...varint(BigInt(bytes.length)), ...bytes];
}

function varint(value: bigint): number[] {
  const low = Number(value & 0x7fn);
  return value < 0x80n ? [low] : [low | 0x80, ...varint(value >> 7n)];
}
