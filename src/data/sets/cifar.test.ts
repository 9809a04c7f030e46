import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { UserError } from "../../common/errors.ts";
import { type CifarKind, parseCifar } from "./cifar.ts";

const datasets = fileURLToPath(new URL("../../../fixtures/datasets/", import.meta.url));
const { cifar, cifarFlawed } = JSON.parse(await readFile(join(datasets, "expected.json"), "utf8"));

interface Expected {
  file: string;
  record: number;
  label?: number;
  fine?: number;
  mean: number[];
  /** Means of each channel over the left top, right top, left bottom and right bottom. */
  quarters: number[][];
}

function assertRounded(actual: number[], wanted: number[], error: number, what: string) {
  for (const [channel, value] of actual.entries())
    assert.ok(Math.abs(value - wanted[channel]) <= error, `${what}: ${actual}, expected ${wanted}`);
}

describe("CIFAR's binary files", () => {
  const cases: [CifarKind, string, Expected[]][] = [
    ["cifar10", "cifar-10-batches-bin", cifar.cifar10],
    ["cifar100", "cifar-100-binary", cifar.cifar100],
  ];
  for (const [kind, folder, records] of cases) {
    test(`${kind}: every record, its label, its colors and where they are`, async () => {
      for (const { file, record, label, fine, mean, quarters } of records) {
        const { labels, images } = parseCifar(await readFile(join(datasets, folder, file)), kind, file);
        assert.equal(labels[record], fine ?? label);
        const meansOver = (rows: [number, number], columns: [number, number]) =>
          [0, 1, 2].map((channel) => {
            let sum = 0;
            for (let row = rows[0]; row < rows[1]; row++)
              for (let column = columns[0]; column < columns[1]; column++)
                sum += images[((record * 3 + channel) * 32 + row) * 32 + column];
            return sum / ((rows[1] - rows[0]) * (columns[1] - columns[0]));
          });
        const halves: [number, number][] = [
          [0, 16],
          [16, 32],
        ];
        const found = halves.flatMap((rows) => halves.map((columns) => meansOver(rows, columns)));
        // The expected numbers are rounded to two digits and to one.
        assertRounded(meansOver([0, 32], [0, 32]), mean, 0.0051, `${file} ${record}`);
        for (const [index, quarter] of quarters.entries())
          assertRounded(found[index], quarter, 0.051, `${file} ${record}, quarter ${index}`);
      }
      for (const file of new Set(records.map((each) => each.file))) {
        const { count } = parseCifar(await readFile(join(datasets, folder, file)), kind, file);
        assert.equal(count, records.filter((each) => each.file === file).length, file);
      }
    });
  }

  const says: Record<string, RegExp> = {
    "cifar-flawed/truncated.bin":
      /truncated\.bin has \d+ bytes, which is not a whole number of records of 3073 bytes/,
    "cifar-flawed/label-out-of-range.bin": /record 1 has label 10; there are 10 classes \(0 … 9\)/,
    "cifar-flawed/empty.bin": /empty\.bin is empty/,
    "cifar-flawed/python-version": /from the Python version of the data set; the binary version is needed/,
  };
  for (const { file } of cifarFlawed as { file: string }[]) {
    test(`refused: ${file}`, async () => {
      const bytes = await readFile(join(datasets, file));
      assert.throws(
        () => parseCifar(bytes, "cifar10", file),
        (error) => error instanceof UserError && says[file].test(error.message),
      );
    });
  }
});
