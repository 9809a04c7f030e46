import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { zipSync } from "fflate";
import { UserError } from "../../common/errors.ts";
import { parseNpy, parseNpz } from "./npy.ts";

/** A file as `numpy.save` writes it: magic, version, the length of the header, the header padded to 64 bytes. */
function npy(header: string, content: ArrayBufferView, version = 1): Uint8Array {
  const start = version === 1 ? 10 : 12;
  const padded = `${header.padEnd(Math.ceil((start + header.length + 1) / 64) * 64 - start - 1)}\n`;
  const bytes = Buffer.alloc(start);
  bytes.write("\x93NUMPY", "latin1");
  bytes.writeUInt8(version, 6);
  if (version === 1) bytes.writeUInt16LE(padded.length, 8);
  else bytes.writeUInt32LE(padded.length, 8);
  return Buffer.concat([
    bytes,
    Buffer.from(padded, "latin1"),
    new Uint8Array(content.buffer, content.byteOffset, content.byteLength),
  ]);
}

const header = (descr: string, shape: string, fortran = "False") =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;

describe("NumPy's files", () => {
  test("arrays of each type, in both versions of the header", () => {
    const cases: [string, ArrayBufferView][] = [
      ["|u1", Uint8Array.of(1, 2, 255)],
      ["|b1", Uint8Array.of(0, 1, 1)],
      ["|i1", Int8Array.of(-1, 2, 3)],
      ["<u2", Uint16Array.of(1, 2, 65535)],
      ["<i4", Int32Array.of(-1, 2, 3)],
      ["<i8", BigInt64Array.of(-1n, 2n, 3n)],
      ["<f4", Float32Array.of(0.5, -2, 3)],
      ["<f8", Float64Array.of(0.1, -2, 3)],
    ];
    for (const [descr, data] of cases)
      for (const version of [1, 2]) {
        const array = parseNpy(npy(header(descr, "(3,)"), data, version), "a.npy");
        assert.deepEqual(array.shape, [3]);
        assert.deepEqual(array.data, data);
      }
  });

  test("scalars, nothing, and Fortran order", () => {
    assert.deepEqual(parseNpy(npy(header("<i4", "()"), Int32Array.of(7)), "a.npy").shape, []);
    assert.deepEqual(parseNpy(npy(header("<i4", "(0, 4)"), new Int32Array(0)), "a.npy").shape, [0, 4]);
    // numpy.asfortranarray([[1, 2, 3], [4, 5, 6]]) lies in memory column by column.
    const columns = npy(header("<i4", "(2, 3)", "True"), Int32Array.of(1, 4, 2, 5, 3, 6));
    assert.deepEqual(parseNpy(columns, "a.npy"), { shape: [2, 3], data: Int32Array.of(1, 2, 3, 4, 5, 6) });
  });

  test("archives, stored and compressed", () => {
    const x = npy(header("|u1", "(2, 2)"), Uint8Array.of(1, 2, 3, 4));
    const y = npy(header("<i8", "(2,)"), BigInt64Array.of(0n, 1n));
    for (const level of [0, 6] as const) {
      const arrays = parseNpz(zipSync({ "x_train.npy": x, "y_train.npy": y }, { level }), "mnist.npz");
      assert.deepEqual([...arrays.keys()], ["x_train", "y_train"]);
      assert.deepEqual(arrays.get("y_train")?.data, BigInt64Array.of(0n, 1n));
    }
  });

  test("what is refused", () => {
    const refused = (bytes: Uint8Array, message: RegExp) =>
      assert.throws(
        () => parseNpy(bytes, "a.npy"),
        (error) => error instanceof UserError && message.test(error.message),
      );
    refused(Uint8Array.of(1, 2), /^a\.npy is no \.npy file/);
    refused(
      npy(header("|O", "(3,)"), new Uint8Array(3)),
      /holds \|O; an array of plain numbers was expected/,
    );
    refused(npy(header(">f4", "(1,)"), new Uint8Array(4)), /holds >f4; little-endian/);
    refused(npy(header("<c8", "(1,)"), new Uint8Array(8)), /holds <c8; little-endian/);
    refused(
      npy(header("<f4", "(3,)"), new Uint8Array(8)),
      /has 8 bytes behind its header; <f4 of shape \(3\) takes 12/,
    );
    assert.throws(() => parseNpz(Uint8Array.of(1, 2, 3), "a.npz"), /^UserError: a\.npz is no \.npz archive/);
  });
});
