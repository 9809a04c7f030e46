import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul } from "../ops/arithmetic.ts";
import { differentiabilityOf, int, ints, operatorNames } from "../ops/operator.ts";
import { reduceSum } from "../ops/reduction.ts";
import { type ModelText, type NodeText, onnxModel, runModel } from "../testing/onnx-models.ts";
import { type LoadModelOptions, loadModel, type TrainableModel } from "./load.ts";

// Which of a file's tensors train: those of models from the field, and behind every operator that has a gradient.

const random = randomStream(17, "roles");
const normal = (...shape: number[]) =>
  tensorData(
    Array.from({ length: elementCount(shape) }, () => random.normal()),
    shape,
    "float32",
  );
const filled = (value: number, ...shape: number[]) =>
  tensorData(new Array(elementCount(shape)).fill(value), shape, "float32");
const floats = (shape: Shape, values: readonly number[]) => tensorData(values, shape, "float32");
const field = (path: string) => readFileSync(new URL(`../../fixtures/field/${path}`, import.meta.url));

const oneHead = { q_num_heads: int(1), kv_num_heads: int(1) };

const trainedIn = (model: TrainableModel) => model.trainable.map(({ storedName }) => storedName);
const load = (text: ModelText, options?: LoadModelOptions) =>
  loadModel(writeModel(onnxModel(text)), { batchSize: 3, ...options });

/** Σ y·c over a model's first output, and the gradients of its parameters. */
async function gradientsOf(model: TrainableModel, feeds: Tensors): Promise<Map<string, TensorData>> {
  const { graph, logits, parameters } = model.build({ training: false, batchSize: 3 });
  const [y] = logits.values();
  const loss = reduceSum(mul(y, graph.constant(directionOf(y.shape))));
  const names = [...parameters.keys()];
  const found = gradients(loss, [...parameters.values()]);
  graph.outputs.clear();
  for (const [index, name] of names.entries()) graph.output(`${name}/gradient`, found[index]);
  const results = await runModel(compile(graph), { ...model.tensors, ...feeds });
  return new Map(names.map((name) => [name, results[`${name}/gradient`]]));
}

function directionOf(shape: Shape): TensorData {
  return floats(
    shape,
    Array.from({ length: elementCount(shape) }, (_, index) => Math.sin(1 + index)),
  );
}

/** Compares the slope of the file that is written along each gradient with the gradient's length, in a bare session. */
async function assertSlopes(
  bytes: Uint8Array,
  options: { logits?: string; except?: readonly string[] } = {},
) {
  const model = await loadModel(bytes, { batchSize: 3 });
  const feeds = { x: normal(3, 1, 8, 8) };
  const { logits: name = "y", except = [] } = options;
  const lossOf = async (tensors: Tensors) => {
    const { [name]: y } = await runModel(model.write(tensors), feeds);
    const c = directionOf(y.shape).data;
    return Array.from(y.data as Float32Array).reduce((sum, value, at) => sum + value * Number(c[at]), 0);
  };
  for (const [parameter, { data, shape }] of await gradientsOf(model, feeds)) {
    const g = data as Float32Array;
    const length = Math.hypot(...g);
    assert.ok(length > 0, `the gradient of ${parameter} is zero`);
    if (except.includes(parameter)) continue;
    const own = model.tensors[parameter].data as Float32Array;
    const step = 2e-3 * Math.max(1, Math.hypot(...own) / Math.sqrt(own.length));
    const moved = (by: number) =>
      lossOf({
        ...model.tensors,
        [parameter]: floats(
          shape,
          Array.from(own, (value, at) => value + (by * g[at]) / length),
        ),
      });
    const slope = ((await moved(step)) - (await moved(-step))) / (2 * step);
    assert.ok(Math.abs(slope / length - 1) < 0.05, `${parameter}: slope ${slope}, gradient ${length}`);
  }
}

describe("models from the field", () => {
  const cases: Record<string, { trained: string[]; kept?: string[]; except?: string[] }> = {
    "roles-cross-attention/packed_qkv.onnx": { trained: ["W", "fw", "fb"] },
    ...Object.fromEntries(
      ["ts", "dy"].map((exporter) => [
        `roles-cross-attention/t_cross_${exporter}.onnx`,
        {
          trained: [
            ...["q", "att.in_proj_weight", "att.in_proj_bias", "att.out_proj.weight", "att.out_proj.bias"],
            ...["fc.weight", "fc.bias"],
          ],
        },
      ]),
    ),
    // Straight through a rounding, so that there is no slope to compare with.
    "roles-fake-quantized/t_qat_ts.onnx": {
      trained: ["c1.weight", "c1.bias", "fc.weight", "fc.bias"],
      kept: ["sc", "sf"],
      except: ["c1.weight", "c1.bias", "fc.weight"],
    },
    "roles-fake-quantized/w_qdq.onnx": { trained: ["v", "cb", "fw", "fb"], kept: ["qs"], except: ["v"] },
    "roles-functions/functions.onnx": { trained: ["cw", "cb", "dw", "db", "fw", "fb"] },
    "roles-functions/function_bn.onnx": { trained: ["cw", "s", "b", "fw", "fb"], kept: ["m", "v"] },
    "roles-functions/function_constants.onnx": { trained: ["Net.k", "Net.h"] },
    "roles-position-slice/pos_slice.onnx": { trained: ["pe", "w1", "fw", "fb"] },
    "roles-pruning-mask/w_mask.onnx": { trained: ["v", "cb", "fw", "fb"], kept: ["mask"] },
    "roles-pruning-mask/t_pruned_ts.onnx": {
      trained: ["f.bias", "f.weight_orig", "fc.weight", "fc.bias"],
      kept: ["f.weight_mask"],
    },
    "names-of-the-step/names_odd.onnx": { trained: ["__proto__", "constructor", "input", "target"] },
    "names-of-the-step/names_step.onnx": { trained: ["loss", "learning_rate", "w", "w.momentum"] },
    "shared-ones-and-zeros/bias_shared.onnx": { trained: ["cw", "dw", "zero", "fw", "fb", "c2.bias"] },
    "shared-ones-and-zeros/bn_shared.onnx": {
      trained: ["cw", "dw", "one", "zero", "fw", "fb", "b2.weight", "b2.bias"],
      kept: ["b1.running_var", "b2.running_var", "b1.running_mean", "b2.running_mean"],
    },
  };
  for (const [path, { trained, kept = [], except }] of Object.entries(cases)) {
    test(`${path}: what trains, and that each of it has the slope of the file`, async () => {
      const model = await loadModel(field(path), { batchSize: 3 });
      assert.deepEqual(trainedIn(model), trained);
      const others = model.parameters.filter(({ trainable }) => !trainable);
      assert.deepEqual(
        others.map(({ storedName }) => storedName),
        kept,
      );
      assert.ok(others.every(({ reason }) => reason !== undefined));
      await assertSlopes(field(path), { except });
    });
  }

  test("roles-position-slice/t_pos_ts.onnx: the table of positions and all ones that were stored once", async () => {
    const model = await loadModel(field("roles-position-slice/t_pos_ts.onnx"), { batchSize: 3 });
    assert.equal(model.trainable.length, model.parameters.length);
    for (const name of ["pe", "cls", "l.norm1.bias", "l.norm2.bias", "l.norm2.weight"])
      assert.ok(trainedIn(model).includes(name), name);
    await assertSlopes(field("roles-position-slice/t_pos_ts.onnx"));
  });

  test("running statistics never train, whatever is asked for, in functions neither", async () => {
    const model = await loadModel(field("roles-functions/function_bn.onnx"), { trainable: "*" });
    const { parameters, bufferUpdates } = model.build({ training: true, batchSize: 3 });
    assert.deepEqual([...parameters.keys()], ["cw", "s", "b", "fw", "fb"]);
    assert.deepEqual([...bufferUpdates.keys()], ["m", "v"]);
  });

  test("a file of names that a step has is written back with them", async () => {
    const bytes = field("names-of-the-step/names_step.onnx");
    const model = await loadModel(bytes, { batchSize: 3 });
    const names = Object.keys(model.tensors);
    assert.deepEqual(names, ["loss_", "learning_rate_", "w", "w_momentum_"]);
    const doubled = Object.fromEntries(
      Object.entries(model.tensors).map(([name, { data, shape }]) => [
        name,
        floats(
          shape,
          Array.from(data as Float32Array, (value) => 2 * value),
        ),
      ]),
    );
    const written = await loadModel(model.write(doubled), { batchSize: 3 });
    assert.deepEqual(trainedIn(written), ["loss", "learning_rate", "w", "w.momentum"]);
    for (const name of names) assert.deepEqual(written.tensors[name].data, doubled[name].data);
  });
});

describe("every operator that has a gradient passes it to what is stored before it", () => {
  // Their first input is of integers or truths, and their others are not differentiated.
  const none = new Set(["OneHot", "DequantizeLinear"]);
  const place: Record<string, number> = { Where: 1 };
  for (const operator of operatorNames()) {
    if (differentiabilityOf(operator) !== "yes" || none.has(operator)) continue;
    test(operator, async () => {
      const at = place[operator] ?? 0;
      const inputs = Array.from({ length: at + 1 }, (_, index) => (index === at ? "k" : "truth"));
      const model = await load({
        inputs: { x: [3, 8] },
        weights: { k: normal(6, 8), truth: tensorData([1], [1], "bool") },
        nodes: [
          [operator, inputs, ["made"]],
          ["Mul", ["x", "made"], ["y"]],
        ],
        outputs: ["y"],
      });
      assert.deepEqual(trainedIn(model), ["k"]);
    });
  }
});

test("what is behind an operator without a slope, in another type or unread does not train, and says so", async () => {
  const nodes: NodeText[] = [
    ["Sign", ["rounded"], ["a"], {}, "sign"],
    ["Cast", ["counted"], ["b"], { to: int(7) }, "count"],
    ["Cast", ["b"], ["c"], { to: int(1) }],
    ["Sum", ["x", "a", "c"], ["y"]],
  ];
  const weights = { rounded: normal(3, 8), counted: normal(3, 8), unread: normal(3, 8) };
  const model = await load({ inputs: { x: [3, 8] }, weights, nodes, outputs: ["y"] });
  assert.deepEqual(
    model.parameters.map(({ trainable, reason }) => [trainable, reason]),
    [
      [false, "no gradient comes back through Sign"],
      [false, "no gradient comes back through Cast"],
      [false, "no output depends on it"],
    ],
  );
});

describe("what looks like a constant does not train, with a reason", () => {
  const x = { x: [3, 8, 8] };
  const sinusoids = Array.from({ length: 64 }, (_, at) => {
    const [position, column] = [Math.floor(at / 8), at % 8];
    const angle = position / 10000 ** (Math.floor(column / 2) / 4);
    return column % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
  const triangle = Array.from({ length: 64 }, (_, at) => (at % 8 > Math.floor(at / 8) ? 0 : 1));
  const cases: Record<
    string,
    [reason: RegExp, value: TensorData, nodes: NodeText[], ModelText["inputs"]?, opset?: number]
  > = {
    "sines and cosines of positions": [
      /table of sines and cosines/,
      floats([8, 8], sinusoids),
      [["Add", ["x", "c"], ["y"]]],
    ],
    "an additive mask": [
      /mask of zeros and large negative/,
      floats(
        [8, 8],
        triangle.map((one) => (one ? 0 : Number.NEGATIVE_INFINITY)),
      ),
      [
        ["Add", ["x", "c"], ["s"]],
        ["Softmax", ["s"], ["y"]],
      ],
    ],
    "a lower triangle": [/mask of zeros and ones/, floats([8, 8], triangle), [["Mul", ["x", "c"], ["y"]]]],
    "a lower triangle that is turned around": [
      /mask of zeros and ones/,
      floats([8, 8], triangle),
      [
        ["Transpose", ["c"], ["t"]],
        ["Mul", ["x", "t"], ["y"]],
      ],
    ],
    "a factor": [
      /single element/,
      floats([], [0.125]),
      [
        ["Relu", ["x"], ["h"]],
        ["Mul", ["h", "c"], ["y"]],
      ],
    ],
    "an epsilon of one axis": [
      /single element/,
      floats([1], [1e-5]),
      [
        ["Relu", ["x"], ["h"]],
        ["Add", ["h", "c"], ["y"]],
      ],
    ],
    "a limit": [/limit of Clip/, floats([], [6]), [["Clip", ["x", "", "c"], ["y"]]]],
    "mean of the images": [
      /normalization of the input/,
      normal(3, 1, 1),
      [["Sub", ["x", "c"], ["y"]]],
      { x: [3, 3, 8, 8] },
    ],
    "deviation of the images, scaled and turned around": [
      /normalization of the input/,
      normal(3),
      [
        ["Transpose", ["x"], ["t"], { perm: { ints: [0, 2, 3, 1] } }],
        ["Div", ["t", "c"], ["y"]],
      ],
      { x: [3, 3, 8, 8] },
    ],
    "a fill value": [/fill value of Max/, filled(0.5, 8), [["Max", ["x", "c"], ["y"]]]],
    "frequencies of rotary positions": [
      /sequence of evenly spaced or multiplied/,
      floats(
        [8],
        Array.from({ length: 8 }, (_, at) => 10000 ** (-at / 8)),
      ),
      [["Mul", ["x", "c"], ["y"]]],
    ],
    anchors: [
      /table of whole numbers/,
      floats([4, 2], [10, 13, 16, 30, 33, 23, 30, 61]),
      [["Mul", ["x", "c"], ["y"]]],
      { x: [3, 4, 2] },
    ],
    "a table of one-hot rows": [
      /table of zeros and ones/,
      floats(
        [4, 4],
        Array.from({ length: 16 }, (_, at) => Number(at % 5 === 0)),
      ),
      [
        ["Cast", ["x"], ["i"], { to: int(7) }],
        ["Gather", ["c", "i"], ["y"]],
      ],
      { x: [3] },
    ],
    "values of OneHot": [
      /values of OneHot/,
      floats([2], [0.1, 0.7]),
      [
        ["Cast", ["x"], ["i"], { to: int(7) }],
        ["OneHot", ["i", "four", "c"], ["y"]],
      ],
      { x: [3] },
    ],
    "weights of the classes in a cross entropy": [
      /class weights/,
      normal(8),
      [
        ["ReduceMean", ["x"], ["h"], { axes: ints([2]) }],
        ["SoftmaxCrossEntropyLoss", ["h", "labels", "c"], ["y"]],
      ],
    ],
    "weights of the classes in a negative log-likelihood": [
      /class weights/,
      normal(8),
      [
        ["ReduceMean", ["x"], ["h"], { axes: ints([2]) }],
        ["LogSoftmax", ["h"], ["p"]],
        ["NegativeLogLikelihoodLoss", ["p", "labels", "c"], ["y"]],
      ],
    ],
    "cosines of rotary positions": [
      /table of sines and cosines/,
      floats([8, 4], sinusoids.slice(0, 32)),
      [["RotaryEmbedding", ["x", "c", "sines", "positions"], ["y"], { num_heads: int(1) }]],
      x,
      23,
    ],
    "sines of rotary positions": [
      /table of sines and cosines/,
      floats([8, 4], sinusoids.slice(0, 32)),
      [["RotaryEmbedding", ["x", "sines", "c", "positions"], ["y"], { num_heads: int(1) }]],
      x,
      23,
    ],
    "a mask of Attention that hides nothing": [
      /mask/,
      filled(0, 8, 8),
      [["Attention", ["x", "x", "x", "c"], ["y"], oneHead]],
      x,
      23,
    ],
  };
  const others = {
    four: tensorData([4], [], "int64"),
    labels: tensorData([1, 0, 2], [3], "int64"),
    positions: tensorData(new Array(24).fill(1), [3, 8], "int64"),
    sines: floats([8, 4], sinusoids.slice(32)),
  };
  for (const [name, [reason, value, nodes, inputs = x, opset]] of Object.entries(cases)) {
    test(name, async () => {
      const text: ModelText = { opset, inputs, weights: { c: value, ...others }, nodes, outputs: ["y"] };
      const [constant] = (await load(text)).parameters;
      assert.equal(constant.trainable, false);
      assert.match(constant.reason ?? "", reason);
      // But it trains where somebody says so.
      const model = await load(text, { trainable: "c" });
      assert.deepEqual(trainedIn(model), ["c"]);
    });
  }
});

describe("what only resembles a constant trains", () => {
  const cases: Record<
    string,
    [name: string, value: TensorData, nodes: NodeText[], ModelText["inputs"]?, opset?: number]
  > = {
    "a scale of logits, by its name": [
      "logit_scale",
      floats([], [2.6]),
      [["Mul", ["x", "logit_scale"], ["y"]]],
    ],
    "a gate, by PyTorch's name": [
      "block.1.gate",
      floats([1], [0.1]),
      [["Mul", ["x", "block.1.gate"], ["y"]]],
    ],
    "one slope of PRelu": ["c", floats([1], [0.25]), [["PRelu", ["x", "c"], ["y"]]]],
    "a normalization of one channel": [
      "c",
      filled(1, 1),
      [["InstanceNormalization", ["x", "c", "zero"], ["y"]]],
      { x: [3, 1, 8] },
    ],
    "one bias of a linear layer": ["c", filled(0, 1), [["Gemm", ["x", "w", "c"], ["y"]]], { x: [3, 8] }],
    "a fresh LayerScale": ["c", filled(1e-6, 8), [["Mul", ["x", "c"], ["y"]]]],
    "zeros that are added": ["c", filled(0, 8), [["Add", ["x", "c"], ["y"]]]],
    "a table of positions that is added to what is fed": ["c", normal(8, 8), [["Add", ["x", "c"], ["y"]]]],
    "a table of straight lines": [
      "c",
      floats(
        [8, 8],
        Array.from({ length: 64 }, (_, at) => at / 64),
      ),
      [["Add", ["x", "c"], ["y"]]],
    ],
    "an identity matrix that a product starts from": [
      "c",
      floats(
        [8, 8],
        Array.from({ length: 64 }, (_, at) => Number(at % 9 === 0)),
      ),
      [["MatMul", ["x", "c"], ["y"]]],
    ],
    "the bias of an affine map, which starts as zeros and ones": [
      "c",
      floats([6], [1, 0, 0, 0, 1, 0]),
      [
        ["MatMul", ["x", "to6"], ["h"]],
        ["Add", ["h", "c"], ["y"]],
      ],
    ],
    "values of OneHot that are computed": [
      "c",
      normal(2),
      [
        ["Cast", ["x"], ["i"], { to: int(7) }],
        ["Mul", ["c", "c"], ["values"]],
        ["OneHot", ["i", "four", "values"], ["y"]],
      ],
      { x: [3] },
    ],
    "angles of rotary positions": [
      "c",
      normal(8, 4),
      [
        ["Cos", ["c"], ["cosines"]],
        ["Sin", ["c"], ["sines"]],
        ["RotaryEmbedding", ["x", "cosines", "sines", "positions"], ["y"], { num_heads: int(1) }],
      ],
      { x: [3, 8, 8] },
      23,
    ],
    "what Attention adds for relative positions": [
      "c",
      normal(8, 8),
      [["Attention", ["x", "x", "x", "c"], ["y"], oneHead]],
      { x: [3, 8, 8] },
      23,
    ],
    "a mask's token": ["mask_token", filled(0, 1, 1, 8), [["Where", ["truths", "mask_token", "x"], ["y"]]]],
  };
  const others = {
    four: tensorData([4], [], "int64"),
    positions: tensorData(new Array(24).fill(1), [3, 8], "int64"),
    zero: filled(0, 1),
    w: normal(8, 1),
    to6: normal(8, 6),
    truths: tensorData([1, 0, 1, 0, 1, 0, 1, 0], [1, 8, 1], "bool"),
  };
  for (const [name, [parameter, value, nodes, inputs = { x: [3, 8, 8] }, opset]] of Object.entries(cases)) {
    test(name, async () => {
      const weights = { ...others, [parameter]: value };
      const model = await load({ opset, inputs, weights, nodes, outputs: ["y"] });
      assert.ok(trainedIn(model).includes(parameter), model.parameters.map(({ reason }) => reason).join());
    });
  }
});

test("a weight is trained in spite of what stands between it and its use", async () => {
  // Weight normalization: g·v/‖v‖, and standardized weights: (w − mean)/deviation.
  const model = await load({
    inputs: { x: [3, 8] },
    weights: { v: normal(4, 8), g: normal(4, 1), s: normal(4, 4), eps: floats([], [1e-5]) },
    nodes: [
      ["ReduceL2", ["v"], ["n"], { axes: { ints: [1] } }],
      ["Div", ["v", "n"], ["unit"]],
      ["Mul", ["unit", "g"], ["weight"]],
      ["Gemm", ["x", "weight"], ["h"], { transB: int(1) }],
      ["ReduceMean", ["s"], ["mean"], { axes: { ints: [1] } }],
      ["Sub", ["s", "mean"], ["centered"]],
      ["Mul", ["centered", "centered"], ["squared"]],
      ["ReduceMean", ["squared"], ["variance"], { axes: { ints: [1] } }],
      ["Add", ["variance", "eps"], ["safe"]],
      ["Sqrt", ["safe"], ["deviation"]],
      ["Div", ["centered", "deviation"], ["standard"]],
      ["MatMul", ["h", "standard"], ["y"]],
    ],
    outputs: ["y"],
  });
  assert.deepEqual(
    model.parameters.map(({ name, role, trainable }) => [name, role, trainable]),
    [
      ["v", "weight", true],
      ["g", "weight", true],
      ["s", "weight", true],
      ["eps", "constant", false],
    ],
  );
});

test("how much trains is told, with a warning where much is frozen without being asked for", async () => {
  const text: ModelText = {
    inputs: { x: [3, 8] },
    weights: {
      table: floats(
        [8, 8],
        Array.from({ length: 64 }, (_, at) => (at % 7) * 3 + 2),
      ),
      w: normal(8, 2),
      training: tensorData([1], [], "bool"),
    },
    nodes: [
      ["MatMul", ["x", "w"], ["h"], {}, "fc"],
      ["Dropout", ["h", "", "training"], ["d"], {}, "drop"],
      ["Mul", ["x", "table"], ["t"]],
      ["ReduceSum", ["t"], ["sum"], { keepdims: int(0) }],
      ["Add", ["d", "sum"], ["y"]],
    ],
    outputs: ["y"],
  };
  const notes = (await load(text)).notes();
  assert.equal(notes[0], "trains 16 of 80 elements; frozen: tables of whole numbers 64");
  assert.match(notes[1], /^warning: 64 elements that the loss depends on are frozen without being asked for/);
  assert.match(notes[2], /^warning: node "drop" \(Dropout\) is in training mode/);
  const asked = (await load(text, { frozen: "table" })).notes();
  assert.equal(asked[0], "trains 16 of 80 elements; frozen: frozen 64");
  assert.equal(asked.length, 2);
});

for (const file of ["bn_training", "bn_training9"]) {
  test(`${file}: batch normalization that is left in training mode is told of`, async () => {
    const path = `batchnorm-in-training-mode/${file}.onnx`;
    const model = await loadModel(field(path));
    const [line, warning] = model.notes();
    assert.equal(line, "trains 2,614 of 2,622 elements; frozen: running statistics 8");
    assert.match(warning, /^warning: node "bn" \(BatchNormalization\) is in training mode: the written file/);
    const inference = readModel(field(path));
    for (const node of inference.graph!.node) {
      if (node.opType !== "BatchNormalization") continue;
      node.attribute = [];
      node.output = node.output.slice(0, 1);
    }
    assert.equal((await loadModel(writeModel(inference))).notes().length, 1);
  });
}

test("tensors that are tied on purpose stay tied", async () => {
  const model = await load({
    inputs: { x: [3, 8] },
    weights: { w: normal(8, 8), eps: floats([], [1e-5]) },
    nodes: [
      ["MatMul", ["x", "w"], ["a"]],
      ["Add", ["a", "eps"], ["b"]],
      ["MatMul", ["b", "w"], ["c"]],
      ["Add", ["c", "eps"], ["y"]],
    ],
    outputs: ["y"],
  });
  assert.deepEqual(
    model.parameters.map(({ name }) => name),
    ["w", "eps"],
  );
});

test("a packed parameter of zeros that is cut into parts stays one, and so does a scale of two quantizers", async () => {
  const model = await load({
    inputs: { x: [3, 4] },
    weights: {
      packed: filled(0, 8),
      ...Object.fromEntries(
        ["zero", "four", "eight"].map((name, at) => [name, tensorData([4 * at], [1], "int64")]),
      ),
      w: normal(4, 4),
      scales: filled(0.1, 4),
      points: tensorData([0, 0, 0, 0], [4], "int8"),
    },
    nodes: [
      ["Slice", ["packed", "zero", "four"], ["b1"]],
      ["Slice", ["packed", "four", "eight"], ["b2"]],
      ["QuantizeLinear", ["w", "scales", "points"], ["q"], { axis: int(1) }],
      ["DequantizeLinear", ["q", "scales", "points"], ["weight"], { axis: int(1) }],
      ["Gemm", ["x", "weight", "b1"], ["h"]],
      ["Add", ["h", "b2"], ["y"]],
    ],
    outputs: ["y"],
  });
  assert.deepEqual(
    model.parameters.map(({ name, trainable }) => [name, trainable]),
    [
      ["packed", true],
      ["w", true],
      ["scales", false],
    ],
  );
});

test("one bias in a Constant node is a parameter where a layer reads it, and a factor where nothing does", async () => {
  const model = await load({
    inputs: { x: [3, 8] },
    weights: { w: normal(8, 1) },
    nodes: [
      ["Constant", [], ["bias"], { value: { tensor: floats([1], [0.5]) } }],
      ["Constant", [], ["half"], { value: { tensor: floats([1], [0.5]) } }],
      ["Gemm", ["x", "w", "bias"], ["h"]],
      ["Mul", ["h", "half"], ["y"]],
    ],
    outputs: ["y"],
  });
  assert.deepEqual(
    model.parameters.map(({ name, role }) => [name, role]),
    [
      ["w", "weight"],
      ["bias", "bias"],
    ],
  );
});

test("a mask whose shape is read too stays a constant", async () => {
  const model = await load({
    inputs: { x: [3, 2] },
    weights: { mask: floats([3, 2], [1, 0, 0, 1, 1, 0]) },
    nodes: [
      ["Shape", ["mask"], ["shape"]],
      ["Expand", ["x", "shape"], ["e"]],
      ["Mul", ["e", "mask"], ["y"]],
    ],
    outputs: ["y"],
  });
  assert.deepEqual(trainedIn(model), []);
});
