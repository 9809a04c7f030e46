// The architecture as a check: a folder of src/ imports only from itself and from the folders above it in this list, and
// the folders that compute know nothing of Node.
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { files, root } from "./project.mjs";

const layers = [
  "common",
  "onnx",
  "weights",
  "graph",
  "ops",
  "autodiff",
  "optim",
  "lower",
  "runtime",
  "nn",
  "import",
  "data",
  "train",
  "flatness",
  "tasks",
  "report",
  "cli",
];

/** Folders that run wherever JavaScript does. */
const withoutNode = new Set(["onnx", "graph", "ops", "autodiff", "optim", "lower", "nn", "flatness"]);

/** What of Node a source uses: its modules, `Buffer`, `process`. Comments and texts do not count. */
export function nodeUses(source) {
  const code = source
    .replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, "")
    .replaceAll(/(?<=(?:from|import)\s*\(?\s*)"(node:[^"]+)"/g, "$1")
    .replaceAll(/"(?:[^"\\\n]|\\.)*"/g, '""');
  return [
    ...new Set(code.match(/\bnode:\w+(?:\/\w+)*|(?<![.\w"'])Buffer\b|(?<![.\w"'])process(?=\.)/g) ?? []),
  ];
}

/** Ends the process with a list of every import that points downward and every use of Node where there is none. */
export function checkLayers() {
  const source = join(root, "src");
  const wrong = [];
  for (const file of files("src", ".ts")) {
    const path = relative(source, file).replaceAll("\\", "/");
    if (path.startsWith("testing/") || path.endsWith(".test.ts") || !path.includes("/")) continue;
    const layer = path.split("/")[0];
    const level = layers.indexOf(layer);
    if (level < 0) wrong.push(`src/${layer} is not in the list of layers (scripts/layers.mjs)`);
    const text = readFileSync(file, "utf8");
    if (withoutNode.has(layer)) {
      for (const use of nodeUses(text)) wrong.push(`src/${path} uses ${use}: ${layer} runs without Node`);
    }
    for (const [, target] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
      const other = relative(source, resolve(dirname(file), target))
        .replaceAll("\\", "/")
        .split("/")[0];
      if (layers.indexOf(other) < 0 || layers.indexOf(other) > level) {
        wrong.push(
          `src/${path} imports ${target}: ${layer} may import only ${layers.slice(0, level).join(", ")}`,
        );
      }
    }
  }
  if (wrong.length > 0) {
    console.error(wrong.join("\n"));
    process.exit(1);
  }
}
