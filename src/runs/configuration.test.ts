import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { UserError } from "../common/errors.ts";
import { parseComparison, parseRun } from "./configuration.ts";
import { optimizerLabel } from "./optimizer-label.ts";
import { createOptimizer, createSchedule } from "./optimizers.ts";

const refuses = (document: unknown, expected: RegExp, parse: (value: unknown) => unknown = parseRun) =>
  assert.throws(
    () => parse(document),
    (error: Error) => error instanceof UserError && expected.test(error.message) && !/\n/.test(error.message),
    `${JSON.stringify(document)} against ${expected}`,
  );

describe("a run's document", () => {
  test("is complete when parsed: parsing it again changes nothing, and JSON keeps it", () => {
    const complete = parseRun({ optimizer: { method: "sam" }, schedule: { name: "warm-up", epochs: 1 } });
    assert.deepEqual(parseRun(complete), complete);
    assert.deepEqual(JSON.parse(JSON.stringify(complete)), complete);
    assert.equal(complete.threads, undefined, "the same document on every machine");
    assert.deepEqual(complete.schedule, {
      name: "warm-up",
      epochs: 1,
      start: 0.01,
      after: { name: "cosine" },
    });
  });

  test("keeps the task's defaults beside what it says of the same settings", () => {
    const { images, model } = parseRun({ task: "pose", images: { testShare: 0.5 } });
    assert.deepEqual([images.size, images.testShare, model], [96, 0.5, "simple-baseline-small"]);
    assert.equal(parseRun({ task: "pose", images: { size: 64 } }).images.size, 64);
    const [{ configuration }] = parseComparison({
      ...{ task: "pose", images: { channels: 3 } },
      runs: [{ name: "a", optimizer: { method: "sgd" } }],
    });
    assert.equal(configuration.images.size, 96);
  });

  test("that says nothing is bilateral SAM on Fashion-MNIST with the paper's settings", () => {
    assert.deepEqual(parseRun({}), {
      task: "classification",
      data: "fashion-mnist",
      images: { size: 64, channels: 3, fit: "crop", testShare: 0.2, onBadImage: "refuse" },
      labelNoise: 0,
      classWeights: "none",
      sampler: "shuffle",
      augmentation: {},
      model: "mlp",
      optimizer: {
        method: "bilateral-sam",
        variant: "paper",
        rhoMax: 0.05,
        rhoMin: { name: "proportional-to-learning-rate", high: 0.05, low: 0 },
        adaptive: false,
        base: { name: "sgd", momentum: 0.9, nesterov: false, weightDecay: 1e-3 },
      },
      learningRate: 0.05,
      schedule: { name: "cosine" },
      epochs: 20,
      evaluateEvery: 1,
      batchSize: 128,
      labelSmoothing: 0.1,
      labelSmoothingKind: "uniform",
      parameters: { perturb: "all", groups: [] },
      microBatches: 1,
      perturbationPer: "batch",
      onNonFinite: "stop",
      seed: 1,
      sharpness: { rho: 0.05, images: 1000 },
    });
  });

  test("is refused for settings that are out of range or do not exist", () => {
    refuses(
      { optimizer: { method: "sam", rho: -0.1 } },
      /^optimizer\.rho is -0\.1; it has to be at least 0$/,
    );
    refuses(
      { optimizer: { method: "adagrad" } },
      /there is no "adagrad"; choose one of sgd, .*, bilateral-sam$/,
    );
    refuses(
      { optimizer: { method: "sam", rhoMin: 1 } },
      /"rhoMin" of optimizer .*\(method, rho, every, reuse, from, base\) is "rho"$/,
    );
    refuses(
      { optimizer: { method: "sgd", base: { momentum: 1 } } },
      /^optimizer\.base\.momentum is 1; .* less than 1$/,
    );
    refuses({ labelNoise: 1.01 }, /^labelNoise is 1\.01; it has to be at most 1$/);
    refuses({ seed: 0.5 }, /^seed is 0\.5; it has to be a whole number$/);
    refuses(
      { schedule: { name: "square" } },
      /choose one of constant, cosine, linear, polynomial, step, warm-up$/,
    );
    refuses({ augmentation: { rotate: 5 } }, /"rotate" of augmentation/);
  });
});

test("SWA starts at a share of training, which earlier documents call `from`", () => {
  const averaging = { name: "stochastic", startingAt: 0.5 };
  assert.deepEqual(parseRun({ averaging }).averaging, averaging);
  assert.deepEqual(parseRun({ averaging: { name: "stochastic", from: 0.5 } }).averaging, averaging);
  refuses(
    { averaging: { name: "stochastic", from: 2 } },
    /^averaging\.startingAt is 2; it has to be at most 1$/,
  );
});

describe("a comparison's document", () => {
  const runs = [
    { name: "a", optimizer: { method: "sgd" } },
    { name: "b", optimizer: { method: "sam" } },
  ];

  test("gives each run the shared settings and its own optimizer", () => {
    const parsed = parseComparison({ epochs: 3, seed: 7, runs });
    assert.deepEqual(
      parsed.map(({ name, configuration }) => [name, configuration.epochs, configuration.seed]),
      [
        ["a", 3, 7],
        ["b", 3, 7],
      ],
    );
    assert.deepEqual(
      parsed.map(({ configuration }) => configuration.optimizer.method),
      ["sgd", "sam"],
    );
    for (const { configuration } of parsed) assert.deepEqual(parseRun(configuration), configuration);
  });

  test("is refused when two runs share a name, a name is no folder's, or there is none", () => {
    refuses({ runs: [runs[0], runs[0]] }, /^two runs of the comparison are called "a"$/, parseComparison);
    for (const name of ["../a", "a/b", "", ".", "-x", "a b"]) {
      refuses({ runs: [{ ...runs[0], name }] }, /^runs\.0\.name is /, parseComparison);
    }
    refuses({ runs: [] }, /^runs is \[\]; it has to hold at least 1$/, parseComparison);
    refuses({}, /^runs is missing; it has to be a list$/, parseComparison);
    refuses(
      { optimizer: { method: "sam" }, runs },
      /^optimizer: every run of a comparison has its own; move it into the runs$/,
      parseComparison,
    );
  });

  for (const [name, expected] of Object.entries({
    "noisy-labels": { limit: 4000, labelNoise: 0.4, model: "mlp", epochs: 40 },
    clean: { limit: 5000, labelNoise: 0, model: "cnn", epochs: 12 },
  })) {
    test(`${name}.json, which comes with the package, is the setting its numbers were published for`, () => {
      const file = new URL(`../../assets/configurations/${name}.json`, import.meta.url);
      const parsed = parseComparison(JSON.parse(readFileSync(file, "utf8")));
      for (const { configuration } of parsed) {
        const { data, limit, labelNoise, model, epochs, batchSize, learningRate, labelSmoothing } =
          configuration;
        assert.deepEqual({ limit, labelNoise, model, epochs }, expected);
        assert.deepEqual([data, batchSize, learningRate, labelSmoothing], ["fashion-mnist", 128, 0.05, 0.1]);
        assert.deepEqual(
          [configuration.schedule, configuration.augmentation],
          [{ name: "cosine" }, { flip: true }],
        );
        const base = { name: "sgd", momentum: 0.9, nesterov: false, weightDecay: 1e-3 };
        assert.deepEqual(configuration.optimizer.base, base);
      }
      assert.deepEqual(
        parsed.map(({ configuration }) => optimizerLabel(createOptimizer(configuration.optimizer).config)),
        [
          "sgd",
          "sam (ρ 0.05)",
          "sam (ρ 0.1)",
          "bilateral-sam (paper, ρmax 0.05, ρmin 0.05→0)",
          "bilateral-sam (released, ρmax 0.05, ρmin 0.05→0)",
        ],
      );
    });
  }
});

describe("what settings become", () => {
  test("an optimizer whose own description says the same", () => {
    const constant = (value: number) => ({ name: "constant", value });
    for (const [given, expected] of [
      [{ method: "sgd" }, { method: "sgd" }],
      [
        { method: "sam", rho: 0.2 },
        { method: "sam", rho: constant(0.2) },
      ],
      [
        {
          method: "bilateral-sam",
          variant: "released",
          rhoMax: 0.1,
          rhoMin: { name: "constant", value: 0.3 },
        },
        {
          method: "bilateral-sam",
          variant: "released",
          rhoMax: constant(0.1),
          rhoMin: constant(0.3),
          adaptive: false,
        },
      ],
    ]) {
      const { base, ...config } = createOptimizer(parseRun({ optimizer: given }).optimizer).config;
      assert.deepEqual(config, expected);
      assert.deepEqual(base, { name: "sgd", momentum: 0.9, nesterov: false, weightDecay: 1e-3 });
      // What a run writes down is a configuration again.
      assert.equal(parseRun({ optimizer: { base, ...config } }).optimizer.method, config.method);
    }
  });

  test("every method over every base update, described in full", () => {
    const bases = ["sgd", "adam", "adamw", "lion", "rmsprop"].map((name) => ({ name }));
    const documents = [
      ...bases.map(({ name }) => ({ method: name })),
      ...["sam", "asam", "gsam", "bilateral-sam"].flatMap((method) =>
        bases.flatMap((base) => [
          { method, base },
          { method, base, every: 3, from: 0.2 },
          { method, base, reuse: 3 },
        ]),
      ),
      { method: "momentum-sam" },
      { method: "bilateral-sam", variant: "two-pass", adaptive: true },
    ];
    for (const document of documents) {
      const { config } = createOptimizer(parseRun({ optimizer: document }).optimizer);
      // What a run writes down is a configuration that comes to the same again.
      const again = createOptimizer(parseRun({ optimizer: config }).optimizer).config;
      assert.deepEqual(again, config);
      for (const [key, value] of Object.entries(document)) {
        if (key !== "base") assert.equal(config[key], value, key);
      }
    }
    assert.throws(
      () => createOptimizer(parseRun({ optimizer: { method: "sam", every: 2, reuse: 2 } }).optimizer),
      /every 2 and reuse 2 exclude each other/,
    );
  });

  test("a schedule of the learning rate by name, with its settings", () => {
    const factor = (schedule: unknown, step: number) =>
      createSchedule(parseRun({ schedule }).schedule).factor({ step, totalSteps: 100, stepsPerEpoch: 10 });
    assert.equal(factor({ name: "constant" }, 99), 1);
    assert.ok(Math.abs(factor({ name: "cosine" }, 50) - 0.5) < 1e-12);
    assert.ok(Math.abs(factor({ name: "step", epochs: 2, gamma: 0.5 }, 45) - 0.25) < 1e-12);
    const warmUp = { name: "warm-up", epochs: 2, start: 0, after: { name: "constant" } };
    assert.ok(Math.abs(factor(warmUp, 5) - 0.25) < 1e-12);
    assert.equal(factor(warmUp, 20), 1);
  });
});
