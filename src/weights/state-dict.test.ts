import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { matchStateDict, stateDict } from "./state-dict.ts";

const wanted = [
  { name: "fc.weight", shape: [2, 3] },
  { name: "fc.bias", shape: [2] },
];
const given: Tensors = {
  "fc.weight": tensorData([1, 2, 3, 4, 5, 6], [2, 3], "float32"),
  "fc.bias": tensorData([7, 8], [2], "float32"),
};
const options = { source: "x.safetensors" };

function refusal(tensors: Tensors, names = wanted): string {
  try {
    matchStateDict(names, tensors, options);
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
  throw new Error("it fitted");
}

test("what fits is taken by name, in the network's type; counts of batches are passed over", () => {
  const counted = { ...given, "bn.num_batches_tracked": tensorData([3], [], "int64") };
  assert.deepEqual(matchStateDict(wanted, counted, options), given);
  const doubles = matchStateDict(wanted, given, { ...options, type: "float64" });
  assert.deepEqual(doubles["fc.bias"], tensorData([7, 8], [2], "float64"));
});

test("what does not fit is reported in one sentence: missing, unexpected, another shape, another type", () => {
  const { "fc.bias": bias, ...rest } = given;
  assert.equal(refusal(rest), "the weights in x.safetensors do not fit the network: it lacks fc.bias");
  assert.equal(
    refusal({ ...given, "head.bias": bias }),
    "the weights in x.safetensors do not fit the network: it has head.bias, which the network does not",
  );
  assert.equal(
    refusal({ "fc.weight": bias, "linear.bias": bias }),
    "the weights in x.safetensors do not fit the network: it lacks fc.bias; it has linear.bias, which the network does not; of another shape are fc.weight [2] instead of [2, 3]",
  );
  assert.match(refusal({ ...given, "fc.bias": tensorData([1, 2], [2], "int64") }), /fc\.bias int64$/);
  const many = Array.from({ length: 7 }, (_, index) => ({ name: `w${index}`, shape: [] }));
  assert.match(refusal({}, many), /it lacks w0, w1, w2, w3, w4 and 2 more$/);
});

test("excepted names are left alone on both sides", () => {
  const other = { "fc.weight": given["fc.weight"], "fc.bias": tensorData([1, 2, 3], [3], "float32") };
  const matched = matchStateDict(wanted, other, { ...options, except: (name) => name.endsWith("bias") });
  assert.deepEqual(matched, { "fc.weight": given["fc.weight"] });
});

test("names that objects have of themselves are no tensors", () => {
  assert.match(refusal(given, [...wanted, { name: "constructor", shape: [] }]), /it lacks constructor$/);
});

test("a state dict counts batches beside the running statistics, whatever their depth", () => {
  const one = tensorData([0], [1], "float32");
  const tensors = { running_mean: one, "a.b.running_mean": one, "a.b.running_var": one, "c.weight": one };
  const count = tensorData([12], [], "int64");
  assert.deepEqual(stateDict(tensors, 12), {
    ...tensors,
    num_batches_tracked: count,
    "a.b.num_batches_tracked": count,
  });
});
