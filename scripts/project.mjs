// What every script of this project needs first: the packages installed and the sources compiled.
// Plain JavaScript on Node's own modules, so that it runs in a clone where nothing is installed yet.
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
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

/** Runs one of Lowland's commands with this process's flags, after what is missing has been installed and built. */
export function startLowland(command) {
  install();
  build();
  const lowland = spawn(
    process.execPath,
    [join(root, "dist/cli/main.js"), command, ...process.argv.slice(2)],
    {
      stdio: "inherit",
    },
  );
  // Ctrl-C reaches the child through the terminal; this process only waits for it to finish its sentence.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => lowland.kill("SIGTERM"));
  lowland.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
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

/** Compiles src/ to dist/ when a source or a folder of sources changed since the last build. Type errors end the process. */
export function build() {
  const stamp = playgroundPage;
  const built = existsSync(stamp) ? statSync(stamp).mtimeMs : 0;
  const newest = Math.max(
    ...["tsconfig.json", "package-lock.json"].map((file) => statSync(join(root, file)).mtimeMs),
    // A file that was renamed or removed changes only its folder.
    ...["src", ...readdirSync(join(root, "src"), { recursive: true }).map((path) => join("src", path))].map(
      (path) => statSync(join(root, path)).mtimeMs,
    ),
  );
  if (built > newest) return;
  rmSync(join(root, "dist"), { recursive: true, force: true });
  runPackage("typescript/bin/tsc", ["-p", "tsconfig.json"]);
  embedDigits();
  bundleForPages();
  bundlePlayground();
  chmodSync(join(root, "dist", "cli", "main.js"), 0o755);
}

/** Writes the digits as a module, for pages, which have no files. */
function embedDigits() {
  const text = readFileSync(join(root, "assets", "digits.csv.gz")).toString("base64");
  writeFileSync(join(root, "dist", "data", "digits-base64.js"), `export const digits = "${text}";\n`);
}

/** The library for pages without a bundler, in one file. */
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

/** The playground as a folder for any web server; its page is the last file of a build. */
const playground = join(root, "dist", "playground", "site");
const playgroundPage = join(playground, "index.html");

function bundlePlayground() {
  const { buildSync } = createRequire(import.meta.url)("esbuild");
  buildSync({
    entryPoints: ["page", "worker"].map((name) => join(root, "dist", "playground", `${name}.js`)),
    outdir: playground,
    chunkNames: "parts/[name]-[hash]",
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    logLevel: "error",
  });
  const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  for (const build of ["threaded", "threaded.asyncify"]) {
    const wasm = `ort-wasm-simd-${build}.wasm`;
    copyFileSync(join(runtime, wasm), join(playground, wasm));
  }
  for (const name of ["style.css", "index.html"])
    copyFileSync(join(root, "src", "playground", name), join(playground, name));
}

/** All files below a folder of the project whose names end in `ending`, sorted. */
export function files(folder, ending) {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}
