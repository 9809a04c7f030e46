import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { batchNorm, conv2d, dropout, flatten, linear, relu, residual, sequential } from "./layers.ts";
import { createModel } from "./models.ts";
import { buildModel, freezing, type Layer, parameterCount } from "./module.ts";
import { stagesOf } from "./stages.ts";

const build = (layer: Layer, size = 32) =>
  buildModel(layer, { inputShape: [3, size, size], batchSize: 2, training: true });
const zoo = (name: string, size = 32) =>
  build(createModel(name, { channels: 3, height: size, width: size, classes: 5 }), size);
const names = (layers: readonly { name: string }[]) => layers.map(({ name }) => name).join(" ");

describe("stages of the zoo are its modules", () => {
  const expected: Record<string, string> = {
    mlp: "fc1 fc2 fc3",
    lenet5: "conv1 conv2 fc1 fc2 fc3",
    cnn: "conv1 conv2 conv3 conv4 conv5 fc",
    resnet20: "conv1 layer1 layer2 layer3 linear",
    resnet18: "conv1 layer1 layer2 layer3 layer4 linear",
    "resnet50-imagenet": "conv1 layer1 layer2 layer3 layer4 fc",
    "pyramidnet-110:units=1,alpha=6": "conv1 layer1 layer2 layer3 fc",
    "vgg16-bn-small:width=0.1":
      "features.0 features.3 features.7 features.10 features.14 features.17 features.20 features.24 features.27 features.30 features.34 features.37 features.40 classifier",
    "mobilenet-v2:width=0.1": `${Array.from({ length: 19 }, (_, index) => `features.${index}`).join(" ")} classifier.1`,
    "efficientnet-b0:width=0.1": `${Array.from({ length: 9 }, (_, index) => `features.${index}`).join(" ")} classifier.1`,
  };
  for (const [name, stages] of Object.entries(expected)) {
    test(name, () => assert.equal(names(stagesOf(zoo(name))), stages));
  }
});

test("every parameter, running statistic and random input is in one stage", () => {
  for (const name of ["resnet20", "efficientnet-b0:width=0.1", "vgg16-bn:width=0.05"]) {
    const model = zoo(name);
    const stages = stagesOf(model);
    for (const kind of ["parameters", "buffers"] as const) {
      const found = stages.flatMap((stage) => stage[kind]).sort();
      assert.deepEqual(found, model[kind].map((info) => info.name).sort());
    }
    assert.equal(stages.flatMap(({ randomInputs }) => randomInputs).length, model.randomInputs.length);
  }
});

test("a Dropout belongs to the layer behind it, stochastic depth to its block", () => {
  const stages = stagesOf(zoo("efficientnet-b0:width=0.1"));
  assert.deepEqual(stages.at(-1)!.randomInputs, ["classifier.0.uniform"]);
  for (const { name, randomInputs } of stages.slice(0, -1))
    for (const random of randomInputs) assert.ok(random.startsWith(`${name}.`), `${random} in ${name}`);
});

test("without telling names, stages are the blocks between values that every path goes through", () => {
  const block = (at: number) =>
    residual(
      sequential({
        [`c${at}`]: conv2d(4, 4, 3, { padding: 1, bias: false }),
        [`n${at}`]: batchNorm(4),
        relu: relu(),
        [`c${at + 1}`]: conv2d(4, 4, 3, { padding: 1 }),
      }),
    );
  const flat: Layer = (x, scope) => {
    const stem = sequential({ c0: conv2d(3, 4, 3, { padding: 1 }), n0: batchNorm(4) })(x, scope);
    const body = block(3)(block(1)(stem, scope), scope);
    return sequential({ drop: dropout(0.5), f: flatten(), fc: linear(4 * 64, 5) })(body, scope);
  };
  const stages = stagesOf(build(flat, 8));
  assert.equal(names(stages), "c0.weight c1.weight c3.weight fc");
  assert.deepEqual(stages[0].buffers, ["n0.running_mean", "n0.running_var"]);
  assert.deepEqual(stages[1].buffers, ["n1.running_mean", "n1.running_var"]);
  assert.deepEqual(stages[3].randomInputs, ["drop.uniform"]);
});

test("what is frozen is built as in inference, and does not count as trained", () => {
  const layer = createModel("resnet20", { channels: 3, height: 32, width: 32, classes: 5 });
  const stages = stagesOf(build(layer));
  const frozen = stages
    .slice(0, -1)
    .flatMap(({ parameters, buffers, randomInputs }) => [...parameters, ...buffers, ...randomInputs]);
  const model = build(freezing(layer, new Set(frozen)));
  assert.equal(parameterCount(model), 64 * 5 + 5);
  assert.equal(model.bufferUpdates.size, 0);
});
