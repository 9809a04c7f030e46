import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryFolder } from "../testing/cli.ts";
import { readModelFile } from "./load.ts";

const source = fileURLToPath(
  new URL("../../fixtures/field/evaluate-external-data/ext_plain/", import.meta.url),
);
const root = temporaryFolder();

/** A folder with the given files, each a link or a copy of a fixture's file. */
function folder(name: string, files: Record<string, { copy: string } | { link: string }>): string {
  for (const [file, content] of Object.entries(files)) {
    const path = join(root, name, file);
    mkdirSync(join(path, ".."), { recursive: true });
    if ("copy" in content) copyFileSync(join(source, content.copy), path);
    else symlinkSync(content.link, path);
  }
  return join(root, name);
}

const weightsOf = async (path: string) =>
  (await readModelFile(path)).graph?.initializer.map(({ name, rawData }) => [name, [...rawData]]);

test("weights beside the file that the model's link leads to, as a hub's cache keeps them", async () => {
  const cache = folder("cache", {
    "blobs/1111": { copy: "model.onnx" },
    "blobs/2222": { copy: "model.onnx.data" },
    "snapshots/abc/onnx/model.onnx": { link: "../../../blobs/1111" },
    "snapshots/abc/onnx/model.onnx.data": { link: "../../../blobs/2222" },
  });
  assert.deepEqual(
    await weightsOf(join(cache, "snapshots/abc/onnx/model.onnx")),
    await weightsOf(join(source, "model.onnx")),
  );
});

test("weights in a folder below the one that the model's link leads to", async () => {
  const place = folder("below", {
    "store/model.onnx": { copy: "model.onnx" },
    "store/data/weights": { copy: "model.onnx.data" },
    "model.onnx": { link: "store/model.onnx" },
    "model.onnx.data": { link: "store/data/weights" },
  });
  assert.ok(await weightsOf(join(place, "model.onnx")));
});

for (const [name, model] of Object.entries({
  "of a model that is no link": { copy: "model.onnx" },
  "of a model that links elsewhere": { link: "../store/model.onnx" },
})) {
  test(`a link to weights outside both folders is refused, ${name}`, async () => {
    const place = folder(name.replaceAll(" ", "-"), {
      "store/model.onnx": { copy: "model.onnx" },
      "secret/weights": { copy: "model.onnx.data" },
      "own/model.onnx": model,
      "own/model.onnx.data": { link: "../secret/weights" },
    });
    await assert.rejects(readModelFile(join(place, "own/model.onnx")), {
      name: "UserError",
      message: /"model\.onnx\.data", outside the model's folder; this is refused$/,
    });
  });
}
