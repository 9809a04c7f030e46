import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  buildZooModel,
  compareWithPyTorch,
  isSmall,
  readZoo,
  requireSameStart,
  requireSameTensors,
} from "../testing/zoo.ts";

// Every network of the zoo against PyTorch's (fixtures/pytorch/zoo.py): names, shapes and counts of all, initial weights
// of small ones, numbers of narrow ones. Those of the others are in zoo.slow.test.ts, and the numbers of the largest in
// studies/zoo.mjs.

const small = readZoo("zoo.json");
const large = readZoo("zoo-large.json");

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
  for (const [name, expected] of Object.entries(small).filter(isSmall)) {
    test(name, () => requireSameStart(name, expected));
  }
});
