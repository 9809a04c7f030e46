import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import type { Tensors } from "../runtime/engine.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { createModel } from "./models.ts";
import { buildModel, initialTensors, type Model } from "./module.ts";

// Every network against the same network in PyTorch: logits in both modes, loss, the gradient of every parameter, the
// running statistics. Weights and batch come from a formula; fixtures/pytorch/make.py says which, and how a tensor is
// summed up.

interface Summary {
  norm: number;
  projection: number;
  first: number;
  third: number;
  middle: number;
  last: number;
}

interface Expected {
  inputShape: [channels: number, height: number, width: number];
  target: number[];
  logits: number[];
  inferenceLogits: number[];
  loss: number;
  gradients: Record<string, Summary>;
  runningStatistics: Record<string, Summary>;
}

const fixture: { models: Record<string, Expected> } = JSON.parse(
  readFileSync(new URL("../../fixtures/pytorch/models.json", import.meta.url), "utf8"),
);

function wave(count: number, number: number): number[] {
  return Array.from({ length: count }, (_, index) => Math.sin(((index * index) % 1009) + number));
}

function weights(model: Model): Tensors {
  const { type } = model.input;
  const sorted = [...model.parameters].sort((a, b) => (a.name < b.name ? -1 : 1));
  return Object.fromEntries(
    sorted.map(({ name, shape, kind }, index) => {
      const factor = shape.length > 1 ? 1 / Math.sqrt(elementCount(shape.slice(1))) : 0.1;
      const offset = kind === "norm-weight" ? 1 : 0;
      const values = wave(elementCount(shape), index + 1).map((value) => offset + factor * value);
      return [name, tensorData(values, shape, type)];
    }),
  );
}

function assertSummary(actual: readonly number[], expected: Summary, tolerance: number, what: string): void {
  const last = actual.length - 1;
  const { norm, projection, first, third, middle, last: final } = expected;
  const measured = Math.hypot(...actual);
  assertClose([measured], [norm], tolerance, `norm of ${what}`);
  const picked = [0, Math.floor(last / 3), Math.floor(last / 2), last].map((at) => actual[at]);
  const projected = wave(actual.length, 0).reduce((sum, value, index) => sum + value * actual[index], 0);
  // The norm stands last, so that it is the scale of the comparison.
  assertClose(
    [projected, ...picked, measured],
    [projection, first, third, middle, final, norm],
    tolerance,
    what,
  );
}

for (const [type, tolerance] of [
  ["float64", 1e-8],
  ["float32", 1e-4],
] as const) {
  describe(`PyTorch's numbers in ${type}`, () => {
    for (const [name, expected] of Object.entries(fixture.models)) {
      test(name, async () => {
        const { inputShape, target: classNumbers } = expected;
        const [channels, height, width] = inputShape;
        const layer = createModel(name, { channels, height, width, classes: 10 });
        const batchSize = classNumbers.length;
        const shape: Shape = [batchSize, ...inputShape];
        const model = buildModel(layer, { inputShape, batchSize, training: true, type });
        const { graph, logits, bufferUpdates } = model;
        const target = graph.input("target", "int32", [batchSize]);
        const loss = softmaxCrossEntropy(logits, target, { labelSmoothing: 0.1 });
        const names = model.parameters.map((parameter) => parameter.name);
        const gradient = gradients(
          loss,
          names.map((parameter) => graph.inputs.get(parameter)!),
        );
        const stored = weights(model);
        const batch = {
          input: tensorData(wave(elementCount(shape), 0), shape, type),
          target: tensorData(classNumbers, [batchSize], "int32"),
        };
        const actual = await evaluate(
          {
            logits,
            loss,
            ...Object.fromEntries([...bufferUpdates].map(([key, value]) => [`next ${key}`, value])),
            ...Object.fromEntries(gradient.map((value, index) => [`gradient of ${names[index]}`, value])),
          },
          { ...initialTensors(model, 0), ...stored, ...batch },
        );
        assertClose(actual.logits, expected.logits, tolerance, "logits");
        assertClose(actual.loss, [expected.loss], tolerance, "loss");
        assert.deepEqual(names, Object.keys(expected.gradients));
        for (const [parameter, summary] of Object.entries(expected.gradients)) {
          const what = `gradient of ${parameter}`;
          assertSummary(actual[what], summary, tolerance, what);
        }
        assert.deepEqual(
          model.buffers.map((buffer) => buffer.name),
          Object.keys(expected.runningStatistics),
        );
        const buffers: Tensors = {};
        for (const { name: buffer, shape: bufferShape } of model.buffers) {
          const next = actual[`next ${buffer}`];
          assertSummary(next, expected.runningStatistics[buffer], tolerance, buffer);
          buffers[buffer] = tensorData(next, bufferShape, type);
        }

        const inference = buildModel(layer, { inputShape, batchSize, training: false, type });
        const after = await evaluate({ logits: inference.logits }, { ...stored, ...buffers, ...batch });
        assertClose(after.logits, expected.inferenceLogits, tolerance, "logits in inference mode");
      });
    }
  });
}
