import assert from "node:assert/strict";
import { test } from "node:test";

// scripts/layers.mjs, which is plain JavaScript and not compiled.
const { nodeUses }: { nodeUses: (source: string) => string[] } = await import(
  new URL("../../scripts/layers.mjs", import.meta.url).href
);

test("every way to use Node in a folder that runs without it is found", () => {
  const found: Record<string, string[]> = {
    'import { readFile } from "node:fs/promises";': ["node:fs/promises"],
    'import "node:process";': ["node:process"],
    'const os = await import("node:os");': ["node:os"],
    'export { join } from "node:path";': ["node:path"],
    "const bytes = Buffer.from(text);": ["Buffer"],
    "if (value instanceof Buffer) return;": ["Buffer"],
    "const seed = process.env.SEED;": ["process"],
    "const text = `${process.pid}`; Buffer.alloc(1); // process.exit": ["process", "Buffer"],
  };
  for (const [source, uses] of Object.entries(found)) assert.deepEqual(nodeUses(source), uses, source);
});

test("words, comments and own names are no use of Node", () => {
  for (const source of [
    "// Not a Buffer, whose slices would be views.",
    "/** node:fs is not used here, and neither is process.env. */",
    'throw new Error("a Buffer, process.env or node:fs");',
    "const buffer: ArrayBuffer = view.buffer;",
    "const kinds: { node: Node } = { node: 1 };",
    "this.process.next();",
  ]) {
    assert.deepEqual(nodeUses(source), [], source);
  }
});
