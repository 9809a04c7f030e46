// What every script of this project needs first: the packages installed and the sources compiled.
// Plain JavaScript on Node's own modules, so that it runs in a clone where nothing is installed yet.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a command in the project folder with its output shown; ends this process with the command's code when it fails. */
export function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (error) {
    console.error(`${command}: ${error.message}`);
    process.exit(1);
  }
  if (status !== 0) process.exit(status ?? 1);
}

/** Runs a locally installed package's command with this Node. */
export function runPackage(script, args) {
  run(process.execPath, [join(root, "node_modules", script), ...args]);
}

/** Installs the packages of package-lock.json when they are missing or older than it; the lock file stays as it is. */
export function install() {
  const installed = join(root, "node_modules", ".package-lock.json");
  const lock = join(root, "package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  console.error("Installing packages (once) …");
  // Not `npm ci`, which refuses a lock file without the packages of other platforms that tools bring along.
  run(process.platform === "win32" ? "npm.cmd" : "npm", ["install", "--no-save", "--loglevel=error"], {
    shell: process.platform === "win32",
    stdio: ["ignore", 2, 2],
    // On Linux x64 the script of onnxruntime-node would fetch GPU libraries, which nothing here uses.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" },
  });
}

/** Compiles src/ to dist/ when a source is newer than the last build. Type errors end the process. */
export function build() {
  const stamp = pageBundle;
  const built = existsSync(stamp) ? statSync(stamp).mtimeMs : 0;
  const newest = Math.max(
    ...["tsconfig.json", "package-lock.json"].map((file) => statSync(join(root, file)).mtimeMs),
    ...files("src", "").map((file) => statSync(file).mtimeMs),
  );
  if (built > newest) return;
  rmSync(join(root, "dist"), { recursive: true, force: true });
  runPackage("typescript/bin/tsc", ["-p", "tsconfig.json"]);
  embedDigits();
  bundleForPages();
  chmodSync(join(root, "dist", "cli", "main.js"), 0o755);
}

/** Writes the digits as a module, for pages, which have no files. */
function embedDigits() {
  const text = readFileSync(join(root, "assets", "digits.csv.gz")).toString("base64");
  writeFileSync(join(root, "dist", "data", "digits-base64.js"), `export const digits = "${text}";\n`);
}

/** The library for pages without a bundler, in one file; the last file of a build. */
const pageBundle = join(root, "dist", "lowland.web.min.js");

function bundleForPages() {
  const { buildSync } = createRequire(import.meta.url)("esbuild");
  buildSync({
    entryPoints: [join(root, "dist", "index.web.js")],
    outfile: pageBundle,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    external: ["onnxruntime-web"],
    logLevel: "error",
  });
}

/** All files below a folder of the project whose names end in `ending`, sorted. */
export function files(folder, ending) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}
