import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { buildZooModel, compareWithPyTorch, requireSameTensors, type ZooFixture } from "../testing/zoo.ts";
import { initialTensors } from "./module.ts";

// Every network of the zoo against PyTorch's (fixtures/pytorch/zoo.py): names, shapes, counts and initial weights of
// all, numbers of narrow ones. Those of the others are in zoo.slow.test.ts, and of the largest in studies/zoo.mjs.

const read = (name: string): ZooFixture =>
  JSON.parse(readFileSync(new URL(`../../fixtures/pytorch/${name}`, import.meta.url), "utf8"));
const small = read("zoo.json").models;
const large = read("zoo-large.json").models;

describe("PyTorch's numbers in float64, to the digits the fixture holds", () => {
  const cheap = ["wide-resnet-28-10:width=1", "pyramidnet-110:alpha=27,units=2", "vgg16-bn:width=0.125"];
  for (const name of cheap) {
    test(name, async () => {
      const { worst, ...differences } = await compareWithPyTorch(name, small[name], "float64");
      for (const [what, difference] of Object.entries(differences)) {
        assert.ok(difference < 5e-7, `${what}: ${difference} (worst gradient: ${worst})`);
      }
    });
  }
});

describe("PyTorch's names and shapes in PyTorch's order", () => {
  for (const [name, expected] of Object.entries(large)) {
    test(`${name}: ${expected.count.toLocaleString("en")} trainable numbers`, () => {
      requireSameTensors(buildZooModel(name, expected), expected);
    });
  }
});

describe("what a network starts from is distributed as PyTorch's", () => {
  for (const [name, expected] of Object.entries(small)) {
    test(name, () => {
      const start = initialTensors(buildZooModel(name, expected), 3);
      for (const [parameter, { shape, initial }] of Object.entries(expected.parameters)) {
        const values = start[parameter].data as Float32Array;
        const square = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
        const [rootMeanSquare, kurtosis] = initial;
        // Both are estimates; the square's relative variance is (kurtosis − 1)/n, and six deviations are allowed.
        const slack = 6 * Math.sqrt((2 * Math.max(0, kurtosis - 1)) / values.length) + 1e-6;
        const what = `${parameter} [${shape.join(", ")}]`;
        assert.ok(
          Math.abs(square - rootMeanSquare ** 2) <= slack * rootMeanSquare ** 2,
          `${what}: ${square}`,
        );
        if (values.length < 1000 || square === 0) continue;
        // 1 for a constant, 1.8 for uniform numbers, 3 for normal ones.
        const fourth = values.reduce((sum, value) => sum + value ** 4, 0) / values.length / square ** 2;
        assert.ok(
          Math.abs(fourth - kurtosis) < (kurtosis - 0.999) * 0.35,
          `${what}: ${fourth}, not ${kurtosis}`,
        );
      }
    });
  }
});
