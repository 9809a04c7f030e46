import assert from "node:assert/strict";
import { test } from "node:test";
import { ruleTables } from "../lower/lower.ts";
import "../ops/registry.ts";
import { operatorNames } from "../ops/operator.ts";
import { adapters } from "./adapters.ts";
import { evaluators } from "./fold.ts";

// Tables by operators' names: a name that no operator has would never be looked up.

test("every rule of lowering is for an operator that graphs have", () => {
  const known = new Set(operatorNames());
  for (const name of ruleTables.flatMap((table) => Object.keys(table))) assert.ok(known.has(name), name);
});

test("every operator that constants are folded through is one that files are read with", () => {
  const known = new Set([...operatorNames(), ...Object.keys(adapters)]);
  for (const name of Object.keys(evaluators)) assert.ok(known.has(name), name);
});
