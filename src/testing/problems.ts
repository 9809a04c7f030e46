import { readFileSync } from "node:fs";
import { Graph, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import type { DataType } from "../onnx/types.ts";
import { add, addAll, mul, pow } from "../ops/arithmetic.ts";
import { conv } from "../ops/convolution.ts";
import { relu, sin, tanh } from "../ops/elementwise.ts";
import { linear } from "../ops/linear.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { flatten, reshape } from "../ops/movement.ts";
import { batchNormTraining } from "../ops/normalization.ts";
import { globalAveragePool, maxPool } from "../ops/pooling.ts";
import { reduceSum } from "../ops/reduction.ts";
import { slice } from "../ops/slicing.ts";
import type { Objective } from "../optim/training-step.ts";
import type { Tensors } from "../runtime/engine.ts";

// The three problems of fixtures/vectors: their reference numbers were computed in float64 by an independent program.

export interface FixtureTensor {
  shape: number[];
  data: number[];
}

export interface OptimizerFixture {
  data: { x: FixtureTensor; y: number[]; labelSmoothing: number; bnMomentum: number; bnEps: number };
  initial: Record<string, FixtureTensor>;
  cases: {
    name: string;
    base: { lr: number; wd: number } & (
      | { m: number; nes: boolean }
      | { b1: number; b2: number; eps: number; dec: boolean }
    );
    method: { method: string; rho_max?: number; rho_min?: number; adaptive?: boolean; gsam_alpha?: number };
    steps: Record<string, number>[];
    final: Record<string, FixtureTensor>;
    runningStats?: Record<string, FixtureTensor>;
  }[];
}

export interface CurvatureFixture {
  loss: number;
  gradient: FixtureTensor;
  probe: FixtureTensor;
  hessianVectorProduct: FixtureTensor;
}

export type ProblemName = "surface" | "mlp" | "cnn";
export type Float = "float32" | "float64";

export function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../fixtures/vectors/${name}.json`, import.meta.url), "utf8"));
}

/** The problem's objective in a fresh graph, and the tensors it starts from (batch included). */
export function buildProblem(name: ProblemName, type: Float): { objective: Objective; start: Tensors } {
  const fixture = readFixture<OptimizerFixture>(`optimizers-${name}`);
  const graph = new Graph();
  const parameters = new Map(
    Object.entries(fixture.initial).map(([key, { shape }]) => [key, graph.input(key, type, shape)]),
  );
  const weight = (key: string) => parameters.get(key)!;
  const start = toTensors(fixture.initial, type);
  if (name === "surface") {
    return { objective: { loss: surface(weight("w")), parameters, buffers: new Map() }, start };
  }
  const { x, y, labelSmoothing } = fixture.data;
  start.x = tensorData(x.data, x.shape, type);
  start.y = tensorData(y, [y.length], "int32");
  const input = graph.input("x", type, x.shape);
  const buffers = new Map<string, Value>();
  const logits =
    name === "mlp"
      ? linear(
          tanh(linear(input, weight("l1.weight"), weight("l1.bias"))),
          weight("l2.weight"),
          weight("l2.bias"),
        )
      : cnn(input, weight, fixture.data, buffers, start);
  const target = graph.input("y", "int32", [y.length]);
  return {
    objective: {
      loss: softmaxCrossEntropy(logits, target, { labelSmoothing, labelSmoothingKind: "kl" }),
      parameters,
      buffers,
    },
    start,
  };
}

/** f(w) = 1.5·w₀² + 0.5·w₁² + 0.1·(w₀⁴ + w₁⁴) + 0.3·sin(3·w₀)·w₁ */
function surface(w: Value): Value {
  const [w0, w1] = [0, 1].map((at) => reshape(slice(w, { starts: [at], ends: [at + 1] }), []));
  return addAll([
    mul(1.5, mul(w0, w0)),
    mul(0.5, mul(w1, w1)),
    mul(0.1, reduceSum(pow(w, 4))),
    mul(mul(0.3, sin(mul(3, w0))), w1),
  ]);
}

function cnn(
  input: Value,
  weight: (key: string) => Value,
  { bnMomentum, bnEps }: OptimizerFixture["data"],
  buffers: Map<string, Value>,
  start: Tensors,
): Value {
  const { graph, type } = input;
  const batchNorm = (x: Value, layer: string) => {
    const shape = weight(`${layer}.weight`).shape;
    const { y, mean, variance } = batchNormTraining(
      x,
      weight(`${layer}.weight`),
      weight(`${layer}.bias`),
      bnEps,
    );
    const count = x.shape.reduce((a, b) => a * b, 1) / shape[0];
    for (const [kind, value, initial] of [
      ["running_mean", mean, 0],
      ["running_var", mul(variance, count / (count - 1)), 1],
    ] as const) {
      const key = `${layer}.${kind}`;
      const buffer = graph.input(key, type, shape);
      buffers.set(key, add(mul(buffer, 1 - bnMomentum), mul(value, bnMomentum)));
      start[key] = tensorData(new Array(shape[0]).fill(initial), shape, type);
    }
    return y;
  };
  const h = relu(batchNorm(conv(input, weight("conv1.weight"), undefined, { pads: [1, 1, 1, 1] }), "bn1"));
  const main = conv(h, weight("conv2.weight"), undefined, { pads: [1, 1, 1, 1], strides: [2, 2] });
  const short = conv(h, weight("short.weight"), undefined, { strides: [2, 2] });
  const joined = relu(add(batchNorm(main, "bn2"), batchNorm(short, "bn3")));
  return linear(flatten(globalAveragePool(maxPool(joined, [2, 2]))), weight("fc.weight"), weight("fc.bias"));
}

function toTensors(fixtures: Record<string, FixtureTensor>, type: DataType): Tensors {
  return Object.fromEntries(
    Object.entries(fixtures).map(([key, { shape, data }]) => [key, tensorData(data, shape, type)]),
  );
}
