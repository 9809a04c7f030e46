import assert from "node:assert/strict";
import { test } from "node:test";
import { loadDataset } from "../data/catalogue.ts";
import { placeInStep } from "../optim/passes.ts";
import { profileFigures } from "../report/figures/profile.ts";
import { profileTables } from "../report/profile-table.ts";
import { parseRun } from "../runs/configuration.ts";
import { nodeTimes } from "../runtime/profile.ts";
import { profileStep, stepProfile } from "./profile.ts";

test("a node's time is the median over the runs that count, of all that share its name", () => {
  const event = (name: string, dur: number) => ({ cat: "Node", name, dur, args: { op_name: "Mul" } });
  const events = [
    ...[900, 10, 30, 20].map((dur) => event("pass1.fc/Mul_1_kernel_time", dur)),
    // Twice in each run.
    ...[500, 500, 1, 2, 3, 4, 5, 6].map((dur) => event("Mul_2_kernel_time", dur)),
    event("Mul_2_fence_before", 1e6),
    { cat: "Session", name: "model_run", dur: 1e6 },
  ];
  assert.deepEqual(nodeTimes(events, 4, 1), [
    { name: "pass1.fc/Mul_1", operator: "Mul", milliseconds: 0.02 },
    { name: "Mul_2", operator: "Mul", milliseconds: 0.007 },
  ]);
});

test("scopes of a step say pass, direction and layer", () => {
  assert.deepEqual(placeInStep("pass2.layer1.0.conv1"), {
    part: "forward",
    pass: 2,
    layer: "layer1.0.conv1",
  });
  assert.deepEqual(placeInStep("pass12.backward.pass12.fc"), { part: "backward", pass: 12, layer: "fc" });
  assert.deepEqual(placeInStep("pass1.backward"), { part: "backward", pass: 1, layer: "" });
  assert.deepEqual(placeInStep("pass1"), { part: "forward", pass: 1, layer: "" });
  assert.deepEqual(placeInStep("perturbation"), { part: "perturbation", layer: "" });
  assert.deepEqual(placeInStep(""), { part: "update", layer: "" });
});

test("sums by part, operator and layer are those of the nodes", () => {
  const step = stepProfile("complete", {
    milliseconds: 20,
    nodes: [
      { name: "pass1.fc/Gemm_1", operator: "Gemm", milliseconds: 1 },
      { name: "pass1.backward.pass1.fc/Gemm_7", operator: "Gemm", milliseconds: 2 },
      { name: "fused pass2.fc/Gemm_9", operator: "Gemm", milliseconds: 4 },
      { name: "perturbation/Mul_8", operator: "Mul", milliseconds: 8 },
      { name: "Sub_9", operator: "Sub", milliseconds: 16 },
      { name: "Transpose_token_3", operator: "Transpose", milliseconds: 32 },
      { name: "pass1./layer1/conv/Conv_29/Mul_40", operator: "Mul", milliseconds: 64 },
    ],
  });
  assert.deepEqual(
    step.parts.map(({ name, milliseconds }) => [name, milliseconds]),
    [
      ["forward 1", 65],
      ["backward 1", 2],
      ["forward 2", 4],
      ["perturbation", 8],
      ["update", 16],
      ["ONNX Runtime's own", 32],
    ],
  );
  assert.deepEqual(
    step.operators.map(({ name, nodes, milliseconds }) => [name, nodes, milliseconds]),
    [
      ["Mul", 2, 72],
      ["Transpose", 1, 32],
      ["Sub", 1, 16],
      ["Gemm", 3, 7],
    ],
  );
  assert.deepEqual(
    step.layers.map(({ name, milliseconds }) => [name, milliseconds]),
    [
      ["fc", 7],
      ["layer1/conv", 64],
      ["(no layer)", 56],
    ],
  );
  assert.deepEqual(step.layers[0].parts, { "forward 1": 1, "backward 1": 2, "forward 2": 4 });
});

test("a bilateral step has three passes over every layer, in its record, table and figures", async () => {
  const configuration = parseRun({
    data: "digits",
    model: "mlp",
    optimizer: { method: "bilateral-sam" },
    batchSize: 32,
    threads: 1,
  });
  const data = await loadDataset("digits");
  const done: number[] = [];
  const record = await profileStep({
    ...{ name: "mlp", configuration, data, rounds: 2 },
    onProgress: (now, total) => done.push(now / total),
  });
  assert.deepEqual(done, [0.25, 0.5, 0.75, 1]);
  const [step] = record.steps;
  assert.equal(record.parameters, 64 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10);
  const parts = step.parts.map(({ name }) => name).filter((name) => name !== "ONNX Runtime's own");
  const passes = [1, 2, 3].flatMap((pass) => [`forward ${pass}`, `backward ${pass}`]);
  assert.deepEqual(parts, [...passes, "perturbation", "update"]);
  const ofStep = step.nodes.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  assert.ok(ofStep > 0 && ofStep < step.milliseconds * 1.2, `${ofStep} of ${step.milliseconds}`);
  for (const layer of ["fc1", "fc2", "fc3"]) {
    const { parts: own } = step.layers.find(({ name }) => name === layer)!;
    assert.deepEqual(
      Object.keys(own).filter((name) => /ward/.test(name)),
      passes,
      layer,
    );
  }
  const text = profileTables(record);
  for (const words of ["forward 3", "perturbation", "fc2", "Gemm", "1 thread of"])
    assert.ok(text.includes(words), words);
  assert.ok(text.split("\n").every((line) => line.length <= 100));
  const [{ charts }] = profileFigures(record);
  const [, , layers] = charts;
  assert.ok(layers.kind === "bars" && layers.categories.includes("fc1"));
  const drawn = layers.series.flatMap(({ bars }) => bars).reduce((sum, bar) => sum + (bar?.value ?? 0), 0);
  assert.ok(Math.abs(drawn - ofStep) < 1e-9 * ofStep, "every node is in a bar");
});
