import assert from "node:assert/strict";
import { test } from "node:test";
import { type FractionalType, type SmallFloat, smallFloatBits, smallFloatValue } from "./small-floats.ts";

// From the tables of ONNX's text on float8 and float4, and of the Open Compute Project's on scales.
const known: [type: SmallFloat, bits: number, value: number][] = [
  ["float8e4m3fn", 0x7e, 448],
  ["float8e4m3fn", 0x08, 2 ** -6],
  ["float8e4m3fn", 0x01, 2 ** -9],
  ["float8e4m3fn", 0xff, Number.NaN],
  ["float8e4m3fnuz", 0x7f, 240],
  ["float8e4m3fnuz", 0x01, 2 ** -10],
  ["float8e4m3fnuz", 0x80, Number.NaN],
  ["float8e5m2", 0x7b, 57344],
  ["float8e5m2", 0x01, 2 ** -16],
  ["float8e5m2", 0xfc, Number.NEGATIVE_INFINITY],
  ["float8e5m2", 0x7d, Number.NaN],
  ["float8e5m2fnuz", 0xff, -57344],
  ["float8e5m2fnuz", 0x01, 2 ** -17],
  ["float4e2m1", 0x1, 0.5],
  ["float4e2m1", 0x7, 6],
  ["float4e2m1", 0xd, -3],
  ["float8e8m0", 0x7f, 1],
  ["float8e8m0", 0x00, 2 ** -127],
  ["float8e8m0", 0xff, Number.NaN],
];

test("bits stand for the numbers of the definitions", () => {
  for (const [type, bits, value] of known)
    assert.equal(smallFloatValue(bits, type), value, `${type} ${bits}`);
});

const types: FractionalType[] = [
  "float8e4m3fn",
  "float8e4m3fnuz",
  "float8e5m2",
  "float8e5m2fnuz",
  "float4e2m1",
];

test("every number of a type survives, and between two the nearer one is taken, the even one at the middle", () => {
  for (const type of types) {
    const codes = Array.from({ length: type === "float4e2m1" ? 8 : 128 }, (_, code) => code);
    const finite = codes.filter((code) => Number.isFinite(smallFloatValue(code, type)));
    for (const code of finite) {
      const value = smallFloatValue(code, type);
      assert.equal(smallFloatBits(value, type), code, `${type} ${code}`);
      assert.equal(smallFloatValue(smallFloatBits(-value, type), type) + value, 0);
      const next = smallFloatValue(code + 1, type);
      if (!Number.isFinite(next) || !(next > value)) continue;
      const middle = (value + next) / 2;
      const step = (next - value) / 64;
      assert.equal(smallFloatBits(middle, type), code % 2 === 0 ? code : code + 1, `${type} ${middle}`);
      assert.equal(smallFloatBits(middle - step, type), code);
      assert.equal(smallFloatBits(middle + step, type), code + 1);
    }
    const largest = smallFloatValue(finite.at(-1)!, type);
    assert.equal(smallFloatValue(smallFloatBits(1e6, type), type), largest);
    assert.equal(smallFloatValue(smallFloatBits(Number.NEGATIVE_INFINITY, type), type), -largest);
  }
});

test("powers of two are rounded on the scale of exponents", () => {
  for (const exponent of [-127, -3, 0, 9, 127])
    assert.equal(smallFloatValue(smallFloatBits(2 ** exponent, "float8e8m0"), "float8e8m0"), 2 ** exponent);
  assert.equal(smallFloatBits(0, "float8e8m0"), 0);
  assert.equal(smallFloatBits(Number.NaN, "float8e8m0"), 0xff);
});
