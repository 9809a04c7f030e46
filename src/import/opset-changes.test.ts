import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { tensorData } from "../graph/constants.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { writeModel } from "../onnx/model.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { onnxModel, runModel } from "../testing/onnx-models.ts";
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
