import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { UserError } from "../../common/errors.ts";
import type { ImageClasses } from "../source.ts";
import { DatasetUnavailable } from "../sources.ts";
import { loadCifar } from "./cifar-set.ts";

const datasets = fileURLToPath(new URL("../../../fixtures/datasets/", import.meta.url));
const { cifar } = JSON.parse(await readFile(join(datasets, "expected.json"), "utf8"));

const folders: string[] = [];
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));
async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "lowland-cifar-"));
  folders.push(folder);
  return folder;
}

/** No place that is reached without the user's folder. */
const nowhere = async () => ({
  cacheFolder: join(await temporary(), "none"),
  address: "http://127.0.0.1:9/",
  timeouts: { answer: 2000, idle: 2000 },
});

function check({ train, test: held }: { train: ImageClasses; test: ImageClasses }) {
  assert.deepEqual([train.count, held.count, train.classNames.length], [25, 5, 10]);
  for (const { file, record, label, name } of cifar.cifar10) {
    const batch = /data_batch_(\d)/.exec(file);
    const [source, index] = batch ? [train, (Number(batch[1]) - 1) * 5 + record] : [held, record];
    assert.equal(source.labels[index], label);
    assert.equal(source.classNames[label], name);
    assert.deepEqual(source.read(index).image.shape, [3, 32, 32]);
  }
}

describe("CIFAR's files", () => {
  test("in the user's folder: unpacked, in their folder, in the archive", async () => {
    check(
      await loadCifar("cifar10", { dataDirectory: join(datasets, "cifar-10-batches-bin") }, await nowhere()),
    );
    const own = await temporary();
    await cp(join(datasets, "cifar-10-binary.tar.gz"), join(own, "cifar-10-binary.tar.gz"));
    check(await loadCifar("cifar10", { dataDirectory: own }, await nowhere()));
    await cp(join(datasets, "cifar-10-batches-bin"), join(own, "cifar-10-batches-bin"), { recursive: true });
    check(await loadCifar("cifar10", { dataDirectory: own }, await nowhere()));
    const hundred = await loadCifar(
      "cifar100",
      { dataDirectory: join(datasets, "cifar-100-binary") },
      await nowhere(),
    );
    assert.equal(hundred.train.classNames.length, new Set(hundred.train.classNames).size);
    assert.equal(hundred.train.classNames.length, 100);
    assert.deepEqual(
      [...hundred.train.labels],
      cifar.cifar100
        .filter(({ file }: { file: string }) => file === "train.bin")
        .map(({ fine }: { fine: number }) => fine),
    );
  });

  test("downloaded, checked, and told from something else", async (t) => {
    const archive = await readFile(join(datasets, "cifar-10-binary.tar.gz"));
    const asked: (string | undefined)[] = [];
    const server = createServer((request, answer) => {
      asked.push(request.url);
      answer.end(archive);
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    t.after(() => server.close());
    const places = {
      ...(await nowhere()),
      address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    };
    const checksum = createHash("sha256").update(archive).digest("hex");
    check(await loadCifar("cifar10", {}, { ...places, checksum }));
    assert.deepEqual(asked, ["/cifar-10-binary.tar.gz"]);
    // With the real set's checksum this archive is another one.
    await assert.rejects(loadCifar("cifar10", {}, places), (error) => {
      assert.ok(error instanceof DatasetUnavailable);
      assert.match(error.message, /has the SHA-256 .*, wanted c4a38c50/);
      return true;
    });
  });

  test("nowhere", async () => {
    const dataDirectory = await temporary();
    await assert.rejects(loadCifar("cifar10", { dataDirectory }, await nowhere()), (error) => {
      assert.ok(error instanceof DatasetUnavailable);
      assert.match(error.message, /holds neither data_batch_1\.bin nor cifar-10-binary\.tar\.gz/);
      return true;
    });
    await writeFile(join(dataDirectory, "data_batch_1.bin"), "no records");
    await assert.rejects(loadCifar("cifar10", { dataDirectory }, await nowhere()), UserError);
  });
});
