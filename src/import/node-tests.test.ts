import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { runNodeTest } from "../testing/node-tests.ts";

// The smallest of ONNX's published tests for each operator. `node studies/node-tests.mjs FOLDER … --save` runs all of
// them and writes the sample.

interface Stored {
  name: string;
  model: string;
  inputs: string[];
  outputs: string[];
}

const sample: Stored[] = JSON.parse(
  readFileSync(new URL("../../fixtures/import/node-tests.json", import.meta.url), "utf8"),
);
const bytes = (text: string) => new Uint8Array(Buffer.from(text, "base64"));

for (const { name, model, inputs, outputs } of sample) {
  test(`ONNX's ${name}`, async () => {
    const result = await runNodeTest({
      name,
      model: bytes(model),
      inputs: inputs.map(bytes),
      outputs: outputs.map(bytes),
    });
    assert.equal(result.outcome, "match", result.message);
  });
}
