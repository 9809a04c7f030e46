import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { elementCount, Graph, type Shape } from "../graph/graph.ts";
import { blockedConv, filtersOfTurned, inBlocks } from "../lower/blocked.ts";
import { compile } from "../lower/compile.ts";
import { createModel } from "../nn/models.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { sgd } from "../optim/sgd.ts";
import { initialState } from "../optim/state.ts";
import { trainingStep } from "../optim/training-step.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { blockedNodes, targets, withoutBlocks } from "./blocks.ts";
import { runNode, temporaryFolder } from "./cli.ts";
import { numbers } from "./networks.ts";
import { assertClose, runProgram, tensor } from "./numeric.ts";
import { runModel } from "./onnx-models.ts";

const engine = new OnnxRuntimeEngine({ threads: 1 });
const { blockedChannels: block } = await engine.target();
await engine.close();
const forced = process.env.LOWLAND_TEST_BLOCK !== undefined;

describe("operators on blocks, written in ONNX's own", () => {
  const random = randomStream(3, "blocks");
  const normal = (shape: Shape) =>
    tensor(
      Array.from({ length: elementCount(shape) }, () => random.normal()),
      shape,
      "float32",
    );

  /** A convolution in blocks whose input is also given in blocks, with numbers to feed. */
  function program(channels: number) {
    const graph = new Graph();
    const shapes: Record<string, Shape> = {
      x: [2, 2 * channels, 5, 9],
      weight: [2 * channels, 3 * channels, 3, 2],
      bias: [3 * channels],
    };
    const [x, weight, bias] = Object.entries(shapes).map(([name, shape]) =>
      graph.input(name, "float32", shape),
    );
    const settings = { strides: [2, 1], pads: [1, 0, 2, 1], dilations: [1, 2], group: 1 };
    graph.output("y", blockedConv(x, filtersOfTurned(weight, channels), bias, settings));
    graph.output("x in blocks", inBlocks(x));
    const feeds = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, normal(shape)]));
    return { bytes: compile(graph, { target: { blockedChannels: channels } }), feeds };
  }

  const skip = (block === undefined && "ONNX Runtime has no blocked convolution here") || forced;
  test("give what ONNX Runtime's kernels give for this processor's block", { skip }, async () => {
    const { bytes, feeds } = program(block!);
    const expected = await runProgram(bytes, feeds);
    const actual = await runProgram(withoutBlocks(bytes, block!), feeds);
    assert.deepEqual(actual["x in blocks"], expected["x in blocks"]);
    assertClose(actual.y, expected.y, 1e-6);
  });

  test("give other numbers, or an error, for another block than the program's", async () => {
    const { bytes, feeds } = program(16);
    const right = await runProgram(withoutBlocks(bytes, 16), feeds);
    const wrong = await runProgram(withoutBlocks(bytes, 8), feeds);
    assert.throws(() => assertClose(wrong.y, right.y, 1e-2));
    await assert.rejects(runProgram(withoutBlocks(bytes, 64), feeds));
  });

  test("an operator or attribute that programs do not use is refused", () => {
    const model = readModel(program(8).bytes);
    const node = model.graph!.node.find(({ opType }) => opType === "ReorderOutput")!;
    node.attribute[0].name = "channels_last";
    assert.throws(() => withoutBlocks(writeModel(model), 8), /do not use the attribute channels_last/);
    node.opType = "MaxPool";
    assert.throws(() => withoutBlocks(writeModel(model), 8), /do not use the operator MaxPool/);
  });
});

test("a step of bilateral SAM on cnn gives the same numbers with blocks of 8, of 16 and none", async () => {
  const shape = { channels: 1, height: 16, width: 16, classes: 10 };
  const batchSize = 16;
  const model = buildModel(createModel("cnn", shape), {
    inputShape: [1, 16, 16],
    batchSize,
    training: true,
  });
  const objective = {
    loss: softmaxCrossEntropy(model.logits, model.graph.input("target", "int32", [batchSize])),
    parameters: new Map(model.parameters.map(({ name }) => [name, model.graph.inputs.get(name)!])),
    buffers: model.bufferUpdates,
  };
  const optimizer = bilateralSam(sgd({ momentum: 0.9 }));
  const random = randomStream(4, "step");
  const weights = initialTensors(model, 1);
  const scalar = (value: number) => tensor([value], [], "float32");
  const feeds: Tensors = {
    ...weights,
    ...initialState(objective, optimizer, weights),
    input: tensor(
      Array.from({ length: batchSize * 256 }, () => random.normal()),
      [batchSize, 1, 16, 16],
      "float32",
    ),
    target: tensor(
      Array.from({ length: batchSize }, () => random.integer(10)),
      [batchSize],
      "int32",
    ),
    learning_rate: scalar(0.1),
    rho_max: scalar(0.05),
    rho_min: scalar(0.05),
  };
  const graph = trainingStep(objective, optimizer);
  const results: Record<string, Record<string, number[]>> = {};
  for (const [name, target] of Object.entries(targets)) {
    const bytes = compile(graph, { target });
    assert.equal(blockedNodes(bytes) > 0, target.blockedChannels !== undefined, name);
    const plain = target.blockedChannels === undefined ? bytes : withoutBlocks(bytes, target.blockedChannels);
    assert.equal(blockedNodes(plain), 0);
    const outputs = Object.entries(await runModel(plain, feeds));
    results[name] = Object.fromEntries(outputs.map(([output, value]) => [output, numbers(value)]));
  }
  for (const name of ["8", "16"]) {
    for (const [output, expected] of Object.entries(results.none))
      assertClose(results[name][output], expected, 1e-4, `${output}, blocks of ${name}`);
  }
});

describe("npm test -- --block", () => {
  const preload = new URL("force-target.js", import.meta.url).href;
  const runtime = new URL("../runtime/", import.meta.url).href;
  const script = join(temporaryFolder(), "targets.mjs");
  writeFileSync(
    script,
    `import { OnnxRuntimeEngine } from "${runtime}onnxruntime.js";
import { openEngine } from "${runtime}remote.js";
const engines = [new OnnxRuntimeEngine({ threads: 1 }), openEngine({ threads: 1 })];
console.log(JSON.stringify(await Promise.all(engines.map((engine) => engine.target()))));
for (const engine of engines) await engine.close();
`,
  );

  for (const [name, target] of Object.entries(targets)) {
    test(`${name}: both engines state that target`, async () => {
      const env = { NODE_OPTIONS: `--import=${preload}`, LOWLAND_TEST_BLOCK: name };
      const { code, stdout, stderr } = await runNode([script], { env });
      assert.equal(code, 0, stderr);
      assert.deepEqual(JSON.parse(stdout), [target, target]);
    });
  }
});
