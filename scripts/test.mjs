// npm test [-- name …] [-- --block 8|16|none]: installs what is missing, then every check but the slow test files
// (*.slow.test.ts). npm run test:all has those too. With names, only the test files whose path holds one of them, slow
// or not. With --block every engine of the tests states that block; src/testing/README.md says how.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { checkLayers } from "./layers.mjs";
import { build, files, install, root, run, runPackage } from "./project.mjs";

const { values, positionals: names } = parseArgs({
  allowPositionals: true,
  options: { all: { type: "boolean", default: false }, block: { type: "string" } },
});
install();
build();
if (names.length === 0) {
  checkLayers();
  runPackage("@biomejs/biome/bin/biome", ["check", "--error-on-warnings", "."]);
  runPackage("knip/bin/knip.js", []);
}
const found = files("dist", ".test.js");
const isSlow = (file) => file.endsWith(".slow.test.js");
const wanted =
  names.length > 0
    ? found.filter((file) => names.some((name) => file.slice(root.length).includes(name)))
    : found.filter((file) => values.all || !isSlow(file));
if (wanted.length === 0) {
  console.error(`No test file's path holds ${names.join(" or ")}.`);
  process.exit(2);
}
// What takes longest begins first, so that no process is left alone with it at the end.
const longest = ["/cli/", "/tasks/", "/optim/", "/flatness/", "/ops/"];
const place = (file) => {
  const at = longest.findIndex((folder) => file.replaceAll("\\", "/").includes(folder));
  return [isSlow(file) ? 0 : 1, at < 0 ? longest.length : at];
};
const inOrder = wanted
  .map((file) => ({ file, at: place(file) }))
  .sort((a, b) => a.at[0] - b.at[0] || a.at[1] - b.at[1])
  .map(({ file }) => file);

// A test that never ends fails by its name, also on a machine with much other work.
const limit = `--test-timeout=${20 * 60_000}`;
run(process.execPath, ["--test", "--test-concurrency=2", limit, ...inOrder], {
  env: environment(values.block),
});
const skipped = found.length - wanted.length;
if (names.length === 0 && skipped > 0)
  console.log(`Skipped ${skipped} slow test files (*.slow.test.ts): npm run test:all`);

/** The tests' environment: with a block, every process of theirs begins with a module that makes engines state it. */
function environment(block) {
  const full = values.all || names.length > 0 ? { LOWLAND_TEST_ALL: "1" } : {};
  if (block === undefined) return { ...process.env, ...full };
  const preload = pathToFileURL(join(root, "dist", "testing", "force-target.js")).href;
  const options = [process.env.NODE_OPTIONS, `--import=${preload}`].filter(Boolean).join(" ");
  return { ...process.env, ...full, NODE_OPTIONS: options, LOWLAND_TEST_BLOCK: block };
}
