import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { loadDataset } from "../data/catalogue.ts";
import type { DatasetPair } from "../data/source.ts";
import { readComparison } from "../report/read.ts";
import { temporaryFolder, timelessMetrics } from "../testing/cli.ts";
import { refusal } from "../testing/refusals.ts";
import { type FiguresSettings, figureRuns, parseFigures } from "./configuration.ts";
import { openFigures, type TrainFiguresOptions, trainFigures } from "./runs.ts";

const root = temporaryFolder();
let data: DatasetPair;
before(async () => {
  data = await loadDataset("digits");
});

const settings = {
  data: "digits",
  limit: 192,
  epochs: 2,
  batchSize: 64,
  seeds: [1],
  constantRhoMin: [0.2],
  sharpness: { images: 64 },
  threads: 1,
} satisfies FiguresSettings;

/** Trains what is missing, and notes how many steps each run took. */
async function train(
  out: string,
  given: FiguresSettings = settings,
  options: Partial<TrainFiguresOptions> = {},
) {
  const runs = await openFigures(parseFigures(given), data, out);
  const steps: Record<string, number> = {};
  const finished = await trainFigures({
    runs,
    data,
    onRun: ({ name, seed }) => ({
      onStep: () => {
        steps[`${seed} ${name}`] = (steps[`${seed} ${name}`] ?? 0) + 1;
      },
    }),
    ...options,
  });
  return { finished, steps, runs };
}

test("the runs of a seed: the base update, SAM at both radii, bilateral SAM, and each constant ρ_min", () => {
  const configuration = parseFigures({
    ...settings,
    rhoMax: 0.1,
    rhoMin: 0.2,
    constantRhoMin: [0.4, 0.05, 0.4],
  });
  const runs = figureRuns(configuration, 7);
  assert.deepEqual(
    runs.map(({ name, configuration: { optimizer, seed } }) => {
      const { base: _, ...own } = optimizer;
      return [name, seed, own];
    }),
    [
      ["sgd", 7, { method: "sgd" }],
      ["sam-0.1", 7, { method: "sam", rho: 0.1 }],
      ["sam-0.3", 7, { method: "sam", rho: 0.3 }],
      [
        "bilateral-sam",
        7,
        {
          method: "bilateral-sam",
          variant: "paper",
          adaptive: false,
          rhoMax: 0.1,
          rhoMin: { name: "proportional-to-learning-rate", high: 0.2, low: 0 },
        },
      ],
      ...[0.05, 0.4].map((rhoMin) => [
        `bilateral-sam-rho-min-${rhoMin}`,
        7,
        { method: "bilateral-sam", variant: "paper", adaptive: false, rhoMax: 0.1, rhoMin },
      ]),
    ],
  );
  const adam = figureRuns(parseFigures({ base: { name: "adam" } }), 1);
  assert.deepEqual([adam[0].name, adam[0].configuration.optimizer.method], ["adam", "adam"]);
});

test("runs that ended are kept, those that were stopped are resumed, to the same metrics", async () => {
  const whole = join(root, "whole");
  assert.equal((await train(whole)).finished, true);

  const out = join(root, "parts");
  const controller = new AbortController();
  const first = await train(out, settings, {
    signal: controller.signal,
    // In the second epoch of the second run.
    onRun: ({ name }) => ({ onStep: ({ step }) => name === "sam-0.05" && step === 4 && controller.abort() }),
  });
  assert.equal(first.finished, false);
  const second = await train(out);
  assert.equal(second.finished, true);
  assert.deepEqual(second.steps, {
    "1 sam-0.05": 3,
    "1 sam-0.1": 6,
    "1 bilateral-sam": 6,
    "1 bilateral-sam-rho-min-0.2": 6,
  });
  for (const { name } of second.runs) {
    const metrics = (folder: string) => timelessMetrics(join(folder, "seed-1", name));
    assert.deepEqual(metrics(out), metrics(whole), name);
  }

  const written = statSync(join(out, "seed-1", "sgd", "summary.json")).mtimeMs;
  const more = await train(out, { ...settings, seeds: [1, 2], constantRhoMin: [0.1, 0.2] });
  assert.deepEqual(Object.keys(more.steps).sort(), [
    "1 bilateral-sam-rho-min-0.1",
    "2 bilateral-sam",
    "2 bilateral-sam-rho-min-0.1",
    "2 bilateral-sam-rho-min-0.2",
    "2 sam-0.05",
    "2 sam-0.1",
    "2 sgd",
  ]);
  assert.equal(statSync(join(out, "seed-1", "sgd", "summary.json")).mtimeMs, written);
  // Each seed is a comparison that `lowland` can report on.
  assert.equal((await readComparison(join(out, "seed-1"))).runs.length, 6);
});

test("runs of other settings are not mixed: one sentence says which setting differs", async () => {
  const out = join(root, "other");
  await openFigures(parseFigures(settings), data, out);
  assert.match(
    await refusal(openFigures(parseFigures({ ...settings, epochs: 3 }), data, out)),
    /^the figures in .*other have epochs 2, not 3; name another folder with --out, or use the same settings$/,
  );
  assert.match(
    await refusal(Promise.resolve().then(() => parseFigures({ seed: 1 }))),
    /"seed" is not known.*"seeds"/,
  );
  assert.match(
    await refusal(Promise.resolve().then(() => parseFigures({ constantRhoMin: [0] }))),
    /constantRhoMin\.0 is 0/,
  );
  assert.match(await refusal(Promise.resolve().then(() => parseFigures({ seeds: [] }))), /seeds is \[\]/);
});
