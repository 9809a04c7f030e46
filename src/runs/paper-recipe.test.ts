import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parseComparison } from "./configuration.ts";

const folder = new URL("../../assets/configurations/paper/", import.meta.url);
const read = (file: string) => parseComparison(JSON.parse(readFileSync(new URL(file, folder), "utf8")));
const networks = [
  "resnet18",
  "wide-resnet-28-10",
  "pyramidnet-110",
  "vgg16-bn",
  "mobilenet-v2",
  "efficientnet-b0",
];
const dataSets = ["cifar10", "cifar100"];

test("the paper's recipe has a document for each network and data set, and the crop for a laptop", () => {
  const expected = dataSets.flatMap((data) => networks.map((network) => `${network}-${data}.json`));
  assert.deepEqual(readdirSync(folder).sort(), [...expected, "laptop.json"].sort());
});

for (const data of dataSets)
  for (const network of networks)
    test(`${network} on ${data}: the authors' settings, five methods`, () => {
      const runs = read(`${network}-${data}.json`);
      for (const { configuration } of runs) {
        const { optimizer, parameters, ...own } = configuration;
        assert.deepEqual([own.data, own.model, own.limit], [data, network, undefined]);
        assert.deepEqual([own.epochs, own.batchSize, own.learningRate], [200, 128, 0.05]);
        assert.deepEqual([own.schedule, own.labelSmoothing], [{ name: "cosine" }, 0.1]);
        assert.equal(own.labelSmoothingKind, "kl");
        assert.deepEqual(own.augmentation, { crop: 4, flip: true, cutout: { size: 16, probability: 0.5 } });
        // Decay and perturbation of every parameter.
        assert.deepEqual([parameters.groups, parameters.perturb], [[], "all"]);
        assert.deepEqual(optimizer.base, { name: "sgd", momentum: 0.9, nesterov: false, weightDecay: 1e-3 });
      }
      const following = { name: "proportional-to-learning-rate", high: 0.05, low: 0 };
      assert.deepEqual(
        runs.map(({ name, configuration: { optimizer } }) => {
          const { base: _, ...method } = optimizer;
          return [name, method];
        }),
        [
          ["sgd", { method: "sgd" }],
          ["sam-0.05", { method: "sam", rho: 0.05 }],
          ["sam-0.1", { method: "sam", rho: 0.1 }],
          ...(["paper", "released"] as const).map((variant) => [
            variant === "paper" ? "bilateral-sam" : "bilateral-sam-released",
            { method: "bilateral-sam", variant, rhoMax: 0.05, rhoMin: following, adaptive: false },
          ]),
        ],
      );
    });

test("the laptop's crop has the recipe's optimizers, augmentation and loss", () => {
  const whole = read("resnet18-cifar10.json");
  for (const [index, { name, configuration }] of read("laptop.json").entries()) {
    const { configuration: full } = whole[index];
    assert.equal(name, whole[index].name);
    assert.deepEqual(configuration.optimizer, full.optimizer);
    assert.deepEqual(configuration.augmentation, full.augmentation);
    assert.equal(configuration.labelSmoothingKind, "kl");
    assert.ok(configuration.epochs < full.epochs && configuration.limit !== undefined);
  }
});
