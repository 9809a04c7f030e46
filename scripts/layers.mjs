// The architecture as a check: a folder of src/ imports only from itself and from the folders above it in this list,
// folders that compute know nothing of Node, and no files import one another in a circle.
import { readFileSync } from "node:fs";
import { join, posix, relative } from "node:path";
import { files, root } from "./project.mjs";

/** The folders, each below those that it may import. `pure`: it runs wherever JavaScript does. */
const folders = {
  common: "Node",
  onnx: "pure",
  weights: "pure",
  graph: "pure",
  ops: "pure",
  autodiff: "pure",
  optim: "pure",
  lower: "pure",
  runtime: "Node",
  platform: "Node",
  nn: "pure",
  import: "pure",
  quantization: "pure",
  data: "Node",
  train: "pure",
  flatness: "pure",
  theorem: "pure",
  tasks: "pure",
  runs: "Node",
  measure: "Node",
  "model-files": "Node",
  report: "Node",
  paper: "Node",
  playground: "pages",
  cli: "Node",
};
const layers = Object.keys(folders);
export const pureFolders = layers.filter((layer) => folders[layer] === "pure");

/** The modules of package.json's `imports`: what they are in Node, and in a page. */
const platforms = {
  "#platform": ["platform/node.ts", "platform/web.ts"],
  "#stored-sets": ["data/stored-sets.ts", "data/stored-sets.web.ts"],
  "#image-file": ["data/image-file.ts", "data/image-file.web.ts"],
};

/** What pages import, and the playground's page and worker: nothing that they reach uses Node. */
const webEntries = ["index.web.ts", "playground/page.ts", "playground/worker.ts"];

/** Packages that run wherever JavaScript does; pure folders use no other. */
const purePackages = [
  "@bufbuild/protobuf",
  "@noble/hashes",
  "fastest-levenshtein",
  "ml-matrix",
  "pure-rand",
  "zod",
];

/** Packages of pages. */
const webPackages = [...purePackages, "onnxruntime-web", "echarts"];

/** Rules of operators use one another's builders, and only when they are called (src/ops/README.md). */
const mayImportInCircles = /^ops\//;

/** What of Node a source uses: its modules, `Buffer`, `process`. Comments and texts do not count. */
export function nodeUses(source) {
  const code = withoutComments(source)
    .replaceAll(/(?<=(?:from|import)\s*\(?\s*)"(node:[^"]+)"/g, "$1")
    .replaceAll(/"(?:[^"\\\n]|\\.)*"/g, '""');
  return [
    ...new Set(code.match(/\bnode:\w+(?:\/\w+)*|(?<![.\w"'])Buffer\b|(?<![.\w"'])process(?=\.)/g) ?? []),
  ];
}

function withoutComments(source) {
  return source.replaceAll(/\/\*[\s\S]*?\*\/|(?<!:)\/\/.*/g, "");
}

/** The imports and re-exports of a source; `type`: erased when it is compiled; `only`: where it is that file. */
function importsOf(path, source) {
  const pattern =
    /\b(import|export)\s+(type\s+)?([^"'`;()=]*?)\s*from\s*"([^"]+)"|\bimport\s*\(?\s*"([^"]+)"/g;
  return [...withoutComments(source).matchAll(pattern)].flatMap(([, , type, names = "", from, bare]) => {
    const target = from ?? bare;
    const named = /^\{([^}]*)\}$/
      .exec(names.trim())?.[1]
      .split(",")
      .filter((name) => name.trim() !== "");
    const onlyTypes = named?.every((name) => name.trim().startsWith("type "));
    const isType = type !== undefined || onlyTypes;
    const platform = platforms[target];
    if (platform) {
      const [node, web] = platform;
      return [
        { target, path: node, type: isType, only: "Node" },
        { target, path: web, type: isType, only: "web" },
      ];
    }
    const own = target.startsWith(".") ? posix.join(posix.dirname(path), target) : undefined;
    return [{ target, path: own, type: isType }];
  });
}

/**
 * What is wrong with the sources, a sentence each.
 * @param sources path below src/, with slashes → text
 */
export function architectureFaults(sources) {
  const imports = new Map([...sources].map(([path, text]) => [path, importsOf(path, text)]));
  return [
    ...[...sources.keys()].flatMap((path) => layerFaults(path, imports.get(path))),
    ...[...sources].flatMap(([path, text]) => purityFaults(path, text, imports, sources)),
    ...webFaults(imports, sources),
    ...circles(imports).map((circle) => `import circle: ${circle.map((path) => `src/${path}`).join(" → ")}`),
  ];
}

const layerOf = (path) => path.split("/")[0];

function layerFaults(path, imports) {
  if (isDoor(path)) return [];
  const layer = layerOf(path);
  const level = layers.indexOf(layer);
  if (level < 0) return [`src/${layer} is not in the list of layers (scripts/layers.mjs)`];
  return (
    imports
      .filter(({ path: other }) => other !== undefined)
      // The playground is a page like those of other people.
      .filter(({ path: other }) => !(folders[layer] === "pages" && other === "index.web.ts"))
      .filter(({ path: other }) => !layers.slice(0, level + 1).includes(layerOf(other)))
      .map(
        ({ target }) =>
          `src/${path} imports ${target}: ${layer} may import only ${layers.slice(0, level).join(", ")}`,
      )
  );
}

/** Files at the top of src/ are what the package exports, above all layers. */
const isDoor = (path) => !path.includes("/");

const isPure = (path) => pureFolders.includes(layerOf(path));

function purityFaults(path, text, imports, sources) {
  if (!isPure(path)) return [];
  const runs = `${layerOf(path)} runs without Node`;
  return [
    ...nodeUses(text).map((use) => `src/${path} uses ${use}: ${runs}`),
    ...imports.get(path).flatMap(({ target, path: other, type, only }) => {
      if (type || only === "Node" || target.startsWith("node:")) return [];
      const way = other === undefined ? packageUse(target) : wayToNode(other, imports, sources);
      return way ? [`src/${path} imports ${target}${way}: ${runs}`] : [];
    }),
  ];
}

function packageUse(target, packages = purePackages) {
  const pure = packages.some((name) => target === name || target.startsWith(`${name}/`));
  return pure ? undefined : ", a package that is not in the list of pure ones (scripts/layers.mjs)";
}

/** What pages reach, at once or later, and what of Node is in it. */
function webFaults(imports, sources) {
  const faults = [];
  const seen = new Set();
  const visit = (path, entry) => {
    if (seen.has(path) || !sources.has(path)) return;
    seen.add(path);
    const reached = `pages reach it from src/${entry}`;
    for (const use of nodeUses(sources.get(path))) faults.push(`src/${path} uses ${use}: ${reached}`);
    for (const { target, path: other, type, only } of imports.get(path)) {
      if (type || only === "Node" || target.startsWith("node:")) continue;
      if (other !== undefined) visit(other, entry);
      else if (packageUse(target, webPackages))
        faults.push(`src/${path} imports ${target}${packageUse(target, webPackages)}: ${reached}`);
    }
  };
  for (const entry of webEntries) visit(entry, entry);
  return faults;
}

/** How a file comes to use Node: itself, or by what it imports. Pure files answer for themselves. */
function wayToNode(path, imports, sources, seen = new Set()) {
  if (seen.has(path) || isPure(path) || !sources.has(path)) return undefined;
  seen.add(path);
  const [use] = nodeUses(sources.get(path));
  if (use) return `, where src/${path} uses ${use}`;
  for (const { target, path: other, type, only } of imports.get(path)) {
    if (type || only === "Node") continue;
    if (other === undefined && packageUse(target, webPackages))
      return `, where src/${path} imports ${target}`;
    const way = other && wayToNode(other, imports, sources, seen);
    if (way) return way;
  }
  return undefined;
}

/** Sets of files that import one another in a circle, by types or values. */
function circles(imports) {
  const found = [];
  const state = new Map();
  const stack = [];
  const visit = (path) => {
    state.set(path, "open");
    stack.push(path);
    for (const { path: other } of imports.get(path)) {
      if (other === undefined || !imports.has(other)) continue;
      if (state.get(other) === "open") found.push([...stack.slice(stack.indexOf(other)), other]);
      else if (!state.has(other)) visit(other);
    }
    stack.pop();
    state.set(path, "done");
  };
  for (const path of imports.keys()) if (!state.has(path)) visit(path);
  return found.filter((circle) => !circle.every((path) => mayImportInCircles.test(path)));
}

/** The sources of the package: no tests, nothing that only tests use. */
export function packageSources() {
  const all = files("src", ".ts").map((file) => [
    relative(join(root, "src"), file).replaceAll("\\", "/"),
    file,
  ]);
  return new Map(
    all
      .filter(([path]) => !path.startsWith("testing/") && !path.endsWith(".test.ts"))
      .map(([path, file]) => [path, readFileSync(file, "utf8")]),
  );
}

/** Ends the process with a list of every fault of the architecture. */
export function checkLayers() {
  const faults = architectureFaults(packageSources());
  if (faults.length > 0) {
    console.error(faults.join("\n"));
    process.exit(1);
  }
}
