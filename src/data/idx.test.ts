import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { parseIdx } from "./idx.ts";

test("an IDX file written by hand", () => {
  const bytes = Uint8Array.of(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255);
  assert.deepEqual(parseIdx(bytes, "x"), { shape: [2, 3], data: Uint8Array.of(1, 2, 3, 4, 5, 255) });
});

test("sizes are big-endian and a view into a larger buffer is read from its own start", () => {
  const large = new Uint8Array(3 + 8 + 258);
  large.set([0, 0, 8, 1, 0, 0, 1, 2], 3);
  assert.deepEqual(parseIdx(large.subarray(3), "x").shape, [258]);
});

test("what is not such a file is named", () => {
  const refused = (bytes: number[], message: RegExp) =>
    assert.throws(
      () => parseIdx(Uint8Array.from(bytes), "train-labels"),
      (error) => error instanceof UserError && message.test(error.message),
    );
  refused([], /train-labels is 0 bytes long/);
  refused([0, 0, 13, 1, 0, 0, 0, 0], /starts with 0x00000d01/);
  refused([0x80, 0, 8, 1, 0, 0, 0, 0], /starts with 0x80000801/);
  refused([0, 0, 8, 3, 0, 0, 0, 1], /IDX file of unsigned bytes was wanted/);
  refused([0, 0, 8, 1, 0, 0, 0, 3, 7, 7], /holds 2 elements, but its header says 3 = 3/);
});
