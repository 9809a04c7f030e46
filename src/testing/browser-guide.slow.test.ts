import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { needsBrowser, openPages } from "./chromium.ts";
import { temporaryFolder } from "./cli.ts";
import { pngOfNumbers } from "./png.ts";

// docs/guides/browser.md as a reader follows it: its files, built by Vite, in a browser.

const root = fileURLToPath(new URL("../..", import.meta.url));
const guide = readFileSync(join(root, "docs/guides/browser.md"), "utf8");

/** The files that the guide shows: a path in backticks, a colon, and a block of code. */
const files = [...guide.matchAll(/`([\w./-]+\.(?:js|html))`:\n\n```\w+\n([\s\S]*?)```/g)].map(
  ([, path, code]) => ({ path, code }),
);

test("the guide's page trains on chosen pictures and gives a model", needsBrowser, async () => {
  const project = temporaryFolder();
  for (const { path, code } of files) {
    mkdirSync(dirname(join(project, path)), { recursive: true });
    writeFileSync(join(project, path), code);
  }
  assert.deepEqual(files.map(({ path }) => path).sort(), [
    "index.html",
    "src/main.js",
    "src/worker.js",
    "vite.config.js",
  ]);
  mkdirSync(join(project, "node_modules"));
  writeFileSync(join(project, "package.json"), '{ "name": "flat", "private": true, "type": "module" }');
  symlinkSync(root, join(project, "node_modules", "lowland"), "junction");
  const runtime = join(root, "node_modules", "onnxruntime-web");
  symlinkSync(runtime, join(project, "node_modules", "onnxruntime-web"), "junction");
  const { build } = await import("vite");
  await build({ root: project, logLevel: "error" });

  const pictures = join(project, "colors");
  for (const [place, name] of ["red", "green"].entries()) {
    mkdirSync(join(pictures, name), { recursive: true });
    for (let index = 0; index < 20; index++) {
      const numbers = Array.from({ length: 3 * 64 }, (_, at) => (at % 3 === place ? 255 - index : index));
      writeFileSync(
        join(pictures, name, `${index}.png`),
        pngOfNumbers({ numbers, width: 8, depth: 8, type: "colors" }),
      );
    }
  }
  const pages = await openPages();
  try {
    cpSync(join(project, "dist"), pages.folder, { recursive: true });
    const page = await (await pages.browser.newContext()).newPage();
    await page.goto(`${pages.address}/`);
    await page.setInputFiles("#folder", pictures);
    await page.waitForSelector("#download:not([hidden])", { timeout: 120_000 }).catch(async () => {
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
    await page.screenshot({ path: process.env.LOWLAND_TEST_SCREENSHOT ?? join(project, "page.png") });
  } finally {
    await pages.close();
  }
});
