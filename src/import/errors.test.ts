import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { UserError } from "../common/errors.ts";
import { writeModel } from "../onnx/model.ts";
import { StringStringEntryProtoSchema } from "../onnx/onnx_pb.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { type ModelText, onnxModel } from "../testing/onnx-models.ts";
import { fromOnnx } from "./from-onnx.ts";
import { loadModel } from "./load.ts";

const weight = tensorData([1, 2, 3, 4, 5, 6], [2, 3], "float32");

const mistakes: Record<string, [model: ModelText, sentence: RegExp]> = {
  "a cycle": [
    {
      inputs: { x: [2] },
      nodes: [
        ["Add", ["x", "b"], ["a"], {}, "first"],
        ["Relu", ["a"], ["b"], {}, "second"],
      ],
      outputs: ["b"],
    },
    /^node "first" \(Add\): waits for its own output; the graph has a cycle$/,
  ],
  "a missing tensor": [
    { inputs: { x: [2] }, nodes: [["Add", ["x", "gone"], ["y"]]], outputs: ["y"] },
    /^node "y" \(Add\): reads "gone", which is neither an input, an initializer nor the output of a node$/,
  ],
  "an output stated twice": [
    { inputs: { x: [2] }, nodes: [["Relu", ["x"], ["y"]]], outputs: ["y", "y"] },
    /^the model states output "y" twice$/,
  ],
  "a single number in parts": [
    {
      weights: { one: tensorData([1], [], "float32") },
      nodes: [["Split", ["one"], ["y"], { num_outputs: { int: 1 } }]],
      outputs: ["y"],
    },
    /^node "y" \(Split\): /,
  ],
  "numbers in parts that do not make them up": [
    {
      weights: { row: weight, sizes: tensorData([1, 3], [2], "int64") },
      nodes: [["Split", ["row", "sizes"], ["y"]]],
      outputs: ["y"],
    },
    /^node "y" \(Split\): Split "y": parts of \[1, 3\] do not make up axis 0 of float32 \[2, 3\]$/,
  ],
  "a tensor made twice": [
    {
      inputs: { x: [2] },
      nodes: [
        ["Relu", ["x"], ["y"], {}, "one"],
        ["Exp", ["x"], ["y"], {}, "two"],
      ],
      outputs: ["y"],
    },
    /^node "two" \(Exp\): makes "y", which node "one" \(Relu\) makes too$/,
  ],
  "an initializer made again": [
    { weights: { w: weight }, nodes: [["Relu", ["w"], ["w"]]], outputs: ["w"] },
    /^node "w" \(Relu\): makes "w", which an input or initializer makes too$/,
  ],
  "an output that nothing makes": [
    { inputs: { x: [2] }, nodes: [], outputs: ["y"] },
    /^output "y" is neither an input, an initializer nor made by a node$/,
  ],
  "an output that is not built": [
    { inputs: { x: [2] }, nodes: [["Relu", ["x"], ["y", "more"]]], outputs: ["more"] },
    /^output "more" is a further output of node "y" \(Relu\), which is not made here$/,
  ],
  "an open batch": [
    { inputs: { x: ["N", 2] }, nodes: [["Relu", ["x"], ["y"]]], outputs: ["y"] },
    /^input "x": axis 0 is "N"; give batchSize$/,
  ],
  "an open axis": [
    { inputs: { x: [1, "length"] }, nodes: [["Relu", ["x"], ["y"]]], outputs: ["y"] },
    /^input "x": axis 1 is "length"; give dimensions: \{ "length": … \} \(--dimension length=…\)$/,
  ],
  "an opset of the future": [
    { opset: 99, inputs: { x: [1] }, nodes: [["Relu", ["x"], ["y"]]], outputs: ["y"] },
    /^the model uses opset 99; 1 to 28 are read, so export it with one of them$/,
  ],
  "shapes that do not fit": [
    {
      inputs: { x: [2, 2] },
      weights: { w: weight },
      nodes: [["MatMul", ["w", "x"], ["y"], {}, "fc"]],
      outputs: ["y"],
    },
    /^node "fc" \(MatMul\): MatMul "fc": cannot multiply float32 \[2, 3\] by float32 \[2, 2\]$/,
  ],
  "an operator without a rule": [
    {
      inputs: { x: [4, 2] },
      weights: { w: weight },
      nodes: [
        ["MatMul", ["x", "w"], ["h"], {}, "fc"],
        ["Frobnicate", ["h"], ["f"], {}, "odd"],
        ["Relu", ["f"], ["y"], {}, "act"],
      ],
      outputs: ["y"],
    },
    /^node "odd" \(Frobnicate\): operator Frobnicate has no rule here; it stands between a parameter and an output: "w" → fc → odd → act → "y"; export the model without it$/,
  ],
  "an operator without a rule and without a parameter before it": [
    { inputs: { x: [4, 2] }, nodes: [["Frobnicate", ["x"], ["y"], {}, "odd"]], outputs: ["y"] },
    /^node "odd" \(Frobnicate\): operator Frobnicate has no rule here; export the model without it$/,
  ],
  "sizes computed while running": [
    {
      inputs: { x: [4], s: [1] },
      nodes: [
        ["Cast", ["s"], ["sizes"], { to: { int: 7 } }],
        ["Reshape", ["x", "sizes"], ["y"], {}, "view"],
      ],
      outputs: ["y"],
    },
    /^node "view" \(Reshape\): Reshape "view": its sizes are computed while running; they have to be known before$/,
  ],
  "an input left out": [
    { inputs: { x: [4, 2] }, nodes: [["Gemm", ["x"], ["y"], {}, "fc"]], outputs: ["y"] },
    /^node "fc" \(Gemm\): an input or attribute is missing or of the wrong kind$/,
  ],
};

for (const [name, [model, sentence]] of Object.entries(mistakes)) {
  test(`${name} is refused in one sentence`, () => {
    assert.throws(
      () => fromOnnx(onnxModel(model)),
      (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, sentence);
        return true;
      },
    );
  });
}

test("patterns that fit no parameter are refused with the choices", async () => {
  const bytes = writeModel(
    onnxModel({
      inputs: { x: [4, 2] },
      weights: { w: weight },
      nodes: [["MatMul", ["x", "w"], ["y"]]],
      outputs: ["y"],
    }),
  );
  await assert.rejects(loadModel(bytes, { frozen: "backbone.*" }), {
    message: 'frozen: "backbone.*" fits no parameter; there are w',
  });
});

test("a file that is not there", async () => {
  await assert.rejects(loadModel("nowhere.onnx"), { message: "there is no file nowhere.onnx" });
});

describe("weights in a file beside the model", () => {
  const root = temporaryFolder();
  const folder = join(root, "model");
  mkdirSync(folder);
  const values = new Uint8Array(8 + 24);
  values.set(new Uint8Array((weight.data as Float32Array).buffer), 8);
  writeFileSync(join(folder, "weights.bin"), values);
  writeFileSync(join(root, "secret.bin"), values);
  symlinkSync(join(root, "secret.bin"), join(folder, "link.bin"));

  function fileWith(settings: Record<string, string>): string {
    const model = onnxModel({
      inputs: { x: [4, 2] },
      weights: { w: weight },
      nodes: [["MatMul", ["x", "w"], ["y"]]],
      outputs: ["y"],
    });
    const [tensor] = model.graph!.initializer;
    tensor.rawData = new Uint8Array();
    tensor.dataLocation = 1;
    tensor.externalData = Object.entries(settings).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    );
    const path = join(folder, "model.onnx");
    writeFileSync(path, writeModel(model));
    return path;
  }

  test("are read", async () => {
    const model = await loadModel(fileWith({ location: "weights.bin", offset: "8", length: "24" }));
    assert.deepEqual(model.tensors.w, weight);
  });

  for (const location of ["../secret.bin", "link.bin", join(root, "secret.bin"), "a/../../secret.bin", ""]) {
    test(`are refused outside its folder: ${location.replace(root, "…")}`, async () => {
      await assert.rejects(loadModel(fileWith({ location, offset: "8", length: "24" })), {
        message: `tensor "w": its values are said to be in "${location}", outside the model's folder; this is refused`,
      });
    });
  }

  test("are refused when the file is too short or missing", async () => {
    await assert.rejects(loadModel(fileWith({ location: "weights.bin", offset: "16", length: "24" })), {
      message: 'tensor "w": its values should be 24 bytes at 16 of "weights.bin", which has 32 bytes',
    });
    await assert.rejects(loadModel(fileWith({ location: "gone.bin" })), {
      message: 'tensor "w": its values should be in "gone.bin" beside the model; there is no such file',
    });
  });
});
