import assert from "node:assert/strict";
import { test } from "node:test";
import { taskRecord, tasks } from "../tasks/index.ts";
import { detailTables } from "./details-table.ts";
import { integersTable } from "./integers-table.ts";
import type { QuantizationRecord } from "./quantization-record.ts";
import type { Run } from "./read.ts";

const measured = (accuracy: number) => ({ loss: 1, metrics: { accuracy } });

function run(label: string, own: Partial<Run> = {}): Run {
  const outcome = { epochs: 1, steps: 1, trainLoss: 1, gradientEvaluations: 1, seconds: 1 };
  return {
    ...{ name: label, label, task: taskRecord(tasks.classification), status: "finished" },
    ...{ steps: [], epochs: [], folder: "", outcome: { ...outcome, metrics: { accuracy: 0.875 } } },
    ...own,
  };
}

const quantization: QuantizationRecord = {
  ...{ quantized: "model.onnx", data: "digits", task: "classification", saturates: false },
  ...{ size: { quantized: 83_104 }, latency: [], operators: {} },
  agreement: { executed: 0.9975, fastest: 0.5 },
  fake: measured(0.86),
  executed: measured(0.8575),
  layers: [
    { name: "conv1", operator: "Conv", elements: 9, bits: { weights: 8, activations: 8 } },
    { name: "conv2", operator: "Conv", elements: 9, bits: { weights: 4, activations: 6 } },
    { name: "conv3", operator: "Conv", elements: 9, bits: { weights: 4, activations: 6 } },
    { name: "up", operator: "ConvTranspose", elements: 9 },
  ],
};

test("files of integers stand beside float ones: bits, what is executed, size", () => {
  const runs = [
    run("sgd", { modelBytes: 286_400 }),
    run("bilateral-sam (paper, ρmax 0.05, ρmin 0.05→0)", { quantization, modelBytes: 83_104 }),
  ];
  const table = integersTable(runs)!;
  assert.deepEqual(
    table.rows.map(({ values }) => values),
    [
      ["float", "87.50", "87.50", "–", "286"],
      ["w4a6 × 2, w8a8 × 1, float × 1", "86.00", "85.75", "99.75", "83.1"],
    ],
  );
  const lines = detailTables({ tables: [table] }, { width: 80 }).split("\n");
  for (const line of lines) assert.ok(line.length <= 80 && !line.includes("…"), line);
  assert.ok(
    lines.some((line) => /^run +bits +accuracy % +executed % +same % +kB$/.test(line)),
    lines.join("\n"),
  );
  assert.equal(integersTable([run("sgd"), run("sam")]), undefined);
});
