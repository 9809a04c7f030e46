// npm test [-- name …]: installs what is missing, then every check. With names, only the test files whose path holds one of them.

import { checkLayers } from "./layers.mjs";
import { build, files, install, root, run, runPackage } from "./project.mjs";

const names = process.argv.slice(2);
install();
build();
if (names.length === 0) {
  checkLayers();
  runPackage("@biomejs/biome/bin/biome", ["check", "--error-on-warnings", "."]);
  runPackage("knip/bin/knip.js", []);
}
const tests = files("dist", ".test.js").filter(
  (file) => names.length === 0 || names.some((name) => file.slice(root.length).includes(name)),
);
if (tests.length === 0) {
  console.error(`No test file's path holds ${names.join(" or ")}.`);
  process.exit(2);
}
run(process.execPath, ["--test", "--test-concurrency=2", ...tests]);
