import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { writeModel } from "../onnx/model.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul } from "../ops/arithmetic.ts";
import { differentiabilityOf, int, ints } from "../ops/operator.ts";
import { reduceSum } from "../ops/reduction.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { type NodeText, onnxModel, runModel } from "../testing/onnx-models.ts";
import { opsetChanges, type Side } from "../testing/opset-changes.ts";
import { opsetChangesPage } from "../testing/opset-changes-page.ts";
import { fromOnnx } from "./from-onnx.ts";

// Every row of docs/opset-changes.md, on both of its sides; and the gradients of older forms that are written in newer
// ones, against differences of ONNX Runtime's outputs.

test("docs/opset-changes.md is what node scripts/opset-changes.mjs writes", () => {
  const page = readFileSync(new URL("../../docs/opset-changes.md", import.meta.url), "utf8");
  assert.equal(page, opsetChangesPage());
});

/** The first opset whose older forms are read. */
const first = 6;

for (const change of opsetChanges) {
  const { operator, opset, sides } = change;
  test(`${operator} before and since opset ${opset}: ${change.before}`, async () => {
    if ("file" in sides) {
      // Tests are compiled into dist/, beside the sources of the repository.
      const text = readFileSync(new URL(`../../src/${sides.file}`, import.meta.url), "utf8");
      assert.ok(text.includes(sides.name), `${sides.file} has no test "${sides.name}"`);
      return;
    }
    for (const [index, side] of sides.entries()) {
      if (side) await checkSide(operator, index === 0 ? opset - 1 : Math.max(opset, first), side);
    }
  });
}

function built(operator: string, opset: number, side: Side) {
  const random = randomStream(5, `${operator} ${opset}`);
  const names = side.inputs.map((input, index) => (input ? `x${index}` : ""));
  const fed = side.inputs.flatMap((input, index): [string, Shape][] =>
    input && !("type" in input) ? [[names[index], input]] : [],
  );
  const stored = side.inputs.flatMap((input, index): [string, TensorData][] =>
    input && "type" in input ? [[names[index], input]] : [],
  );
  const outputs = Array.from({ length: side.outputs ?? 1 }, (_, index) => `y${index}`);
  const model = onnxModel({
    opset,
    inputs: Object.fromEntries(fed),
    weights: Object.fromEntries(stored),
    nodes: [[side.operator ?? operator, names, outputs, side.attributes]],
    outputs,
  });
  const feeds = Object.fromEntries(
    fed.map(([name, shape]) => {
      const values = Array.from({ length: elementCount(shape) }, () => random.normal());
      return [name, tensorData(values, shape, "float32")];
    }),
  );
  return { model, feeds, outputs, names };
}

async function checkSide(operator: string, opset: number, side: Side): Promise<void> {
  const { model, feeds, outputs, names } = built(operator, opset, side);
  const label = `${operator} ${opset}`;
  if (side.refused !== undefined) {
    assert.throws(
      () => fromOnnx(model),
      (error) => error instanceof UserError && error.message.includes(side.refused ?? ""),
      label,
    );
    return;
  }
  const { graph, initializers } = fromOnnx(model);
  const tensors = { ...feeds, ...Object.fromEntries(initializers) };
  const imported = await runModel(compile(graph), tensors);
  if (side.expected) {
    assertClose(
      numbers(imported.y0),
      side.expected(names.map((name) => numbers(feeds[name] ?? nothing))),
      1e-6,
      label,
    );
    return;
  }
  const original = await runModel(writeModel(model), feeds);
  for (const name of outputs) {
    const [ours, theirs] = [imported[name], original[name]];
    assert.deepEqual([ours.type, ours.shape], [theirs.type, theirs.shape], `${label} ${name}`);
    assertClose(numbers(ours), numbers(theirs), 1e-5, `${label} ${name}`);
  }
}

const nothing = tensorData([], [0], "float32");

for (const operator of ["RNN", "GRU", "LSTM"]) {
  // ONNX Runtime has no kernel for it.
  test(`${operator}: layout 1 is layout 0 with the batch as the first axis`, async () => {
    const gates = { RNN: 1, GRU: 3, LSTM: 4 }[operator] ?? 1;
    const random = randomStream(9, operator);
    const drawn = (shape: Shape) =>
      tensorData(
        Array.from({ length: elementCount(shape) }, () => random.normal()),
        shape,
        "float32",
      );
    const weights = { w: drawn([1, gates * 3, 2]), r: drawn([1, gates * 3, 3]) };
    const x = drawn([4, 5, 2]);
    const settings = { hidden_size: int(3) };
    const model = (nodes: readonly NodeText[]) =>
      onnxModel({ opset: 14, inputs: { x: [4, 5, 2] }, weights, nodes, outputs: ["y", "last"] });
    const batchFirst = model([[operator, ["x", "w", "r"], ["y", "last"], { ...settings, layout: int(1) }]]);
    const timeFirst = model([
      ["Transpose", ["x"], ["moved"], { perm: ints([1, 0, 2]) }],
      [operator, ["moved", "w", "r"], ["all", "end"], settings],
      ["Transpose", ["all"], ["y"], { perm: ints([2, 0, 1, 3]) }],
      ["Transpose", ["end"], ["last"], { perm: ints([1, 0, 2]) }],
    ]);
    const { graph, initializers } = fromOnnx(batchFirst);
    const ours = await runModel(compile(graph), { x, ...Object.fromEntries(initializers) });
    const theirs = await runModel(writeModel(timeFirst), { x });
    for (const name of ["y", "last"]) {
      assert.deepEqual(ours[name].shape, theirs[name].shape);
      assertClose(numbers(ours[name]), numbers(theirs[name]), 1e-5, name);
    }
  });
}

test("an attribute that is not read is refused by name, and does not get lost", () => {
  for (const [operator, attribute] of [
    ["Relu", "alpha"],
    ["MeanVarianceNormalization", "across_channels"],
    ["Add", "broadcast"],
    ["Softmax", "beta"],
  ] as const) {
    const { model } = built(operator, 17, {
      inputs:
        operator === "Add"
          ? [
              [2, 2],
              [2, 2],
            ]
          : [[1, 2, 2, 2]],
      attributes: { [attribute]: int(1) },
    });
    assert.throws(
      () => fromOnnx(model),
      (error) => error instanceof UserError && error.message.includes(`attribute "${attribute}"`),
    );
  }
});

test("a Split without sizes into parts that are not equal is refused before opset 18", () => {
  const { model } = built("Split", 17, { inputs: [[7]], outputs: 3 });
  assert.throws(() => fromOnnx(model), /axis 0 of size 7 has no 3 equal parts/);
});

/** Older forms that are written in newer ones, where numbers and not indices or masks come out. */
const differentiated = opsetChanges.flatMap(({ operator, opset, handling, sides }) => {
  const older = "file" in sides ? null : sides[0];
  const isSmooth = differentiabilityOf(operator) !== "zero" && older?.inputs.some((input) => isDrawn(input));
  return handling === "adapted" && older && isSmooth ? [{ operator, opset, side: older }] : [];
});

for (const { operator, opset, side } of differentiated) {
  test(`the gradient of ${operator} before opset ${opset} is that of what ONNX Runtime computes`, async () => {
    const { model, feeds, names } = built(operator, opset - 1, side);
    const { graph } = fromOnnx(model, { isInput: () => false });
    const y = graph.outputs.get("y0")!;
    const random = randomStream(6, `${operator} ${opset}`);
    const draw = (shape: Shape) => Array.from({ length: elementCount(shape) }, () => random.normal());
    const weights = draw(y.shape);
    const loss = reduceSum(mul(y, graph.constant(tensorData(weights, y.shape, "float32"))));
    const inputs = names.filter((name) => feeds[name]);
    const slopes = gradients(
      loss,
      inputs.map((name) => graph.inputs.get(name)!),
    );
    for (const [index, name] of inputs.entries()) graph.output(`d${name}`, slopes[index]);
    const results = await runModel(compile(graph), feeds);
    const directions = new Map(inputs.map((name) => [name, draw(feeds[name].shape)]));
    const step = 1 / 64;
    const lossAt = async (share: number) => {
      const moved = Object.fromEntries(
        inputs.map((name) => {
          const values = numbers(feeds[name]).map((value, at) => value + share * directions.get(name)![at]);
          return [name, tensorData(values, feeds[name].shape, "float32")];
        }),
      );
      const output = side.expected
        ? side.expected(names.map((name) => numbers(moved[name] ?? nothing)))
        : numbers((await runModel(writeModel(model), moved)).y0);
      return output.reduce((sum, value, at) => sum + value * weights[at], 0);
    };
    const slope = inputs.reduce(
      (sum, name) =>
        sum + numbers(results[`d${name}`]).reduce((all, one, at) => all + one * directions.get(name)![at], 0),
      0,
    );
    assertClose([slope], [((await lossAt(step)) - (await lossAt(-step))) / (2 * step)], 2e-3, operator);
  });
}

test("spatial 0: training uses and moves the statistics of every element, as of channels after flattening", async () => {
  const shape = [2, 2, 3];
  const elements = elementCount(shape);
  const random = randomStream(8, "spatial");
  const values = (sizes: Shape) => Array.from({ length: elementCount(sizes) }, () => 1 + random.uniform());
  const [scale, bias, mean, variance] = [1, 2, 3, 4].map(() => values(shape));
  const stored = (sizes: Shape) => ({
    scale: tensorData(scale, sizes, "float32"),
    bias: tensorData(bias, sizes, "float32"),
    mean: tensorData(mean, sizes, "float32"),
    variance: tensorData(variance, sizes, "float32"),
  });
  const parameters = ["scale", "bias", "mean", "variance"];
  const older = onnxModel({
    opset: 8,
    inputs: { x: [4, ...shape] },
    weights: stored(shape),
    nodes: [["BatchNormalization", ["x", ...parameters], ["y"], { spatial: int(0) }]],
    outputs: ["y"],
  });
  const newer = onnxModel({
    opset: 9,
    inputs: { x: [4, elements] },
    weights: stored([elements]),
    nodes: [["BatchNormalization", ["x", ...parameters], ["y"]]],
    outputs: ["y"],
  });
  const x = values([4, elements]);
  const weights = values([4, elements]);
  const trained = async (model: typeof older, sizes: Shape) => {
    const { graph, initializers, bufferUpdates } = fromOnnx(model, {
      isInput: () => true,
      training: { batchNormalization: "batch", dropout: false },
    });
    const y = graph.outputs.get("y")!;
    const loss = reduceSum(mul(y, graph.constant(tensorData(weights, y.shape, "float32"))));
    const wanted = ["x", "scale", "bias"];
    const slopes = gradients(
      loss,
      wanted.map((name) => graph.inputs.get(name)!),
    );
    for (const [index, name] of wanted.entries()) graph.output(`d${name}`, slopes[index]);
    for (const [name, value] of bufferUpdates) graph.output(`next ${name}`, value);
    const feeds = { x: tensorData(x, [4, ...sizes], "float32"), ...Object.fromEntries(initializers) };
    return runModel(compile(graph), feeds);
  };
  const [ours, theirs] = [await trained(older, shape), await trained(newer, [elements])];
  assert.deepEqual(Object.keys(ours).toSorted(), Object.keys(theirs).toSorted());
  assert.deepEqual(ours["next mean"].shape, shape);
  for (const [name, tensor] of Object.entries(theirs))
    assertClose(numbers(ours[name]), numbers(tensor), 1e-5, name);
});

function isDrawn(input: Side["inputs"][number]): boolean {
  return input !== undefined && !("type" in input);
}
