import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { Graph, type Shape, type Value } from "../graph/graph.ts";

// What is refused, and in which words.

/** Builds something from inputs of given shapes, float32 unless said otherwise. */
export type Build = (input: (shape: Shape, type?: Value["type"]) => Value) => unknown;

/** Builds inside the scope `layer1.0` and expects exactly this sentence. */
export function refuses(name: string, message: string, build: Build): void {
  test(name, () => {
    const graph = new Graph();
    let count = 0;
    const input = (shape: Shape, type: Value["type"] = "float32") => graph.input(`x${count++}`, type, shape);
    assert.throws(
      () => graph.scoped("layer1", () => graph.scoped("0", () => build(input))),
      (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.equal(error.message, message);
        return true;
      },
    );
    assert.equal(graph.scope, "");
  });
}

/** The sentence of an operator that `refuses` builds. */
export const inScope = (operator: string, sentence: string) => `${operator} "layer1.0": ${sentence}`;

/** The sentence that a promise is refused with. */
export async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof UserError, String(error));
  return error.message;
}
