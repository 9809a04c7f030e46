import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul, square, sub } from "../ops/arithmetic.ts";
import { relu } from "../ops/elementwise.ts";
import { linear } from "../ops/linear.ts";
import { reduceMean } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import { assertSameTensors, numbers } from "../testing/networks.ts";
import { assertClose, compileForTest } from "../testing/numeric.ts";
import { blendedSam } from "../testing/third-scalar.ts";
import { bilateralSam } from "./bilateral-sam.ts";
import { every, reuse, startingAt } from "./cheaper.ts";
import { type Optimizer, overBase } from "./optimizer.ts";
import { defaultSettings, resolveGroups } from "./parameter-groups.ts";
import { asam, momentumSam, sam } from "./sam.ts";
import { scalarInputs } from "./scalars.ts";
import { constant } from "./schedules.ts";
import { sgd } from "./sgd.ts";
import { initialState } from "./state.ts";
import { type Objective, type TrainingStepOptions, trainingStep } from "./training-step.ts";

// What can be set beside the method: which parameters, averages, cheaper steps.

const [inputs, hidden, outputs] = [4, 5, 3];
const shapes = { "fc1.weight": [hidden, inputs], "fc2.weight": [outputs, hidden] };

/** Mean squared error of a two-layer ReLU network without biases, for one batch size. */
function objectiveFor(batchSize: number): Objective {
  const graph = new Graph();
  const parameters = new Map(
    Object.entries(shapes).map(([name, shape]) => [name, graph.input(name, "float64", shape)]),
  );
  const x = graph.input("input", "float64", [batchSize, inputs]);
  const y = graph.input("target", "float64", [batchSize, outputs]);
  const logits = linear(relu(linear(x, parameters.get("fc1.weight")!)), parameters.get("fc2.weight")!);
  return { loss: reduceMean(square(sub(logits, y))), parameters, buffers: new Map() };
}

function draw(shape: readonly number[], purpose: string): Tensors[string] {
  const random = randomStream(11, purpose);
  const count = shape.reduce((a, b) => a * b, 1);
  return tensorData(
    Float64Array.from({ length: count }, () => random.normal()),
    shape,
    "float64",
  );
}

const start: Tensors = Object.fromEntries(
  Object.entries(shapes).map(([name, shape]) => [name, draw(shape, name)]),
);
const batch = (count: number): Tensors => ({
  input: draw([count, inputs], "input"),
  target: draw([count, outputs], "target"),
});

interface Rates {
  learningRate?: number;
  rhoMax?: number;
  rhoMin?: number;
}

/** Runs some steps on one batch and returns what is stored and the last step's scalars. */
async function runSteps(
  optimizer: Optimizer,
  {
    kinds = [Object.keys(optimizer.steps)[0]],
    from = start,
    data = batch(12),
    batchSize = 12,
    rates: { learningRate = 0.1, rhoMax = 0.2, rhoMin = 0.1 } = {},
    ...options
  }: {
    kinds?: readonly string[];
    from?: Tensors;
    data?: Tensors;
    batchSize?: number;
    rates?: Rates;
  } & Omit<TrainingStepOptions, "step"> = {},
) {
  const objective = objectiveFor(batchSize / (options.microBatches ?? 1));
  const scalars = scalarInputs({ learningRate, scalars: { rho: rhoMax, rhoMax, rhoMin } }, "float64");
  let stored: Tensors = { ...from, ...initialState(objective, optimizer, from, options) };
  let last: Record<string, number> = {};
  for (const step of kinds) {
    const program = await compileForTest(trainingStep(objective, optimizer, { ...options, step }));
    await program.engine.write(stored);
    const { outputs: results } = await program.engine.run("test", { ...data, ...scalars }, { advance: true });
    stored = await program.engine.read();
    last = Object.fromEntries(Object.entries(results).map(([name, { data: one }]) => [name, Number(one[0])]));
    await program.close();
  }
  return { stored, last };
}

describe("adaptive perturbations", () => {
  for (const factor of [1e-2, 0.1, 3, 1e2]) {
    test(`do not change when two layers are rescaled by ${factor} and 1/${factor}`, async () => {
      const scaled = (name: string, by: number) =>
        tensorData(
          numbers(start[name]).map((value) => value * by),
          start[name].shape,
          "float64",
        );
      const rescaled = {
        "fc1.weight": scaled("fc1.weight", factor),
        "fc2.weight": scaled("fc2.weight", 1 / factor),
      };
      for (const optimizer of [asam(sgd()), bilateralSam(sgd(), { adaptive: true })]) {
        const { last } = await runSteps(optimizer);
        const { last: other } = await runSteps(optimizer, { from: rescaled });
        for (const key of ["loss", "loss_max", "max_sharpness", "loss_min", "min_sharpness"]) {
          if (key in last) assertClose([other[key]], [last[key]], 1e-9, key);
        }
      }
      // The plain perturbation does change, so the test can tell the two apart.
      const { last } = await runSteps(sam(sgd()));
      const { last: other } = await runSteps(sam(sgd()), { from: rescaled });
      assert.ok(Math.abs(other.max_sharpness - last.max_sharpness) > 1e-3 * last.max_sharpness);
    });
  }
});

describe("parameter groups", () => {
  const parameters = [
    { name: "conv.weight", kind: "weight" },
    { name: "conv.bias", kind: "bias" },
    { name: "bn.weight", kind: "norm-weight" },
    { name: "bn.bias", kind: "norm-bias" },
  ] as const;

  test("are found by name pattern and kind, later ones overriding", () => {
    const settings = resolveGroups(
      parameters,
      [
        { names: "conv.*", learningRate: 0.1, frozen: true },
        { names: ["*.bias"], kinds: "bias", frozen: false },
      ],
      "norm-only",
    );
    assert.deepEqual(settings.get("conv.weight"), {
      ...defaultSettings,
      perturbed: false,
      learningRate: 0.1,
      frozen: true,
    });
    assert.deepEqual(settings.get("conv.bias"), { ...defaultSettings, perturbed: false, learningRate: 0.1 });
    assert.equal(settings.get("bn.bias")!.perturbed, true);
    const choice = (perturb: "all" | "no-bias-no-norm") =>
      [...resolveGroups(parameters, [], perturb).values()].map(({ perturbed }) => perturbed);
    assert.deepEqual(choice("all"), [true, true, true, true]);
    assert.deepEqual(choice("no-bias-no-norm"), [true, false, false, false]);
    assert.throws(
      () => resolveGroups(parameters, [{ names: "fc*" }]),
      /fits no parameter; there are conv.weight/,
    );
    assert.throws(() => resolveGroups(parameters, [{ rho: -1 }]), /rho is -1/);
  });

  const settingsOf = (changes: Partial<typeof defaultSettings>) =>
    new Map([
      ["fc1.weight", defaultSettings],
      ["fc2.weight", { ...defaultSettings, ...changes }],
    ]);

  test("factors of learning rate, decay and radius", async () => {
    const decay = sgd({ weightDecay: 0.5 });
    const none = await runSteps(decay, { settings: settingsOf({ weightDecay: 0 }) });
    const plain = await runSteps(sgd());
    assertSameTensors({ w: none.stored["fc2.weight"] }, { w: plain.stored["fc2.weight"] });
    const { stored } = await runSteps(sgd(), { settings: settingsOf({ learningRate: 0.5 }) });
    const half = await runSteps(sgd(), { rates: { learningRate: 0.05 } });
    assertSameTensors({ w: stored["fc2.weight"] }, { w: half.stored["fc2.weight"] });
    const zero = await runSteps(sam(sgd()), { settings: settingsOf({ rho: 0 }) });
    const all = await runSteps(sam(sgd()));
    assert.ok(zero.last.max_sharpness < all.last.max_sharpness);
  });

  test("everything frozen is refused", () => {
    const settings = new Map(Object.keys(shapes).map((name) => [name, { ...defaultSettings, frozen: true }]));
    assert.throws(() => trainingStep(objectiveFor(2), sgd(), { settings }), /nothing to train/);
  });
});

test("the average of the weights holds those of every step in shares β, β², …, and none of the initial ones", async () => {
  const decay = 0.75;
  const after = (steps: number) =>
    runSteps(sgd(), { averageDecay: decay, kinds: new Array(steps).fill(Object.keys(sgd().steps)[0]) });
  const runs = await Promise.all([1, 2, 3].map(after));
  for (const name of Object.keys(shapes)) {
    const weights = runs.map(({ stored }) => numbers(stored[name]));
    for (const [last, { stored }] of runs.entries()) {
      const shares = Array.from({ length: last + 1 }, (_, step) => decay ** (last - step));
      const total = shares.reduce((sum, share) => sum + share, 0);
      const expected = weights[0].map((_, index) =>
        shares.reduce((sum, share, step) => sum + (share / total) * weights[step][index], 0),
      );
      assertClose(numbers(stored[`${name}.average`]), expected, 1e-12, `${name} after ${last + 1}`);
    }
  }
});

test("a decay of the average that is no share below 1 is refused", () => {
  for (const averageDecay of [1, -0.1, Number.NaN]) {
    assert.throws(
      () => trainingStep(objectiveFor(2), sgd(), { averageDecay }),
      /averageDecay is NaN|decay of the averaged weights/,
    );
  }
});

describe("cheaper steps", () => {
  const place = { totalSteps: 10, stepsPerEpoch: 5, learningRate: { now: 1, high: 1, low: 0 } };
  const kinds = (optimizer: Optimizer) =>
    Array.from({ length: 10 }, (_, step) => optimizer.stepAt({ ...place, step }));

  test("are made when they should be", () => {
    assert.deepEqual(
      kinds(every(sam(sgd()), 4)),
      "step base base base step base base base step base".split(" "),
    );
    assert.deepEqual(kinds(startingAt(sam(sgd()), 0.45)), [
      ...Array(5).fill("base"),
      ...Array(5).fill("step"),
    ]);
    assert.deepEqual(
      kinds(reuse(sam(sgd()), 5)).join(" "),
      "step reused reused reused reused step reused reused reused reused",
    );
    assert.throws(() => every(sam(sgd()), 0), /every is 0/);
    assert.throws(() => reuse(every(sam(sgd()), 2), 2), /takes a method itself/);
    assert.throws(() => startingAt(sam(sgd()), 1.5), /from is 1.5/);
  });

  test("say which steps they are made at, as a program can read it", () => {
    const methods = [
      every(sam(sgd()), 4),
      startingAt(sam(sgd()), 0.45),
      reuse(sam(sgd()), 5),
      startingAt(every(sam(sgd()), 3), 0.5),
      every(startingAt(sam(sgd()), 0.5), 3),
      startingAt(reuse(sam(sgd()), 3), 0.5),
    ];
    for (const { steps, stepAt } of methods) {
      for (let step = 0; step < place.totalSteps; step++) {
        const fitting = Object.keys(steps).filter((kind) => holds(steps[kind].when, step, place.totalSteps));
        assert.deepEqual(fitting, [stepAt({ ...place, step })]);
      }
    }
  });

  test("a base step is the base optimizer's, to the last bit", async () => {
    const base = sgd({ momentum: 0.9, weightDecay: 0.01 });
    const cheap = await runSteps(every(bilateralSam(base), 2), { kinds: ["base", "base"] });
    assertSameTensors(cheap.stored, (await runSteps(base, { kinds: ["step", "step"] })).stored);
  });

  test("a reused direction is the whole one where nothing has changed since, along the gradient aside", async () => {
    // At learning rate 0 the second step sees the same gradient g and v, so d = g + v.
    const optimizer = reuse(bilateralSam(sgd()), 4);
    const rates = { learningRate: 0 };
    const { stored, last } = await runSteps(optimizer, { kinds: ["step"], rates });
    const v = Object.keys(shapes).flatMap((name) => numbers(stored[`${name}.orthogonal`]));
    const length = Math.hypot(...v) * last.grad_norm;
    const reused = await runSteps(optimizer, { kinds: ["step", "reused"], rates });
    // v is orthogonal to g, so ‖g + v‖² = ‖g‖² + ‖v‖².
    assertClose([reused.last.direction_norm], [Math.hypot(last.grad_norm, length)], 1e-9, "‖d‖");
    assert.ok(length > 1e-3 * last.grad_norm, "the kept part is not empty");
    assert.equal(optimizer.steps.reused.gradientEvaluations, 1);
  });
});

/** What a condition comes to, read word by word; `or` binds less than `and`. */
function holds(when: string | undefined, step: number, total: number): boolean {
  const compare = (text: string): boolean => {
    const [, negated] = /^not \((.*)\)$/.exec(text) ?? [];
    if (negated !== undefined) return !compare(negated);
    const [, cycle, sign, rest] = /^step % (\d+) (==|!=) (\d+)$/.exec(text) ?? [];
    if (cycle !== undefined) return (step % Number(cycle) === Number(rest)) === (sign === "==");
    const [, order, share] = /^step (<|>=) ([\d.]+) \* total_steps$/.exec(text) ?? [];
    assert.ok(share !== undefined, text);
    return step < Number(share) * total === (order === "<");
  };
  return when!.split(" or ").some((all) => all.split(" and ").every(compare));
}

test("momentum-SAM takes its one gradient at w + ρ·m/‖m‖", async () => {
  const base = sgd({ momentum: 0.9 });
  const optimizer = momentumSam(base);
  const once = await runSteps(base);
  // The momentum after one step is the gradient, so the second loss is the one SAM sees uphill of the new weights
  // along the old gradient.
  const second = await runSteps(optimizer, { kinds: ["step", "step"], rates: { rhoMax: 0.2 } });
  const momentum = Object.keys(shapes).map((name) => numbers(once.stored[`${name}.momentum`]));
  const length = Math.hypot(...momentum.flat());
  const uphill = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], index) => [
      name,
      tensorData(
        numbers(once.stored[name]).map((value, i) => value + (0.2 * momentum[index][i]) / length),
        shape,
        "float64",
      ),
    ]),
  );
  const there = await runSteps(sgd(), { from: uphill });
  assertClose([second.last.loss], [there.last.loss], 1e-10, "loss");
  assert.throws(() => momentumSam(sgd()), /needs a base optimizer with a momentum; sgd keeps none/);
});

test("a scalar with the name of another input is refused, and so is one that the optimizer does not have", () => {
  const blended = blendedSam(sgd());
  const asking = (name: string) =>
    overBase(
      sgd().base,
      { method: "blended-sam", scalars: { [name]: constant(1) } },
      {
        gradientEvaluations: 1,
        direction: ({ first, scalar }) => ({
          direction: first.gradients.map((gradient) => mul(gradient, scalar(name))),
          diagnostics: {},
        }),
      },
    );
  const graph = new Graph();
  const rhos = graph.input("rho", "float64", [3]);
  const named = { loss: reduceMean(square(rhos)), parameters: new Map([["rho", rhos]]), buffers: new Map() };
  const refused = (objective: Objective, optimizer: Optimizer, message: string) =>
    assert.throws(() => trainingStep(objective, optimizer), { name: "UserError", message });
  refused(
    named,
    asking("rho"),
    'blended-sam: the scalar rho is the input "rho", a name that the step has already; choose another',
  );
  refused(
    objectiveFor(12),
    asking("averageShare"),
    'blended-sam: the scalar averageShare is the input "optimizer.average_share", a name that the step has already; choose another',
  );
  refused(
    objectiveFor(12),
    { ...blended, scalars: {} },
    "blended-sam: the direction asks for the scalar rhoMax, which `scalars` does not have",
  );
});
