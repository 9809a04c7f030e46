import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, delimiter, dirname, extname, join } from "node:path";
import { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium, type Page } from "playwright-core";

import { loadDataset, openEngine, type RunSummary, type TrainOptions, tensorData } from "../index.ts";

// The library in a real browser: a bundle of it, a server, and the Chromium of the system.

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The browser of the system; nothing where there is none. */
export const executable = (process.env.PATH ?? "")
  .split(delimiter)
  .flatMap((folder) => ["chromium", "chromium-browser", "google-chrome"].map((name) => join(folder, name)))
  .find(existsSync);

/** Options of tests that need a browser. */
export const needsBrowser = {
  skip: executable === undefined && "no Chromium is installed here (apt-get install chromium)",
};

/** Arguments of a browser with WebGPU and without a GPU: its own Vulkan driver, which computes on the processor. */
export const softwareGpu = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
];

/** The library, as the pages of tests hold it. */
export type Lowland = typeof import("../index.web.ts");

/** Inside a page: what {@link openPages} has put there. */
declare global {
  var lowland: Lowland;
}

export interface Pages {
  browser: Browser;
  /** Opens a page with the library in `globalThis.lowland`. Its errors fail what waits for it. */
  open(options?: { isolated?: boolean }): Promise<Page>;
  /** Address of the server, without the slash at its end. */
  address: string;
  /** A folder that the server shows. */
  folder: string;
  close(): Promise<void>;
}

/**
 * Starts the browser and a server with a bundle of the library.
 * @param args further arguments of the browser
 */
export async function openPages(args: readonly string[] = []): Promise<Pages> {
  const folder = await mkdtemp(join(tmpdir(), "lowland-web-"));
  await bundle(
    'import * as lowland from "lowland"; globalThis.lowland = lowland;',
    join(folder, "lowland.js"),
  );
  const server = await serve(folder);
  const browser = await chromium.launch({ executablePath: executable, args: ["--no-sandbox", ...args] });
  const { port } = server.address() as AddressInfo;
  const address = `http://localhost:${port}`;
  return {
    browser,
    address,
    folder,
    async open({ isolated = false } = {}) {
      const page = await (await browser.newContext()).newPage();
      page.on("pageerror", (error) => console.error(error));
      await page.goto(`${address}/${isolated ? "isolated" : "page"}.html`);
      await page.waitForFunction("globalThis.lowland !== undefined");
      return page;
    },
    async close() {
      await browser.close();
      server.closeAllConnections();
      server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Inside a `describe`: opens the pages and one of them before its tests, and closes them after. */
export function pagesOfTests(): { readonly pages: Pages; readonly page: Page } {
  const opened: { pages?: Pages; page?: Page } = {};
  before(async () => {
    opened.pages = await openPages();
    opened.page = await opened.pages.open();
  });
  after(() => opened.pages?.close());
  return opened as { pages: Pages; page: Page };
}

/** Bundles a module as a page's bundler does, ONNX Runtime's JavaScript included. */
export async function bundle(source: string, outfile: string): Promise<void> {
  await build({
    stdin: { contents: source, resolveDir: join(root, "examples"), loader: "js" },
    bundle: true,
    format: "esm",
    platform: "browser",
    // ONNX Runtime starts its threads with the file that it is in.
    splitting: true,
    outdir: dirname(outfile),
    entryNames: basename(outfile, ".js"),
    logLevel: "error",
  });
}

/** What is compared of a training run. */
export interface Losses {
  losses: number[];
  metrics: Record<string, number> | undefined;
  device?: RunSummary["device"];
}

/** Trains digits in a page with the method that a document names, `sgd` or `bilateral-sam`. */
export async function trainInPage(
  page: Page,
  settings: Omit<TrainOptions, "data" | "model" | "optimizer"> & { model: string; method?: string },
): Promise<Losses & { model: Uint8Array }> {
  const { model, ...found } = await page.evaluate(async ({ method, ...settings }) => {
    const losses: number[] = [];
    const onStep = ({ loss }: { loss: number }) => losses.push(loss);
    const optimizer = method === undefined ? {} : { optimizer: { method } as { method: "sgd" } };
    const { summary, model } = await globalThis.lowland.train({
      ...{ ...settings, ...optimizer, data: "digits", onStep },
    });
    return { losses, metrics: summary?.metrics, device: summary?.device, model: Array.from(model) };
  }, settings);
  return { ...found, model: Uint8Array.from(model) };
}

/**
 * Asserts that a page has trained as Node has: the losses of the first five steps to 1e-5, the accuracy exactly, and the
 * logits that the files give.
 */
export async function assertTrainsAlike(
  web: Losses & { model: Uint8Array },
  node: { losses: readonly number[]; model: Uint8Array; summary?: { metrics: Record<string, number> } },
  tolerance = 1e-5,
): Promise<void> {
  assert.equal(web.losses.length, node.losses.length);
  for (const [step, loss] of node.losses.slice(0, 5).entries())
    assert.ok(Math.abs(web.losses[step] - loss) < 1e-5, `step ${step + 1}: ${web.losses[step]}, not ${loss}`);
  assert.deepEqual(web.metrics, node.summary?.metrics);
  const own = await logitsOf(node.model);
  const differences = (await logitsOf(web.model)).map((logit, at) => Math.abs(logit - own[at]));
  const largest = Math.max(...differences);
  assert.ok(largest <= tolerance, `logits differ by ${largest}`);
}

/** What a file gives for the test images of the digits, in Node. */
async function logitsOf(model: Uint8Array): Promise<Float32Array> {
  const { test } = await loadDataset("digits");
  const pixels = Array.from({ length: test.count }, (_, index) => [...test.read(index).image.data]).flat();
  const engine = openEngine({ threads: 1 });
  try {
    await engine.load("model", model);
    const input = tensorData(pixels, [test.count, 1, 8, 8], "float32");
    return (await engine.run("model", { input })).outputs.logits.data as Float32Array;
  } finally {
    await engine.close();
  }
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".css": "text/css",
};

const html = '<!doctype html><meta charset="utf-8"><script type="module" src="/lowland.js"></script>';

/** Shows the files of a folder; ONNX Runtime's WebAssembly is at every address that ends in its name. */
async function serve(folder: string): Promise<Server> {
  const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  const server = createServer(async ({ url = "/" }, response) => {
    const { pathname } = new URL(url, "http://localhost");
    const name = pathname.endsWith("/") ? `${pathname}index.html` : pathname;
    const isRuntime = name.endsWith(".wasm");
    const path =
      isRuntime && !(await isFile(join(folder, name)))
        ? join(runtime, name.slice(name.lastIndexOf("/") + 1))
        : join(folder, name);
    const isBlank = name === "/page.html" || name === "/isolated.html";
    if (name !== "/page.html") {
      response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
      response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    }
    response.setHeader("Content-Type", types[extname(name)] ?? "application/octet-stream");
    if (isBlank) return response.end(html);
    try {
      response.end(await readFile(path));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  return server;
}

function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
