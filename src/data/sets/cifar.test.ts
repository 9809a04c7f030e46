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
}

describe("CIFAR's binary files", () => {
  const cases: [CifarKind, string, Expected[]][] = [
    ["cifar10", "cifar-10-batches-bin", cifar.cifar10],
    ["cifar100", "cifar-100-binary", cifar.cifar100],
  ];
  for (const [kind, folder, records] of cases) {
    test(kind, async () => {
      for (const { file, record, label, fine, mean } of records) {
        const { labels, images } = parseCifar(await readFile(join(datasets, folder, file)), kind, file);
        assert.equal(labels[record], fine ?? label);
        const size = 32 * 32;
        const means = [0, 1, 2].map((channel) => {
          const plane = images.subarray((record * 3 + channel) * size, (record * 3 + channel + 1) * size);
          return plane.reduce((sum, value) => sum + value, 0) / size;
        });
        for (const [channel, value] of means.entries())
          assert.ok(Math.abs(value - mean[channel]) < 0.006, `${file} ${record}: ${means}, expected ${mean}`);
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
