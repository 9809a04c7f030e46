import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { UserError } from "../common/errors.ts";
import { parseComparison, parseRun } from "../runs/configuration.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { chooseRuns } from "./commands/compare.ts";
import { applyFlags, existingRun, readConfiguration } from "./options.ts";
import type { SettingFlags } from "./setting-flags.ts";
import { numberOption, type Settings } from "./settings.ts";

const folder = temporaryFolder();

const run = (document: Settings, flags: SettingFlags) => parseRun(applyFlags(document, flags));

describe("flags over a document", () => {
  test("take the place of its settings; what they do not name stays", () => {
    const configuration = run(
      {
        data: "digits",
        epochs: 3,
        limit: 100,
        augmentation: { crop: 2 },
        optimizer: { method: "sam", rho: 0.3 },
      },
      { epochs: 7, labelNoise: 0.2, flip: true, cutout: 4, momentum: 0.5, rho: 0.1 },
    );
    const { data, epochs, limit, labelNoise, augmentation, optimizer } = configuration;
    assert.deepEqual([data, epochs, limit, labelNoise], ["digits", 7, 100, 0.2]);
    assert.deepEqual(augmentation, { crop: 2, flip: true, cutout: { size: 4, probability: 0.5 } });
    assert.deepEqual(optimizer, {
      method: "sam",
      rho: 0.1,
      base: { name: "sgd", momentum: 0.5, nesterov: false, weightDecay: 1e-3 },
    });
  });

  test("alone are the defaults with them", () => {
    const expected = parseRun({ epochs: 2, augmentation: { flip: false } });
    assert.deepEqual(run({}, { epochs: 2, flip: false }), expected);
  });

  test("that choose another optimizer keep the base update, not the radii of the one before", () => {
    const document = { optimizer: { method: "bilateral-sam", rhoMax: 0.4, base: { momentum: 0.8 } } };
    assert.deepEqual(run(document, { optimizer: "sam" }).optimizer, {
      method: "sam",
      rho: 0.05,
      base: { name: "sgd", momentum: 0.8, nesterov: false, weightDecay: 1e-3 },
    });
    const { optimizer } = run(document, { optimizer: "adam" });
    assert.deepEqual([optimizer.method, optimizer.base.name], ["adam", "adam"]);
  });

  test("put a method over another base update, and make it cheaper", () => {
    const { optimizer } = run(
      {},
      { base: "adamw", weightDecay: 0.1, variant: "two-pass", every: 3, from: 0.5 },
    );
    assert.ok(optimizer.method === "bilateral-sam" && optimizer.base.name === "adamw");
    assert.deepEqual(
      [optimizer.variant, optimizer.every, optimizer.from, optimizer.base.weightDecay, optimizer.base.beta2],
      ["two-pass", 3, 0.5, 0.1, 0.999],
    );
    assert.throws(
      () => run({ optimizer: { method: "sam", base: { name: "adam", momentun: 1 } } }, {}),
      /configuration key "momentun" of optimizer\.base is not known/,
    );
  });

  test("say who is perturbed and how a mini-batch is taken", () => {
    const configuration = run(
      {},
      { perturb: "norm-only", clipNorm: 2, microBatches: 4, perturbationPer: "micro-batch" },
    );
    assert.deepEqual(
      [
        configuration.parameters,
        configuration.clipNorm,
        configuration.microBatches,
        configuration.perturbationPer,
      ],
      [{ perturb: "norm-only", groups: [] }, 2, 4, "micro-batch"],
    );
  });

  test("give bilateral SAM's ρ_min at the peak learning rate, which it follows", () => {
    const { optimizer } = run({}, { rhoMax: 0.1, rhoMin: 0.02, variant: "released" });
    assert.ok(optimizer.method === "bilateral-sam");
    assert.deepEqual(
      [optimizer.rhoMax, optimizer.rhoMin, optimizer.variant],
      [0.1, { name: "proportional-to-learning-rate", high: 0.02, low: 0 }, "released"],
    );
  });

  test("that have no meaning for the method are refused", () => {
    const refuses = (flags: SettingFlags, expected: RegExp) =>
      assert.throws(
        () => applyFlags({}, flags),
        (error) => error instanceof UserError && expected.test(error.message),
      );
    refuses(
      { optimizer: "sgd", rhoMax: 0.1 },
      /^--rho-max has no meaning for sgd; choose --optimizer bilateral-sam$/,
    );
    refuses({ optimizer: "sam", base: "adam", alpha: 1 }, /^--alpha has no meaning for sam; .* gsam$/);
    refuses(
      { optimizer: "adam", base: "sgd" },
      /^--base has no meaning for adam; choose --optimizer sam or /,
    );
    refuses({ optimizer: "sam", variant: "paper" }, /^--variant has no meaning for sam/);
  });

  for (const method of ["sam", "asam", "gsam", "momentum-sam"]) {
    test(`give ${method} its radius by one name, that of the setting`, () => {
      const { optimizer } = run({}, { optimizer: method, rho: 0.2, base: "adam" });
      assert.deepEqual("rho" in optimizer && optimizer.rho, 0.2);
      for (const name of ["rhoMax", "rhoMin"] as const) {
        const flag = { rhoMax: "--rho-max", rhoMin: "--rho-min" }[name];
        assert.throws(() => applyFlags({}, { optimizer: method, [name]: 0.1 }), {
          name: "UserError",
          message: `${method}: the radius is --rho; ${flag} is for bilateral-sam`,
        });
      }
    });
  }

  test("give bilateral SAM's radii by their own names, whether it was named or not", () => {
    for (const flags of [{ rho: 0.1 }, { optimizer: "bilateral-sam", rho: 0.1 }]) {
      assert.throws(() => applyFlags({}, flags), {
        name: "UserError",
        message:
          "bilateral-sam: the radii are --rho-max and --rho-min; --rho is for sam, asam, gsam, momentum-sam",
      });
    }
  });

  test("of the base update reach every run of a comparison, and the shared settings its own", () => {
    const document = {
      epochs: 3,
      runs: [
        { name: "a", optimizer: { method: "sgd", base: { momentum: 0.5 } } },
        { name: "b", optimizer: { method: "sam" } },
      ],
    };
    const runs = parseComparison(applyFlags(document, { epochs: 4, weightDecay: 0 }));
    assert.deepEqual(
      runs.map(({ configuration: { epochs, optimizer } }) => [epochs, optimizer.base]),
      [0.5, 0.9].map((momentum) => [4, { name: "sgd", momentum, nesterov: false, weightDecay: 0 }]),
    );
  });

  test("say which weights to start from, over a document that may name them in two ways", () => {
    const weights = (document: Settings, flags: SettingFlags) => run(document, flags).weights;
    assert.equal(weights({}, {}), undefined);
    assert.deepEqual(weights({}, { weights: "a" }), { file: "a", except: [] });
    assert.deepEqual(weights({ weights: "a" }, { weights: "b" }), { file: "b", except: [] });
    const excepted = { file: "a", except: ["fc.*", "bn1.*"] };
    assert.deepEqual(weights({ weights: "a" }, { weightsExcept: ["fc.*", "bn1.*"] }), excepted);
    assert.deepEqual(weights({ weights: { file: "b", except: "fc.*" } }, { weights: "a" }), {
      file: "a",
      except: "fc.*",
    });
  });

  test("say how the learning rate goes, and which second network is kept", () => {
    const step = { name: "step", epochs: 3, gamma: 0.2 };
    assert.deepEqual(run({}, { schedule: step }).schedule, step);
    assert.deepEqual(run({ schedule: { name: "linear" } }, { warmUp: 2 }).schedule, {
      name: "warm-up",
      epochs: 2,
      start: 0.01,
      after: { name: "linear", end: 0 },
    });
    const warmed = { schedule: { name: "warm-up", epochs: 1, after: step } };
    const later = run(warmed, { warmUp: 2 }).schedule;
    assert.ok(later.name === "warm-up" && later.epochs === 2);
    assert.deepEqual(later.after, step);
    assert.deepEqual(run(warmed, { warmUp: 0 }).schedule, step);
    const after = run({}, { schedule: { name: "constant" }, warmUp: 2 }).schedule;
    assert.deepEqual(after.name === "warm-up" && after.after, { name: "constant" });
    assert.deepEqual(run({}, { ema: 0.9 }).averaging, { name: "exponential", decay: 0.9 });
    assert.deepEqual(run({}, { ema: true }).averaging, { name: "exponential", decay: 0.999 });
    assert.deepEqual(run({}, { swa: true }).averaging, { name: "stochastic", startingAt: 0.75 });
    assert.equal(run({}, {}).averaging, undefined);
  });

  test("leave what is no object of settings for the schema to refuse", () => {
    const refuses = (
      document: Settings,
      flags: SettingFlags,
      expected: RegExp,
      parse: (value: unknown) => unknown = parseRun,
    ) =>
      assert.throws(
        () => parse(applyFlags(document, flags)),
        (error) => error instanceof UserError && expected.test(error.message),
      );
    refuses({ optimizer: "sam" }, { rhoMax: 1 }, /^optimizer is "sam"; it has to be an object of settings$/);
    refuses({ optimizer: null }, {}, /^optimizer is null; /);
    refuses({ optimizer: { method: "sgd", base: "sgd" } }, { momentum: 0.1 }, /^optimizer\.base is "sgd"; /);
    refuses({}, { weightsExcept: ["fc.*"] }, /^weights\.file is missing; it has to be a text$/);
    refuses(
      { weights: 3 },
      { weightsExcept: ["fc.*"] },
      /^weights is 3; it has to be a text or an object of settings$/,
    );
    refuses({ augmentation: "flip" }, { crop: 1 }, /^augmentation is "flip"; /);
    refuses({ runs: [null] }, { momentum: 0.1 }, /^runs\.0 is null; /, parseComparison);
    refuses(
      { runs: [{ name: "a", optimizer: "sgd" }] },
      { momentum: 0.1 },
      /^runs\.0\.optimizer is "sgd"; /,
      parseComparison,
    );
  });
});

test("a configuration is a file of settings, or the configuration in a run.json", async () => {
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  assert.deepEqual(await readConfiguration(file("plain.json", '{"epochs": 2}')), { epochs: 2 });
  assert.deepEqual(
    await readConfiguration(file("run.json", '{"name": "x", "configuration": {"epochs": 3}}')),
    { epochs: 3 },
  );
  for (const text of ["[]", "1", "null", '"x"']) {
    await assert.rejects(
      readConfiguration(file("other.json", text)),
      /other\.json has to hold one JSON object$/,
    );
  }
  await assert.rejects(readConfiguration(file("broken.json", "{")), /broken\.json is not JSON: /);
  await assert.rejects(readConfiguration(folder), /cannot be read \(EISDIR/);
});

test("runs are chosen by name, in the comparison's order", () => {
  const runs = parseComparison({
    runs: ["a", "b", "c"].map((name) => ({ name, optimizer: { method: "sgd" } })),
  });
  const names = (only?: string) => chooseRuns(runs, only).map(({ name }) => name);
  assert.deepEqual(
    [names(), names("c, a")],
    [
      ["a", "b", "c"],
      ["a", "c"],
    ],
  );
  assert.throws(() => names("a,d"), /^UserError: there is no run "d"; choose from a, b, c$/);
});

test("a number is one in any of JavaScript's forms, and nothing else", () => {
  assert.deepEqual(["1", "-0.5", "1e-3", " 2 "].map(numberOption), [1, -0.5, 1e-3, 2]);
  for (const text of ["", " ", "x", "1x", "NaN"])
    assert.throws(() => numberOption(text), /It has to be a number/);
});

test("what to do about a run that is there follows the flags", () => {
  assert.equal(existingRun({}), "refuse");
  assert.equal(existingRun({ overwrite: true }), "overwrite");
  assert.equal(existingRun({ resume: true }), "resume");
});
