import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UserError } from "../common/errors.ts";
import { int64Vector } from "../graph/constants.ts";
import { Graph } from "../graph/graph.ts";
import { binary } from "./arithmetic.ts";
import { cast } from "./elementwise.ts";
import { concat } from "./movement.ts";
import "./registry.ts";
import { apply, compositionOf, operatorNames, operatorRule, opsetOf } from "./operator.ts";

describe("the registry", () => {
  test("an operator that is not there lists those that are", () => {
    assert.throws(
      () => operatorRule("Convolve"),
      (error) =>
        error instanceof UserError &&
        error.message.startsWith("operator Convolve is not known; known are Abs, Acos, ") &&
        error.message.includes("Conv,"),
    );
  });

  test("every operator that is a node has an opset that ONNX Runtime 1.30 knows, or belongs to training", () => {
    for (const name of operatorNames().filter((name) => !compositionOf(name))) {
      const since = opsetOf(name);
      assert.ok(since === undefined || (since >= 1 && since <= 26), `${name}: ${since}`);
    }
  });

  test("two numbers are no operands", () => {
    assert.throws(() => binary("Add", 1, 2), /one operand has to be a tensor/);
  });

  test("casting to the type a tensor has is the tensor", () => {
    const x = new Graph().input("x", "float32", [2]);
    assert.equal(cast(x, "float32"), x);
    assert.equal(cast(x, "int64").type, "int64");
  });

  test("outside of any scope the sentence begins with the operator alone", () => {
    const graph = new Graph();
    const [x, y] = [graph.input("x", "float32", [2]), graph.input("y", "float32", [3])];
    assert.throws(() => apply("Add", [x, y]), {
      message: "Add: shapes do not broadcast: float32 [2] and float32 [3]",
    });
    assert.throws(() => concat([x, int64Vector(graph, [1])], 0), {
      message: "Concat: int64 [1] does not join float32 [2] along axis 0",
    });
  });
});
