import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseRun } from "../runs/configuration.ts";
import { configurationPage } from "./configuration-page.ts";

const page = configurationPage();

test("docs/configuration.md is what node scripts/configuration.mjs writes", () => {
  assert.equal(readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8"), page);
});

test("every setting is described", () => {
  const rows = page.split("\n").filter((line) => line.startsWith("| "));
  for (const row of rows) assert.match(row, /\S \|$/, row);
});

test("the example is a run", () => {
  const [, example] = /```json\n(.+?)```/s.exec(page)!;
  const { averaging, optimizer } = parseRun(JSON.parse(example));
  assert.deepEqual([averaging, optimizer.base.name], [{ name: "exponential", decay: 0.999 }, "adamw"]);
});
