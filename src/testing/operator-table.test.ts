import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { operatorTable } from "./operator-table.ts";

test("docs/operators.md is what node scripts/operators.mjs writes", () => {
  const page = readFileSync(new URL("../../docs/operators.md", import.meta.url), "utf8");
  assert.equal(page, operatorTable());
});
