import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { tensorData } from "../onnx/tensor-data.ts";
import type { Tensors } from "./engine.ts";
import { OnnxRuntimeEngine } from "./onnxruntime.ts";
import { type ProbedSession, probeTarget } from "./probe.ts";
import { openEngine } from "./remote.ts";

describe("what an engine can be compiled for", () => {
  /** A session that says a block is `size` and answers with these numbers. */
  const session = (size: number | string, run: (feeds: Tensors) => Promise<Tensors>): ProbedSession => ({
    outputShape: [1, size, 1, 1],
    run,
    release: async () => {},
  });
  const vector = (...numbers: number[]) => tensorData(numbers, [numbers.length], "float32");
  const answering =
    (plain: number[], blocked: number[], blockedSum = [2, 4]) =>
    async () => ({
      plain: vector(...plain),
      "plain half": vector(...plain),
      blocked: vector(...blocked),
      "blocked sum": vector(...blockedSum),
    });
  const probe = (size: number | string, run: (feeds: Tensors) => Promise<Tensors>) =>
    probeTarget(async () => session(size, run));

  test("blocks whose numbers are right", async () => {
    assert.deepEqual(await probe(8, answering([1, 2], [1, 2])), { blockedChannels: 8 });
  });

  test("nothing where the numbers are wrong, or none", async () => {
    assert.deepEqual(await probe(16, answering([1, 2], [1, 3])), {});
    assert.deepEqual(await probe(16, answering([1, 2], [1, Number.NaN])), {});
    assert.deepEqual(await probe(16, answering([1, 2], [1, 2], [2, 3])), {});
    assert.deepEqual(await probe(16, async () => Promise.reject(new Error("no kernel"))), {});
  });

  test("nothing where blocks are unknown, and then nothing is run", async () => {
    const neverRun = () => assert.fail("it was run");
    assert.deepEqual(await probe(1, neverRun), {});
    assert.deepEqual(await probe("channels", neverRun), {});
    assert.deepEqual(await probeTarget(() => Promise.reject(new Error("no such operator"))), {});
  });

  test("both engines say the same, every time", async () => {
    const engines = [new OnnxRuntimeEngine({ threads: 1 }), openEngine({ threads: 1 })];
    const targets = await Promise.all([...engines, ...engines].map((engine) => engine.target()));
    for (const engine of engines) await engine.close();
    for (const target of targets) assert.deepEqual(target, targets[0]);
    await assert.rejects(engines[0].target(), /closed/);
  });
});
