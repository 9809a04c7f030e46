import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { batchNorm, conv2d, globalAveragePool, linear, relu, sequential } from "../nn/layers.ts";
import { buildModel } from "../nn/module.ts";
import { uniform } from "../testing/fill.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { readSafetensors, writeSafetensors } from "./safetensors.ts";
import { matchStateDict, stateDict } from "./state-dict.ts";

// Files that PyTorch wrote, and what its network computes with their weights: fixtures/pytorch/weights.py.

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/pytorch/${name}`, import.meta.url));
const expected: { inputShape: number[]; logits: Record<string, number[]> } = JSON.parse(
  fixture("weights.json").toString(),
);
const layer = sequential({
  conv: conv2d(3, 4, 3, { padding: 1, bias: false }),
  bn: batchNorm(4),
  relu: relu(),
  pool: globalAveragePool(),
  fc: linear(4, 5),
});

for (const name of ["weights", "weights-half"]) {
  test(`${name}.safetensors of PyTorch: a network with its weights gives PyTorch's logits`, async () => {
    const { tensors, metadata } = readSafetensors(fixture(`${name}.safetensors`), name);
    assert.deepEqual(metadata, { format: "pt" });
    const [batchSize, ...inputShape] = expected.inputShape;
    const model = buildModel(layer, { inputShape, batchSize, training: false });
    const weights = matchStateDict([...model.parameters, ...model.buffers], tensors, { source: name });
    const { logits } = await evaluate(
      { logits: model.logits },
      { ...weights, input: uniform("input", expected.inputShape) },
    );
    assertClose(logits, expected.logits[name], 1e-6, "logits");
  });
}

test("a network's file holds the names, shapes, types and numbers that PyTorch's own holds", () => {
  const { tensors } = readSafetensors(fixture("weights.safetensors"), "weights");
  const { "bn.num_batches_tracked": seven, ...network } = tensors;
  assert.deepEqual(seven, { type: "int64", shape: [], data: BigInt64Array.of(7n) });
  const written = readSafetensors(writeSafetensors(stateDict(network, 7)), "written");
  assert.deepEqual(written.tensors, tensors);
});
