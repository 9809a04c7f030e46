// Contenders in pages of the system's Chromium: each measurement is a worker of a new page.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const here = import.meta.dirname;
const { bundle, executable, openPages } = await import(
  pathToFileURL(resolve(here, "../../dist/testing/chromium.js")).href
);

/** The browser's path; undefined where there is none. */
export const browser = executable;

/**
 * Opens the browser, with a worker for each of the modules of this folder that are named.
 * @returns `measure` gives `{ losses, milliseconds }`, or `{ failed }` with the reason
 */
export async function openContenders(modules, { longest }) {
  const pages = await openPages();
  for (const name of modules) {
    const source = [
      'import * as lowland from "lowland";',
      `import { open } from ${JSON.stringify(join(here, `${name}.mjs`))};`,
      `import { answer } from ${JSON.stringify(join(here, "worker.mjs"))};`,
      "answer(lowland, open);",
    ];
    await bundle(source.join("\n"), join(pages.folder, `${name}-worker.js`));
  }
  if (modules.includes("tfjs")) {
    const wasm = join(here, "node_modules/@tensorflow/tfjs-backend-wasm/dist");
    for (const name of readdirSync(wasm).filter((name) => name.endsWith(".wasm")))
      cpSync(join(wasm, name), join(pages.folder, name));
  }
  return {
    version: pages.browser.version(),
    async measure(module, settings, { isolated = false } = {}) {
      const page = await pages.open({ isolated });
      try {
        return await page.evaluate(measureInPage, { module, settings, longest });
      } finally {
        await page.context().close();
      }
    },
    close: () => pages.close(),
  };
}

/** Inside a page. */
function measureInPage({ module, settings, longest }) {
  const worker = new Worker(`/${module}-worker.js`, { type: "module" });
  let steps = 0;
  return new Promise((resolve) => {
    const failed = (reason) => resolve({ failed: reason });
    setTimeout(() => failed(`took ${steps} steps in ${longest} s`), 1000 * longest);
    worker.onerror = ({ message }) => failed(message);
    worker.onmessage = ({ data }) => {
      if (data.steps === undefined) resolve(data);
      else steps = data.steps;
    };
    worker.postMessage(settings);
  }).finally(() => worker.terminate());
}

/** Installs the peers of this folder's package.json, once. */
export function installPeers() {
  const installed = join(here, "node_modules", ".package-lock.json");
  const isCurrent =
    existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(here, "package.json")).mtimeMs;
  if (isCurrent) return;
  console.error("Installing TensorFlow.js and jax-js into benchmarks/web (68 MB, once) …");
  const flags = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const isWindows = process.platform === "win32";
  const npm = isWindows ? "npm.cmd" : "npm";
  const { status, error } = spawnSync(npm, ["install", ...flags], {
    cwd: here,
    shell: isWindows,
    stdio: ["ignore", 2, 2],
  });
  if (status !== 0) throw new Error(`the peers could not be installed${error ? `: ${error.message}` : ""}`);
}

/** Versions of the peers, as this folder's package.json states them. */
export function peerVersions() {
  const { dependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  return `TensorFlow.js ${dependencies["@tensorflow/tfjs-core"]}, jax-js ${dependencies["@jax-js/jax"]}`;
}
