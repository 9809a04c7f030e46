import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { runExample, temporaryFolder } from "./cli.ts";

// The programs of examples/, as a reader runs them.

const folder = temporaryFolder();
const pathOf = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

test("digits.mjs trains, and the file it writes classifies", async () => {
  const accuracy = Number(/test accuracy (\S+),/.exec(await runExample(folder, "digits.mjs"))![1]);
  assert.ok(accuracy > 0.9, `test accuracy ${accuracy}`);
  const session = await InferenceSession.create(`${folder}/digits.onnx`);
  const { logits } = await session.run({
    input: new Tensor("float32", new Float32Array(128).fill(0.5), [2, 1, 8, 8]),
  });
  assert.deepEqual(logits.dims, [2, 10]);
  await session.release();
});

test("digits.mjs is what the README shows", () => {
  const code = readFileSync(pathOf("examples/digits.mjs"), "utf8");
  const withoutComments = code.replaceAll(/^\/\/.*\n/gm, "");
  assert.ok(readFileSync(pathOf("README.md"), "utf8").includes(withoutComments));
});
