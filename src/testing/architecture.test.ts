import assert from "node:assert/strict";
import { describe, test } from "node:test";

// scripts/layers.mjs, which is plain JavaScript and not compiled.
const {
  architectureFaults,
  packageSources,
  pureFolders,
}: {
  architectureFaults: (sources: ReadonlyMap<string, string>) => string[];
  packageSources: () => Map<string, string>;
  pureFolders: readonly string[];
} = await import(new URL("../../scripts/layers.mjs", import.meta.url).href);

const sources = packageSources();

/** The faults of the package with more sources, or others in their place. */
function faultsWith(planted: Record<string, string>): string[] {
  return architectureFaults(new Map([...sources, ...Object.entries(planted)]));
}

test("the package has no fault", () => {
  assert.deepEqual(architectureFaults(sources), []);
});

describe("in each folder that runs without Node", () => {
  for (const folder of pureFolders) {
    const file = `${folder}/planted.ts`;
    const refused = (text: string, use: string) =>
      assert.deepEqual(faultsWith({ [file]: text }), [`src/${file} ${use}: ${folder} runs without Node`]);

    test(`${folder}: node:, Buffer and process are refused`, () => {
      refused('import { readFile } from "node:fs/promises";', "uses node:fs/promises");
      refused("export const bytes = Buffer.alloc(1);", "uses Buffer");
      refused("export const seed = process.env.SEED;", "uses process");
    });

    test(`${folder}: packages and files that use Node are refused`, () => {
      refused(
        'import sharp from "sharp";',
        "imports sharp, a package that is not in the list of pure ones (scripts/layers.mjs)",
      );
      refused(
        'import { replaceFile } from "../common/files.ts";',
        `imports ../common/files.ts, where src/common/files.ts uses ${firstUse("common/files.ts")}`,
      );
      assert.deepEqual(faultsWith({ [file]: 'import type { Stats } from "../common/files.ts";' }), []);
    });
  }

  function firstUse(path: string): string {
    const [, use] = /from "(node:[^"]+)"/.exec(sources.get(path) ?? "") ?? [];
    assert.ok(use, `${path} uses Node`);
    return use;
  }
});

test("an import from a folder below is refused", () => {
  const [fault] = faultsWith({ "graph/planted.ts": 'import type { Task } from "../tasks/task.ts";' });
  assert.match(
    fault ?? "",
    /^src\/graph\/planted\.ts imports \.\.\/tasks\/task\.ts: graph may import only common, onnx, /,
  );
});

test("files that import one another are refused, but for rules of operators", () => {
  const circle = (folder: string) => ({
    [`${folder}/one.ts`]: 'import { two } from "./two.ts"; export const one = 1;',
    [`${folder}/two.ts`]: 'export type { one } from "./one.ts"; export const two = 2;',
  });
  assert.deepEqual(faultsWith(circle("graph")), [
    "import circle: src/graph/one.ts → src/graph/two.ts → src/graph/one.ts",
  ]);
  assert.deepEqual(faultsWith(circle("ops")), []);
});
