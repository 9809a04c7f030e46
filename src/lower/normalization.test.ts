import assert from "node:assert/strict";
import { test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { expand } from "../ops/movement.ts";
import { batchNormTraining } from "../ops/normalization.ts";
import { reduceSum } from "../ops/reduction.ts";
import { assertClose, compileForTest } from "../testing/numeric.ts";

// ONNX Runtime writes the batch's statistics over the memory of two of BatchNormalization's inputs. Nothing else may
// live there: neither constants, which the next run reads again, nor another layer's statistics.

const shape = [4, 3, 5, 5];
const [images, channels, places] = [4, 3, 25];
const epsilon = 1e-3;

/** Mean and population variance of each channel. */
function statistics(x: readonly number[]) {
  const byChannel = Array.from({ length: channels }, (_, channel) =>
    x.filter((_, index) => Math.floor(index / places) % channels === channel),
  );
  const mean = byChannel.map((values) => values.reduce((sum, value) => sum + value, 0) / (images * places));
  const variance = byChannel.map(
    (values, channel) =>
      values.reduce((sum, value) => sum + (value - mean[channel]) ** 2, 0) / (images * places),
  );
  return { mean, variance };
}

function normalized(x: readonly number[], scale: number, bias: number) {
  const { mean, variance } = statistics(x);
  return x.map((value, index) => {
    const channel = Math.floor(index / places) % channels;
    return (scale * (value - mean[channel])) / Math.sqrt(variance[channel] + epsilon) + bias;
  });
}

test("batch normalization gives the same in every run of a session, and leaves constants alone", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", shape);
  const ones = graph.constant(tensorData([1, 1, 1], [channels], "float32"));
  const zeros = graph.constant(tensorData([0, 0, 0], [channels], "float32"));
  const first = batchNormTraining(x, ones, zeros, epsilon);
  const second = batchNormTraining(first.y, expand(graph.scalar(2, "float32"), [channels]), ones, epsilon);
  // A third layer on the same x, as in a network with branches.
  const branch = batchNormTraining(x, ones, ones, epsilon);
  const loss = reduceSum(mul(add(second.y, branch.y), add(second.y, x)));
  const outputs = {
    first: first.y,
    mean: first.mean,
    variance: first.variance,
    second: second.y,
    secondMean: second.mean,
    secondVariance: second.variance,
    branch: branch.y,
    branchMean: branch.mean,
    // Added to a computed number, so that the runtime reads the constant itself.
    ones: add(ones, mul(first.mean, 0)),
    zeros: add(zeros, mul(first.mean, 0)),
    gradient: gradients(loss, [x])[0],
  };
  for (const [name, value] of Object.entries(outputs)) graph.output(name, value);
  const program = await compileForTest(graph);
  const random = randomStream(11, "batch normalization");
  const draw = () => Array.from({ length: images * channels * places }, () => 3 + 2 * random.normal());
  const [one, other] = [draw(), draw()];
  const feeds = (values: readonly number[]) => ({ x: tensorData(values, shape, "float32") });

  const results = [];
  for (const values of [one, one, other, one]) {
    const result = await program.run(feeds(values));
    const { mean, variance } = statistics(values);
    const firstY = normalized(values, 1, 0);
    const after = statistics(firstY);
    assertClose(result.mean, mean, 1e-5, "mean");
    assertClose(result.variance, variance, 1e-5, "variance");
    assertClose(result.branchMean, mean, 1e-5, "mean of the branch");
    assertClose(result.first, firstY, 1e-5, "first layer");
    assertClose(result.second, normalized(firstY, 2, 1), 1e-5, "second layer");
    for (const value of result.secondMean) assert.ok(Math.abs(value) < 1e-5, "mean of the second layer");
    assertClose(result.secondVariance, after.variance, 1e-5, "variance of the second layer");
    assertClose(result.branch, normalized(values, 1, 1), 1e-5, "branch");
    assertClose(result.ones, [1, 1, 1], 0, "ones");
    for (const value of result.zeros) assert.ok(value === 0, "zeros");
    results.push(result);
  }
  await program.close();
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[3], results[0]);
});
