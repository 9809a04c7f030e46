import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { needsBrowser, openPages } from "./chromium.ts";
import { temporaryFolder } from "./cli.ts";
import { pngOfNumbers } from "./png.ts";

// docs/guides/browser.md as a reader follows it: its files, built by each of the bundlers that it names, in a browser.

const root = fileURLToPath(new URL("../..", import.meta.url));
const runtime = join(root, "node_modules", "onnxruntime-web");
const guide = readFileSync(join(root, "docs/guides/browser.md"), "utf8");

/** The files that the guide shows: a path in backticks, a colon, and a block of code. */
const files = [...guide.matchAll(/`([\w./-]+\.(?:js|html))`:\n\n```\w+\n([\s\S]*?)```/g)].map(
  ([, path, code]) => ({ path, code }),
);

/** Bundlers by name: what makes the project's folder `dist`, a page and what belongs to it. */
const bundlers: Readonly<Record<string, (project: string) => Promise<void>>> = {
  async Vite(project) {
    const vite = await import("vite");
    await vite.build({ root: project, logLevel: "error" });
  },
  async webpack(project) {
    const { default: webpack } = await import("webpack");
    const settings = { mode: "production", entry: "./src/main.js", context: project } as const;
    await new Promise<void>((resolve, reject) =>
      webpack({ ...settings, output: { path: join(project, "dist") } }, (error, stats) => {
        if (error || stats?.hasErrors()) reject(error ?? new Error(stats?.toString("errors-only")));
        else resolve();
      }),
    );
    placePage(project);
  },
  async esbuild(project) {
    await build({
      absWorkingDir: project,
      entryPoints: ["src/main.js", "src/worker.js"],
      bundle: true,
      format: "esm",
      splitting: true,
      outdir: "dist",
      logLevel: "error",
    });
    const wasm = "ort-wasm-simd-threaded.wasm";
    cpSync(join(runtime, "dist", wasm), join(project, "dist", wasm));
    placePage(project);
  },
};

/** Puts the page beside the bundle, which it names in place of the source. */
function placePage(project: string): void {
  const page = readFileSync(join(project, "index.html"), "utf8");
  assert.ok(page.includes('src="/src/main.js"'));
  writeFileSync(join(project, "dist/index.html"), page.replace('src="/src/main.js"', 'src="main.js"'));
}

/** The guide's project in a folder of its own, with the package and ONNX Runtime installed. */
function makeProject(): string {
  const project = temporaryFolder();
  for (const { path, code } of files) {
    mkdirSync(dirname(join(project, path)), { recursive: true });
    writeFileSync(join(project, path), code);
  }
  mkdirSync(join(project, "node_modules"));
  writeFileSync(join(project, "package.json"), '{ "name": "flat", "private": true, "type": "module" }');
  symlinkSync(root, join(project, "node_modules", "lowland"), "junction");
  symlinkSync(runtime, join(project, "node_modules", "onnxruntime-web"), "junction");
  return project;
}

/** A folder of pictures of one color each, a folder per color. */
function makePictures(folder: string): string {
  for (const [place, name] of ["red", "green"].entries()) {
    mkdirSync(join(folder, name), { recursive: true });
    for (let index = 0; index < 20; index++) {
      const numbers = Array.from({ length: 3 * 64 }, (_, at) => (at % 3 === place ? 255 - index : index));
      writeFileSync(
        join(folder, name, `${index}.png`),
        pngOfNumbers({ numbers, width: 8, depth: 8, type: "colors" }),
      );
    }
  }
  return folder;
}

test("the guide shows the files of its project", () => {
  assert.deepEqual(files.map(({ path }) => path).sort(), [
    "index.html",
    "src/main.js",
    "src/worker.js",
    "vite.config.js",
  ]);
});

for (const [name, bundle] of Object.entries(bundlers)) {
  test(
    `the guide's page, built by ${name}, trains on chosen pictures and gives a model`,
    needsBrowser,
    async () => {
      const project = makeProject();
      await bundle(project);
      const pictures = makePictures(join(project, "colors"));
      const pages = await openPages();
      try {
        cpSync(join(project, "dist"), pages.folder, { recursive: true });
        const page = await (await pages.browser.newContext()).newPage();
        await page.goto(`${pages.address}/`);
        await page.setInputFiles("#folder", pictures);
        assert.equal(await page.isDisabled("#folder"), true);
        await page.waitForSelector("#download:not([hidden])", { timeout: 240_000 }).catch(async () => {
          assert.fail(String(await page.textContent("#log")));
        });
        const log = String(await page.textContent("#log"));
        assert.match(log, /32 pictures to train on, 8 to test on: green, red/);
        assert.match(log, /epoch 10: loss [\d.]+, test accuracy 100\.0 %/);
        const size = await page.evaluate(async () => {
          const { href } = document.querySelector("#download") as HTMLAnchorElement;
          return (await (await fetch(href)).arrayBuffer()).byteLength;
        });
        assert.ok(size > 10_000);
        // One training at a time: the input is disabled until it ends, and then takes the next folder.
        await page.waitForSelector("#stop:disabled");
        await page.setInputFiles("#folder", makePictures(join(project, "again")));
        assert.equal(await page.isDisabled("#folder"), true);
        await page.click("#stop");
        await page.waitForSelector("#folder:enabled");
        await page.screenshot({ path: process.env.LOWLAND_TEST_SCREENSHOT ?? join(project, "page.png") });
      } finally {
        await pages.close();
      }
    },
  );
}
