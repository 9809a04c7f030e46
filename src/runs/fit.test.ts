import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRun, type RunSettings } from "./configuration.ts";
import { misfits } from "./fit.ts";
import { createOptimizer } from "./optimizers.ts";

const stepsPerEpoch = 10;

function found(settings: RunSettings): string[] {
  const configuration = parseRun({ optimizer: { method: "sam" }, ...settings });
  return misfits(configuration, createOptimizer(configuration.optimizer), stepsPerEpoch);
}

const sam = { method: "sam" } as const;

const tooShort: Record<string, [RunSettings, RegExp]> = {
  "a warm-up": [
    { epochs: 2, schedule: { name: "warm-up", epochs: 5, start: 0 } },
    /^the warm-up takes 5 epochs and the run has 2: the learning rate rises to 40 % of its peak and never falls; shorten/,
  ],
  "a warm-up of all epochs": [
    { epochs: 2, schedule: { name: "warm-up", epochs: 2 } },
    /rises to 100 % of its peak and never falls/,
  ],
  "a step down": [
    { epochs: 20, schedule: { name: "step", epochs: 30 } },
    /lowers the learning rate after 30 epochs, but has only 20: the learning rate never falls/,
  ],
  "a step down after a warm-up": [
    { epochs: 20, schedule: { name: "warm-up", epochs: 5, after: { name: "step", epochs: 15 } } },
    /lowers the learning rate after 15 epochs, but has only 15/,
  ],
  evaluation: [{ epochs: 3, evaluateEvery: 5 }, /^evaluateEvery is 5, but the run has 3 epochs: /],
  averaging: [
    { epochs: 3, averaging: { name: "stochastic" } },
    /^averaging starts after 0\.75 of 3 epochs: the average holds the weights of the last epoch only; /,
  ],
  "a method at every k-th step": [
    { epochs: 2, optimizer: { ...sam, every: 20 } },
    /^sam with every 20 computes only one of the run's 20 steps in full; lower it or /,
  ],
  "a direction to use again": [
    { epochs: 2, optimizer: { ...sam, reuse: 50 } },
    /^sam with reuse 50 computes only one of the run's 20 steps in full/,
  ],
  "a method for the end": [
    { epochs: 2, optimizer: { ...sam, from: 1 } },
    /^sam with from 1 computes none of the run's 20 steps in full/,
  ],
  "a method at every k-th step of the end": [
    { epochs: 2, optimizer: { ...sam, from: 0.5, every: 15 } },
    /^sam with every 15 and from 0\.5 computes only one of the run's 20 steps in full; lower them or /,
  ],
};

for (const [name, [settings, expected]] of Object.entries(tooShort)) {
  test(`${name} that the run is too short for is one sentence`, () => {
    const sentences = found(settings);
    assert.equal(sentences.length, 1, sentences.join("\n"));
    assert.match(sentences[0], expected);
    assert.doesNotMatch(sentences[0], /\. [A-Z]|\.$/);
  });
}

test("nothing is said of settings that fit", () => {
  const fitting: RunSettings[] = [
    {},
    { epochs: 1 },
    { epochs: 2, schedule: { name: "warm-up", epochs: 1 } },
    { epochs: 31, schedule: { name: "step", epochs: 30 } },
    { epochs: 3, evaluateEvery: 3 },
    { epochs: 3, averaging: { name: "stochastic", startingAt: 0.3 } },
    { epochs: 1, averaging: { name: "exponential" } },
    { epochs: 2, optimizer: { ...sam, every: 19 } },
    { epochs: 2, optimizer: { ...sam, from: 0.9 } },
  ];
  for (const settings of fitting) assert.deepEqual(found(settings), [], JSON.stringify(settings));
});
