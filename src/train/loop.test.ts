import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { constantRate, cosine, proportionalToLearningRate } from "../optim/schedules.ts";
import { sgd } from "../optim/sgd.ts";
import type { Engine, RunResult, Tensors } from "../runtime/engine.ts";
import { type LoopOptions, NonFiniteError, trainingLoop } from "./loop.ts";
import type { StepRecord } from "./records.ts";

// The loop against an engine that computes nothing and notes what is asked of it.

const scalar = (value: number) => ({ type: "float32", shape: [], data: Float32Array.of(value) }) as const;
const number = (tensors: Tensors, name: string) => Number(tensors[name].data[0]);

interface Setting extends Partial<LoopOptions> {
  /** What the engine gives for a step (counted from 1). */
  answer?: (step: number) => Partial<RunResult> | Promise<Partial<RunResult>>;
}

/** Runs the loop, 2 epochs of 3 steps unless told otherwise, and returns all that happened, in order. */
async function follow({ answer = () => ({}), ...options }: Setting = {}) {
  const events: string[] = [];
  const steps: StepRecord[] = [];
  const feeds: Tensors[] = [];
  const epochs: Parameters<LoopOptions["onEpoch"]>[0][] = [];
  let running = 0;
  const engine = {
    run: async (program: string, given: Tensors, { advance }: { advance?: boolean }) => {
      assert.deepEqual([program, advance], ["step", true]);
      assert.equal(++running, 1, "one step at a time");
      feeds.push(given);
      const step = feeds.length;
      events.push(`run ${step}`);
      await new Promise(setImmediate);
      const result = await answer(step);
      running--;
      return {
        outputs: { loss: scalar(step), grad_norm: scalar(1), direction_norm: scalar(1) },
        advanced: true,
        ...result,
      };
    },
  } as unknown as Engine;
  const stepsPerEpoch = options.stepsPerEpoch ?? 3;
  const end = trainingLoop({
    engine,
    optimizer: sgd(),
    learningRate: 0.1,
    schedule: constantRate(),
    epochs: 2,
    stepsPerEpoch,
    batches: async function* (epoch) {
      for (let batch = 1; batch <= stepsPerEpoch; batch++) {
        events.push(`batch ${epoch}.${batch}`);
        yield { input: scalar(10 * epoch + batch) };
      }
    },
    onStep: (record) => {
      events.push(`step ${record.step}`);
      steps.push(record);
    },
    onEpoch: async (epoch) => {
      events.push(`epoch ${epoch.epoch}`);
      epochs.push(epoch);
    },
    ...options,
  });
  const finished = await end.catch((error: Error) => error);
  return { finished, events, steps, feeds, epochs };
}

test("while the engine computes a step, the next batch is prepared and no other step is under way", async () => {
  const { finished, events } = await follow();
  assert.equal(finished, true);
  assert.deepEqual(events, [
    ...[
      "batch 1.1",
      "run 1",
      "batch 1.2",
      "step 1",
      "run 2",
      "batch 1.3",
      "step 2",
      "run 3",
      "step 3",
      "epoch 1",
    ],
    ...[
      "batch 2.1",
      "run 4",
      "batch 2.2",
      "step 4",
      "run 5",
      "batch 2.3",
      "step 5",
      "run 6",
      "step 6",
      "epoch 2",
    ],
  ]);
});

test("a schedule that gives a negative radius, or none, is refused before the step is made", async () => {
  for (const wrong of [-0.01, Number.NaN, Number.POSITIVE_INFINITY]) {
    const rhoMax = { config: { name: "own" }, at: ({ step }: { step: number }) => (step < 2 ? 0.1 : wrong) };
    const { finished, feeds } = await follow({ optimizer: bilateralSam(sgd(), { rhoMax }) });
    assert.ok(finished instanceof UserError);
    assert.equal(
      finished.message,
      `the schedule of rhoMax gives ${wrong} at step 2 (counted from 0); it has to be 0 or more`,
    );
    assert.equal(feeds.length, 2);
  }
});

test("every step is fed its batch, and the learning rate and radii of its place in the run", async () => {
  const optimizer = bilateralSam(sgd(), { rhoMax: 0.2, rhoMin: proportionalToLearningRate(0.05) });
  const { steps, feeds } = await follow({ optimizer, schedule: cosine() });
  const rates = [0, 1, 2, 3, 4, 5].map((t) => 0.05 * (1 + Math.cos((Math.PI * t) / 6)));
  const close = (actual: number[], expected: number[]) => {
    for (const [index, value] of expected.entries())
      assert.ok(Math.abs(actual[index] - value) < 1e-8, `${actual}`);
  };
  close(
    feeds.map((tensors) => number(tensors, "learning_rate")),
    rates,
  );
  close(
    feeds.map((tensors) => number(tensors, "rho_max")),
    rates.map(() => 0.2),
  );
  close(
    feeds.map((tensors) => number(tensors, "rho_min")),
    rates.map((rate) => rate / 2),
  );
  close(
    steps.map((step) => step.learningRate),
    rates,
  );
  close(
    steps.map((step) => step.scalars.rhoMin),
    rates.map((rate) => rate / 2),
  );
  assert.deepEqual(
    feeds.map((tensors) => number(tensors, "input")),
    [11, 12, 13, 21, 22, 23],
  );
});

test("records carry the engine's scalars by their names, as short as tells every float32 from the next", async () => {
  const third = Math.fround(1 / 3);
  const { steps } = await follow({
    answer: () => ({
      outputs: {
        loss: scalar(third),
        grad_norm: scalar(2),
        grad_norm_max: scalar(0.1),
        direction_norm: scalar(3),
      },
    }),
  });
  assert.deepEqual(steps[4], {
    type: "step",
    step: 5,
    epoch: 2,
    learningRate: 0.1,
    scalars: {},
    loss: 0.333333343,
    gradNorm: 2,
    gradNormMax: 0.100000001,
    directionNorm: 3,
  });
  assert.equal(Math.fround(steps[0].loss), third);
});

test("a gradient of zero is marked", async () => {
  const answers: Tensors[] = [
    { loss: scalar(1), grad_norm: scalar(0), direction_norm: scalar(0) },
    { loss: scalar(1), grad_norm: scalar(1), grad_norm_min: scalar(0), direction_norm: scalar(1) },
    { loss: scalar(1), grad_norm: scalar(1), grad_norm_min: scalar(1), direction_norm: scalar(1) },
  ];
  const { steps } = await follow({ epochs: 1, answer: (step) => ({ outputs: answers[step - 1] }) });
  assert.deepEqual(
    steps.map((step) => step.zeroGradient),
    [true, true, undefined],
  );
});

test("an epoch's loss is the mean of its steps'", async () => {
  const { epochs } = await follow();
  assert.deepEqual(
    epochs.map(({ epoch, step, trainLoss }) => ({ epoch, step, trainLoss })),
    [
      { epoch: 1, step: 3, trainLoss: 2 },
      { epoch: 2, step: 6, trainLoss: 5 },
    ],
  );
  assert.ok(epochs.every(({ seconds }) => seconds > 0));
});

test("a resumed loop begins after the finished epochs, at the step and learning rate of that place", async () => {
  const { events, steps } = await follow({ epochs: 3, finishedEpochs: 2, schedule: cosine() });
  assert.deepEqual(
    events.filter((event) => /epoch|batch/.test(event)),
    ["batch 3.1", "batch 3.2", "batch 3.3", "epoch 3"],
  );
  assert.deepEqual(
    steps.map((step) => step.step),
    [7, 8, 9],
  );
  assert.ok(Math.abs(steps[0].learningRate - 0.05 * (1 + Math.cos((Math.PI * 6) / 9))) < 1e-8);
  assert.deepEqual((await follow({ finishedEpochs: 2 })).events, []);
});

test("an abort ends the loop after the step that is running", async () => {
  const controller = new AbortController();
  const { finished, events } = await follow({
    signal: controller.signal,
    answer: (step) => {
      if (step === 4) controller.abort();
      return {};
    },
  });
  assert.equal(finished, false);
  assert.deepEqual(events.slice(-3), ["run 4", "batch 2.2", "step 4"]);
});

const names = {
  loss: "the loss of pass 1 (at w)",
  grad_norm: "the gradient of pass 1 (at w)",
  loss_max: "the loss of pass 2 (at w + ε_max)",
  grad_norm_max: "the gradient of pass 2 (at w + ε_max)",
  loss_min: "the loss of pass 3 (at w − ε_min)",
  grad_norm_min: "the gradient of pass 3 (at w − ε_min)",
  scale: "ς",
  direction_norm: "the direction of the update",
};

test("a step that is not finite stops the run and names step, pass and quantity", async () => {
  const finite = Object.fromEntries(Object.keys(names).map((name) => [name, scalar(1)]));
  for (const [name, what] of Object.entries(names)) {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const { finished, events } = await follow({
        answer: (step) =>
          step === 2 ? { outputs: { ...finite, [name]: scalar(value) }, advanced: false } : {},
      });
      assert.ok(finished instanceof NonFiniteError);
      assert.ok(
        finished.message.startsWith(`step 2 (epoch 1): ${what} is ${value}; the initial weights are kept`),
        finished.message,
      );
      assert.equal(events.filter((event) => event.startsWith("run")).length, 2);
    }
  }
  const { finished } = await follow({ answer: (step) => ({ advanced: step < 5 }) });
  assert.match(
    String(finished),
    /step 5 \(epoch 2\): the update .* not finite; the weights of the end of epoch 1 are kept/,
  );
});

test("with skip the step is dropped and marked, does not count in the mean, and training goes on", async () => {
  const { finished, steps, epochs } = await follow({
    onNonFinite: "skip",
    answer: (step) =>
      step === 2 || step > 3
        ? {
            advanced: false,
            outputs: { loss: scalar(Number.NaN), grad_norm: scalar(1), direction_norm: scalar(1) },
          }
        : {},
  });
  assert.equal(finished, true);
  assert.deepEqual(
    steps.map((step) => step.skipped),
    [undefined, true, undefined, true, true, true],
  );
  assert.deepEqual(
    epochs.map(({ trainLoss }) => trainLoss),
    [(1 + 3) / 2, Number.NaN],
  );
});

test("an engine's failure ends the loop with its reason, and so does a batch's", async () => {
  const broken = await follow({ answer: () => Promise.reject(new Error("out of memory")) });
  assert.match(String(broken.finished), /out of memory/);
  const { finished } = await follow({
    answer: () => Promise.reject(new Error("later")),
    batches: async function* () {
      yield { input: scalar(1) };
      throw new Error("no more images");
    },
  });
  assert.match(String(finished), /no more images/);
});
