import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../testing/cli.ts";
import { replaceFile } from "./files.ts";

const root = temporaryFolder();
let folders = 0;

function newFolder(): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  return folder;
}

test("a file is written anew or replaced, and nothing is left beside it", async () => {
  const folder = newFolder();
  await replaceFile(join(folder, "a"), "one");
  await replaceFile(join(folder, "a"), Uint8Array.of(50, 51));
  assert.equal(readFileSync(join(folder, "a"), "utf8"), "23");
  assert.deepEqual(readdirSync(folder), ["a"]);
});

test("a reader never sees a half: every read while it is replaced gives one whole version", async () => {
  const path = join(newFolder(), "a");
  const versions = ["a", "b", "c"].map((letter) => letter.repeat(1_000_000));
  writeFileSync(path, versions[0]);
  let writing = true;
  const writes = (async () => {
    for (const version of [...versions, ...versions]) await replaceFile(path, version);
    writing = false;
  })();
  let reads = 0;
  while (writing) {
    assert.ok(versions.includes(readFileSync(path, "utf8")));
    reads++;
    await new Promise(setImmediate);
  }
  await writes;
  assert.ok(reads > 6, `only ${reads} reads`);
});

test("what cannot be replaced stays as it was, with nothing left beside it", async () => {
  const folder = newFolder();
  mkdirSync(join(folder, "a", "inner"), { recursive: true });
  await assert.rejects(replaceFile(join(folder, "a"), "text"));
  assert.deepEqual(readdirSync(folder), ["a"]);
  assert.deepEqual(readdirSync(join(folder, "a")), ["inner"]);
});
