import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../testing/cli.ts";
import { explain } from "./explain.ts";

test("an error of the system that nobody made a sentence of names the call, the path and the reason", async () => {
  const path = join(temporaryFolder(), "none");
  const error = await readdir(path).catch((caught) => caught);
  assert.deepEqual(explain(error), {
    code: 1,
    text: `scandir of ${path} failed: it does not exist (ENOENT); check the path`,
  });
});

test("memory that does not suffice is one sentence, whoever found out", () => {
  const worker = Object.assign(new Error("Worker terminated due to reaching memory limit"), {
    code: "ERR_WORKER_OUT_OF_MEMORY",
  });
  const found = [
    worker,
    new Error(
      "Non-zero status code returned while running Conv node: Failed to allocate memory for requested buffer",
    ),
    new Error("std::bad_alloc"),
    new RangeError("Array buffer allocation failed"),
  ];
  for (const error of found) {
    const { code, text } = explain(error);
    assert.equal(code, 1);
    assert.match(
      text!,
      /^there is not enough memory for this computation; choose a smaller --batch-size, [^.]*$/,
    );
  }
});

test("a bug keeps its stack trace", () => {
  const { code, text } = explain(new TypeError("x is not a function"));
  assert.equal(code, 1);
  assert.match(text!, /^an internal error occurred, .*TypeError: x is not a function\n +at /);
});
