import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type Plugin } from "esbuild";

// What a bundler for browsers makes of the package.

const dist = fileURLToPath(new URL("..", import.meta.url));

// scripts/layers.mjs, which is plain JavaScript and not compiled.
const { pureFolders }: { pureFolders: readonly string[] } = await import(
  new URL("../../scripts/layers.mjs", import.meta.url).href
);

/** What a run loads only when it is asked for: by a name, a file, a folder or a device. */
const later =
  /\/(digits|people|pose-task|opened-masks|imported-network|quantized-network|first-steps|features|load|picture-form|safetensors|run-folder|evaluation-record|device-engine|web-gpu)\.js$/;

const withoutLater: Plugin = {
  name: "without what is loaded later",
  setup: ({ onResolve }) => {
    onResolve({ filter: later }, ({ kind, path }) =>
      kind === "dynamic-import" ? { path, external: true } : undefined,
    );
  },
};

async function bundled(source: string, plugins: Plugin[] = []): Promise<Uint8Array> {
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: dist },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    external: ["onnxruntime-web"],
    logLevel: "silent",
    plugins,
  });
  return outputFiles[0].contents;
}

describe("a bundle for browsers", () => {
  test("of train with three optimizers is at most 450 KB, 145 KB gzipped", async () => {
    const source =
      'import { bilateralSam, sam, sgd, train } from "lowland"; run({ bilateralSam, sam, sgd, train });';
    const bytes = await bundled(source, [withoutLater]);
    const [size, gzipped] = [bytes.length / 1024, gzipSync(bytes, { level: 9 }).length / 1024];
    assert.ok(size <= 450 && gzipped <= 145, `${size.toFixed(1)} KB, ${gzipped.toFixed(1)} KB gzipped`);
    // Smaller by half, it would not be what trains.
    assert.ok(size > 225);
  });

  for (const folder of pureFolders) {
    test(`holds ${folder} as it is, without anything in place of Node`, async () => {
      const files = readdirSync(join(dist, folder), { recursive: true, encoding: "utf8" })
        .map((file) => file.replaceAll("\\", "/"))
        .filter((file) => file.endsWith(".js") && !file.endsWith(".test.js"));
      assert.ok(files.length > 0);
      const source = files.map((file, index) => `import * as m${index} from "./${folder}/${file}";`);
      await bundled(`${source.join("\n")}\nrun(${files.map((_, index) => `m${index}`).join(", ")});`);
    });
  }

  test("is refused where a module of Node's is reached", async () => {
    await assert.rejects(bundled('import "./cli/main.js";'), /node:|Could not resolve/);
  });
});

test("the version that pages state is the package's", async () => {
  const { createRequire } = await import("node:module");
  const { version } = await import("../platform/web.ts");
  assert.equal(version, createRequire(import.meta.url)(join(dirname(dist), "package.json")).version);
});
