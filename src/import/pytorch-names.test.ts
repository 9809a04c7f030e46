import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { writeModel } from "../onnx/model.ts";
import { StringStringEntryProtoSchema } from "../onnx/onnx_pb.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { int } from "../ops/operator.ts";
import { onnxModel } from "../testing/onnx-models.ts";
import { loadModel } from "./load.ts";

const matrix = (seed: number) => tensorData([seed, 2, 3, 4], [2, 2], "float32");
const vector = (seed: number) => tensorData([seed, 2], [2], "float32");

test("names that the TorchScript exporter made up become those of the modules", async () => {
  const model = onnxModel({
    inputs: { x: [1, 2] },
    weights: {
      "onnx::MatMul_7": matrix(1),
      "onnx::Gemm_8": matrix(2),
      "onnx::Gemm_9": vector(3),
      "onnx::Mul_10": vector(4),
      "fc2.weight.T": matrix(5),
      "onnx::MatMul_11": matrix(6),
      own: matrix(7),
    },
    nodes: [
      ["MatMul", ["x", "onnx::MatMul_7"], ["a"], {}, "/layers/layers.0/attention/query/MatMul"],
      ["Gemm", ["a", "onnx::Gemm_8", "onnx::Gemm_9"], ["b"], { transB: int(1) }, "/fc/Gemm"],
      ["Mul", ["b", "onnx::Mul_10"], ["c"], {}, "/scale/Mul"],
      ["MatMul", ["c", "fc2.weight.T"], ["d"], {}, "/fc2/MatMul"],
      ["MatMul", ["d", "onnx::MatMul_11"], ["e"], {}, "/fc2/MatMul_1"],
      ["MatMul", ["e", "own"], ["y"], {}, "/fc3/MatMul"],
    ],
    outputs: ["y"],
  });
  const { parameters } = await loadModel(writeModel(model));
  assert.deepEqual(
    parameters.map(({ name }) => name),
    [
      "layers.0.attention.query.weight.T",
      "fc.weight",
      "fc.bias",
      // What is not known stays, and so does what would take a name that is there.
      "onnx::Mul_10",
      "fc2.weight.T",
      "onnx::MatMul_11",
      "own",
    ],
  );
});

test("the newer exporter's names come from the scopes it writes down", async () => {
  const model = onnxModel({
    inputs: { x: [1, 2] },
    weights: { val_3: matrix(1) },
    nodes: [["MatMul", ["x", "val_3"], ["y"], {}, "node_MatMul_4"]],
    outputs: ["y"],
  });
  model.graph!.node[0].metadataProps = [
    create(StringStringEntryProtoSchema, {
      key: "pkg.torch.onnx.name_scopes",
      value: "['', 'blocks', 'blocks.0.attn.qkv', 'linear']",
    }),
  ];
  const { parameters } = await loadModel(writeModel(model));
  assert.deepEqual(
    parameters.map(({ name }) => name),
    ["blocks.0.attn.qkv.weight.T"],
  );
});

test("the restored names are written, and loading gives them again", async () => {
  const source = onnxModel({
    inputs: { x: [1, 2] },
    weights: { "onnx::MatMul_7": matrix(1) },
    nodes: [["MatMul", ["x", "onnx::MatMul_7"], ["y"], {}, "/fc/MatMul"]],
    outputs: ["y"],
  });
  const model = await loadModel(writeModel(source));
  const again = await loadModel(model.write({ "fc.weight.T": matrix(9) }));
  assert.deepEqual(again.tensors, { "fc.weight.T": matrix(9) });
});
