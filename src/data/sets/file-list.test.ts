import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { UserError } from "../../common/errors.ts";
import { listFromFile } from "./file-list.ts";

const folder = await mkdtemp(join(tmpdir(), "lowland-list-"));
after(() => rm(folder, { recursive: true }));
let made = 0;
async function listOf(content: string, extension = "csv") {
  const path = join(folder, `${made++}.${extension}`);
  await writeFile(path, content);
  return listFromFile(path);
}

describe("a list of pictures", () => {
  test("CSV: quotes, a byte order mark, other separators, columns in any order", async () => {
    for (const content of [
      '\ufefffile,label,split\n"a, b.png",cat,train\nc.png,dog,train\nd.png,dog,test\n',
      'Label;File;Split\r\ncat;"a, b.png";train\r\ndog;c.png;train\r\n\r\ndog;d.png;test\r\n',
    ]) {
      const { classNames, train, validation, test: held } = await listOf(content);
      assert.deepEqual(classNames, ["cat", "dog"]);
      assert.deepEqual(train, [
        { path: join(folder, "a, b.png"), class: 0 },
        { path: join(folder, "c.png"), class: 1 },
      ]);
      assert.deepEqual(validation, []);
      assert.deepEqual(held, [{ path: join(folder, "d.png"), class: 1 }]);
    }
  });

  test("JSON, with paths of its own and labels that are numbers, in their order", async () => {
    const rows = [10, 9, 2, 10, 9, 2].map((label, index) => ({ file: `/elsewhere/${index}.png`, label }));
    const { classNames, train, test: held } = await listOf(JSON.stringify(rows), "json");
    assert.deepEqual(classNames, ["2", "9", "10"]);
    assert.deepEqual([train.length, held.length], [3, 3]);
    assert.ok(train.every(({ path }) => path.startsWith("/elsewhere/")));
  });

  test("val is the test set where there is no other", async () => {
    const { validation, test: held } = await listOf("file,label,split\na,x,train\nb,y,train\nc,y,val\n");
    assert.deepEqual([validation.length, held.length], [0, 1]);
  });

  const refused: Record<string, [content: string, message: RegExp, extension?: string]> = {
    "no label": ["file,class\na.png,cat\n", /line 2: .*the columns are file, label/],
    "an empty file name": ["file,label\n,cat\nb.png,dog\n", /line 2: file: /],
    "an unknown split": ["file,label,split\na,x,train\nb,y,trian\n", /line 3: split: /],
    "one label": ["file,label\na,x\nb,x\n", /has one label, x; a data set needs two classes or more/],
    "no rows": ["file,label\n", /has no rows/],
    "labels that differ by case": ["file,label\na,x\nb,X\n", /the classes "X" and "x" differ by case only/],
    "a label without training": [
      "file,label,split\na,x,train\nb,y,test\n",
      /the label "y" has no row with the split "train"/,
    ],
    "a picture listed twice": [
      "file,label\na.png,x\n\nb.png,y\n./a.png,y\n",
      /, line 5: \.\/a\.png is already listed in line 2; list each picture once/,
    ],
    "some with a split": [
      "file,label,split\na,x,train\nb,y,\n",
      /some rows have a split and others have none/,
    ],
    "rows of other lengths": ["file,label\na,x,1\n", /is not CSV: /],
    "JSON that is none": ["[{", /is not JSON: /, "json"],
    "JSON that is no array": ["{}", /has to hold an array of/, "json"],
    "JSON of something else": ['["a.png"]', /element 0: /, "json"],
  };
  for (const [name, [content, message, extension]] of Object.entries(refused)) {
    test(`refused: ${name}`, () =>
      assert.rejects(
        listOf(content, extension),
        (error) => error instanceof UserError && message.test(error.message),
      ));
  }

  test("refused: no file", () => assert.rejects(listFromFile(join(folder, "none.csv")), /there is no file/));
});
