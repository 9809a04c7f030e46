import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readJsonFile, runNode, temporaryFolder } from "../testing/cli.ts";

// What a process loads before it has anything to do, as V8 counts the scripts that ran (NODE_V8_COVERAGE): a second more
// or less at every start, without measuring time.

const root = fileURLToPath(new URL("../..", import.meta.url));
const program = fileURLToPath(new URL("main.js", import.meta.url));
const folder = temporaryFolder();

/** What ran in a process: files of dist/, and packages. */
async function loadedBy(name: string, args: string[], code = 0) {
  const coverage = join(folder, name);
  const ended = await runNode(args, { cwd: root, env: { NODE_V8_COVERAGE: coverage } });
  assert.equal(ended.code, code, ended.stderr);
  const urls = readdirSync(coverage).flatMap((file): string[] =>
    readJsonFile(coverage, file).result.map(({ url }: { url: string }) => url),
  );
  const found = (pattern: RegExp) => [...new Set(urls.flatMap((url) => pattern.exec(url)?.[1] ?? []))];
  return {
    packages: found(/\/node_modules\/((?:@[^/]+\/)?[^/]+)\//),
    files: found(/\/dist\/([^/]+\/(?:[^/]+\/)*[^/]+)\.js$/).filter((file) => !file.includes("node_modules")),
  };
}

/** Packages that compute, decode or draw. */
const heavy = ["onnxruntime-node", "onnxruntime-common", "sharp", "echarts", "zrender", "@resvg/resvg-wasm"];

describe("a start loads what it needs", () => {
  test("the list of commands: no command, and of packages what parses a command line", async () => {
    for (const [name, args, code] of [
      ["help", ["--help"], 0],
      ["version", ["--version"], 0],
      ["unknown", ["trian"], 2],
    ] as const) {
      const { files, packages } = await loadedBy(name, [program, ...args], code);
      assert.deepEqual(
        packages.filter((one) => !["commander", "env-paths", "is-safe-filename"].includes(one)),
        [],
        name,
      );
      assert.ok(files.includes("cli/commands"));
      assert.deepEqual(
        files.filter(
          (file) => !/^(cli\/[^/]+|common\/[^/]+|data\/(sources|files)|report\/numbers)$/.test(file),
        ),
        [],
        name,
      );
    }
  });

  test("the help of a command: that command, without what does its work", async () => {
    for (const name of ["train", "finetune", "inspect"]) {
      const { files, packages } = await loadedBy(`help-${name}`, [program, name, "--help"]);
      assert.deepEqual(
        files.filter((file) => file.startsWith("cli/commands/")),
        [`cli/commands/${name}`],
      );
      assert.deepEqual(
        packages.filter((one) => [...heavy, "@bufbuild/protobuf", "cli-progress", "csv-parse"].includes(one)),
        [],
      );
    }
  });

  test("the library: neither the engine, nor a run, nor what decodes or draws", async () => {
    const { files, packages } = await loadedBy("library", ["--input-type=module", "-e", 'import "lowland"']);
    assert.ok(files.includes("runs/train") && packages.includes("@bufbuild/protobuf"));
    assert.deepEqual(
      packages.filter((one) => [...heavy, "zod", "commander", "csv-parse", "d3-contour"].includes(one)),
      [],
    );
    assert.deepEqual(
      files.filter((file) => ["runs/run", "runs/configuration", "report/drawing/svg"].includes(file)),
      [],
    );
  });

  test("the engine's packages are seen where they are loaded", async () => {
    const { packages } = await loadedBy("engine", [join(root, "dist/runtime/onnxruntime.js")]);
    assert.ok(packages.includes("onnxruntime-node"));
  });
});
