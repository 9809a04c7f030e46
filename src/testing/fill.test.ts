import assert from "node:assert/strict";
import { test } from "node:test";
import { integers, parameter, sketch, sketchedDifference, uniform } from "./fill.ts";

test("the numbers are those of fixtures/fill.py", () => {
  assert.deepEqual(
    [...uniform("x", [4]).data],
    [-0.6299755573272705, -0.4547121524810791, -0.09956896305084229, 0.9864593744277954],
  );
  assert.deepEqual(
    [...integers("tokens", [2, 3], 30522).data].map(Number),
    [15364, 25542, 16597, 25439, 19519, 22007],
  );
  assert.deepEqual(
    [...parameter("conv.weight", [2, 3, 1, 1]).data],
    [
      1.3796916007995605, -0.39749956130981445, -1.2145260572433472, -0.3593740463256836, 0.16757452487945557,
      -1.078130841255188,
    ],
  );
  assert.deepEqual([...parameter("bn.running_var", [2]).data], [1.0812218189239502, 1.0221693515777588]);
  const expected = [
    31.763349063421273, 27.039380073547363, -11.38223385810852, -40.12781310081482, 6.429114818572998,
    -20.346696853637695, -3.829333782196045, 19.68146800994873, 2.869919538497925,
  ];
  const actual = sketch(uniform("x", [3, 1000]).data as Float32Array);
  for (const [i, value] of actual.entries()) assert.ok(Math.abs(value - expected[i]) < 1e-10);
});

test("a sketch tells how far two tensors are apart", () => {
  const x = uniform("x", [3, 1000]).data as Float32Array;
  const noise = uniform("noise", [3000]).data as Float32Array;
  const norm = sketch(x)[0];
  for (const size of [1e-1, 1e-3]) {
    const scale = (size * norm) / sketch(noise)[0];
    const y = x.map((value, i) => value + scale * noise[i]);
    const difference = sketchedDifference(sketch(y), sketch(x));
    assert.ok(difference > size / 2 && difference < size * 2, `${difference} for ${size}`);
  }
});
