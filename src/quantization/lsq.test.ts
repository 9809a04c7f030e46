import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { gradients, innerProduct } from "../autodiff/gradients.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { div } from "../ops/arithmetic.ts";
import { relu } from "../ops/elementwise.ts";
import { linear } from "../ops/linear.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { reshape } from "../ops/movement.ts";
import { learnedQuantize } from "../ops/quantization.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { defaultSettings } from "../optim/parameter-groups.ts";
import { sam } from "../optim/sam.ts";
import { scalarInputs } from "../optim/scalars.ts";
import { sgd } from "../optim/sgd.ts";
import { initialState } from "../optim/state.ts";
import { type Objective, trainingStep } from "../optim/training-step.ts";
import { assertClose, compileForTest, evaluate, tensor } from "../testing/numeric.ts";
import { channelsOf } from "./channels.ts";
import { activationElements, firstStep, gradientFactor, integerRange, weightElements } from "./lsq.ts";

// fixtures/quantization/lsq.json: numbers of an independent float64 program, compared there with PyTorch's autograd.

interface Numbers {
  shape: number[];
  data: number[];
}

interface QuantizeCase {
  name: string;
  bits: number;
  signed: boolean;
  low: number;
  high: number;
  axis: number | null;
  gradientScale: { elements: number; elementsOfAChannel: number; elementsOfAnExample: number };
  x: Numbers;
  step: Numbers;
  gradient: Numbers;
  q: Numbers;
  y: Numbers;
  gradientX: Numbers;
  gradientStep: Numbers;
  firstStep: Numbers;
}

interface TrainingCase {
  name: string;
  method: "sgd" | "sam" | "bilateral-sam";
  bits: number;
  perChannelWeights: boolean;
  perturbSteps: boolean;
  learningRate: number;
  momentum: number;
  weightDecay: number;
  rho?: number;
  rhoMax?: number;
  rhoMin?: number;
  scaleOver?: "all" | "perturbed";
  inputs: Numbers;
  labels: Numbers;
  start: Record<string, Numbers>;
  steps: {
    loss: number;
    gradientNorm: number;
    lossMax?: number;
    lossMin?: number;
    scale?: number;
    after: Record<string, Numbers>;
  }[];
}

const { quantize: cases, training }: { quantize: QuantizeCase[]; training: TrainingCase[] } = JSON.parse(
  readFileSync(new URL("../../fixtures/quantization/lsq.json", import.meta.url), "utf8"),
);

/** Numbers, the gradient for x, and the gradient for the step, times a factor. */
function quantized({ x, step, gradient, low, high, axis }: QuantizeCase, factor?: number) {
  const graph = new Graph();
  const [input, steps, incoming] = [
    graph.input("x", "float64", x.shape),
    graph.input("step", "float64", step.shape),
    graph.input("gradient", "float64", x.shape),
  ];
  const y = learnedQuantize(input, steps, { low, high, axis: axis ?? 0, gradientFactor: factor });
  const [gradientX, gradientStep] = gradients(innerProduct([y], [incoming]), [input, steps]);
  const broadcast = step.shape[0] === 1 ? [1] : x.shape.map((size, other) => (other === axis ? size : 1));
  const q = div(y, reshape(steps, broadcast));
  const feeds = {
    x: tensor(x.data, x.shape),
    step: tensor(step.data, step.shape),
    gradient: tensor(gradient.data, x.shape),
  };
  return evaluate({ y, q, gradientX, gradientStep }, feeds);
}

for (const expected of cases) {
  describe(expected.name, () => {
    const { low, high, bits, signed, axis, x, gradientScale } = expected;
    const ofChannel = axis ?? undefined;

    test("numbers, and gradients for them and the step", async () => {
      const result = await quantized(expected);
      for (const name of ["y", "q", "gradientX", "gradientStep"] as const)
        assertClose(result[name], expected[name].data, 1e-9, name);
    });

    test("the gradient of the step, times its factor", async () => {
      const factors = {
        elements: gradientFactor(weightElements(x.shape), { high }),
        elementsOfAChannel: gradientFactor(weightElements(x.shape, ofChannel), { high }),
        elementsOfAnExample: gradientFactor(activationElements(x.shape), { high }),
      };
      assertClose(Object.values(factors), Object.values(gradientScale), 1e-12);
      const factor = factors.elementsOfAChannel;
      const { gradientStep } = await quantized(expected, factor);
      const scaled = expected.gradientStep.data.map((value) => value * gradientScale.elementsOfAChannel);
      assertClose(gradientStep, scaled, 1e-9);
    });

    test("range and first step", () => {
      const range = integerRange(bits, signed);
      assert.equal(high, range.high);
      // A symmetric range leaves the least number out.
      assert.equal(low, expected.name.startsWith("symmetric") ? range.low + 1 : range.low);
      // The fixture's first step of the case on limits is not that of its x.
      if (expected.name.endsWith("on-limits-and-halves")) return;
      const { count, values } = channelsOf(tensor(x.data, x.shape), ofChannel);
      const steps = Array.from({ length: count }, (_, channel) =>
        firstStep.mean(values(channel), { low, high }),
      );
      assertClose(steps, expected.firstStep.data, 1e-12);
    });
  });
}

test("a range that is not whole numbers around 0 is refused", () => {
  const graph = new Graph();
  const [x, step] = [graph.input("x", "float64", [2]), graph.input("step", "float64", [])];
  for (const range of [
    { low: 1, high: 3 },
    { low: -1, high: 0 },
    { low: -1.5, high: 3 },
  ])
    assert.throws(() => learnedQuantize(x, step, range), /range is .* whole numbers, from 0 or below/);
});

/** The fixture's network, fc2(Q(relu(fc1(Q(x))))), with its cross entropy. */
function objectiveOf({ start, inputs, bits, perChannelWeights }: TrainingCase): Objective {
  const graph = new Graph();
  const parameters = new Map(
    Object.entries(start).map(([name, { shape }]) => [name, graph.input(name, "float64", shape)]),
  );
  const parameter = (name: string) => parameters.get(name)!;
  const [, batch, features] = inputs.shape;
  const layer = (x: Value, name: string, signed: boolean) => {
    const [weight, range, ofInput] = [
      parameter(`${name}.weight`),
      integerRange(bits, true),
      integerRange(bits, signed),
    ];
    const axis = perChannelWeights ? 0 : undefined;
    const input = learnedQuantize(x, parameter(`${name}.inputStep`), {
      ...ofInput,
      gradientFactor: gradientFactor(activationElements(x.shape), ofInput),
    });
    const weights = learnedQuantize(weight, parameter(`${name}.weightStep`), {
      ...range,
      gradientFactor: gradientFactor(weightElements(weight.shape, axis), range),
    });
    return linear(input, weights, parameter(`${name}.bias`));
  };
  const x = graph.input("x", "float64", [batch, features]);
  const logits = layer(relu(layer(x, "fc1", true)), "fc2", false);
  const loss = softmaxCrossEntropy(logits, graph.input("y", "int32", [batch]));
  return { loss, parameters, buffers: new Map() };
}

function optimizerOf(expected: TrainingCase): Optimizer {
  const { method, momentum, weightDecay, rho, rhoMax, rhoMin, scaleOver } = expected;
  const base = sgd({ momentum, weightDecay });
  const methods = {
    sgd: () => base,
    sam: () => sam(base, { rho }),
    "bilateral-sam": () => bilateralSam(base, { rhoMax, rhoMin, scaleOver }),
  };
  return methods[method]();
}

describe("four training steps", () => {
  for (const expected of training) {
    test(expected.name, async () => {
      const { start, inputs, labels, perturbSteps, learningRate, rho, rhoMax, rhoMin } = expected;
      const [objective, optimizer] = [objectiveOf(expected), optimizerOf(expected)];
      const settings = new Map(
        Object.keys(start).map((name) => [
          name,
          name.endsWith("Step")
            ? { ...defaultSettings, weightDecay: 0, perturbed: perturbSteps }
            : defaultSettings,
        ]),
      );
      const first = Object.fromEntries(
        Object.entries(start).map(([name, { data, shape }]) => [name, tensor(data, shape)]),
      );
      const program = await compileForTest(trainingStep(objective, optimizer, { settings }));
      try {
        await program.engine.write({ ...first, ...initialState(objective, optimizer, first, { settings }) });
        const scalars = { ...(rho && { rho }), ...(rhoMax && { rhoMax }), ...(rhoMin && { rhoMin }) };
        const [, batch, features] = inputs.shape;
        for (const [index, step] of expected.steps.entries()) {
          const size = batch * features;
          const x = tensor(inputs.data.slice(index * size, (index + 1) * size), [batch, features]);
          const y = tensorData(labels.data.slice(index * batch, (index + 1) * batch), [batch], "int32");
          const feeds = { x, y, ...scalarInputs({ learningRate, scalars }, "float64") };
          const { outputs } = await program.engine.run("test", feeds, { advance: true });
          const quantities = {
            loss: step.loss,
            grad_norm: step.gradientNorm,
            loss_max: step.lossMax,
            loss_min: step.lossMin,
            scale: step.scale,
          };
          for (const [name, value] of Object.entries(quantities)) {
            if (value === undefined) continue;
            assertClose([Number(outputs[name].data[0])], [value], 1e-9, `step ${index} ${name}`);
          }
          const now = await program.engine.read();
          for (const [name, { data }] of Object.entries(step.after))
            assertClose(now[name].data as ArrayLike<number>, data, 1e-9, `step ${index} ${name}`);
        }
      } finally {
        await program.close();
      }
    });
  }
});
