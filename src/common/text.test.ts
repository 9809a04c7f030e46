import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "./errors.ts";
import { printable } from "./text.ts";

test("control characters are written out, everything else stays", () => {
  assert.equal(printable("fc\n\x1b[31m\x9b ρ → “é”"), "fc\\n\\x1b[31m\\x9b ρ → “é”");
});

test("the sentence of a mistake is one line whatever names it holds", () => {
  assert.equal(new UserError('node "a\r\nb" is odd').message, 'node "a\\x0d\\nb" is odd');
});
