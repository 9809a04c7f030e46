import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { gzipSync } from "node:zlib";
import { UserError } from "../../common/errors.ts";
import type { loadDataset } from "../catalogue.ts";
import { DatasetUnavailable, type LoadOptions } from "../sources.ts";
import { loadMnist, type MnistPlaces } from "./mnist-set.ts";

// A data set of three and two images of 2×3 pixels stands for the real one.
const idx = (shape: number[], data: number[]) =>
  Uint8Array.of(0, 0, 8, shape.length, ...shape.flatMap((size) => [0, 0, 0, size]), ...data);
const files: Record<string, Uint8Array> = {
  "train-images-idx3-ubyte": idx(
    [3, 2, 3],
    [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15, 250, 251, 252, 253, 254, 255],
  ),
  "train-labels-idx1-ubyte": idx([3], [9, 0, 4]),
  "t10k-images-idx3-ubyte": idx([2, 2, 3], [7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8]),
  "t10k-labels-idx1-ubyte": idx([2], [1, 2]),
};
const checksums = Object.fromEntries(
  Object.entries(files).map(([name, bytes]) => [name, createHash("sha256").update(bytes).digest("hex")]),
);

const root = mkdtempSync(join(tmpdir(), "lowland-test-"));
after(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

function newFolder(): string {
  const folder = join(root, `${folders++}`);
  mkdirSync(folder);
  return folder;
}

/** A folder with the four files gzipped; `changed` replaces the stored bytes of some, or leaves one out. */
function folderOfFiles(changed: Record<string, Uint8Array | undefined> = {}): string {
  const folder = newFolder();
  for (const [name, bytes] of Object.entries(files)) {
    const stored = `${name}.gz` in changed ? changed[`${name}.gz`] : gzipSync(bytes);
    if (stored) writeFileSync(join(folder, `${name}.gz`), stored);
  }
  return folder;
}

/** Loads with places that have nothing unless told otherwise. Returns what came and the lines of the log. */
async function load(
  { systemFolder = join(root, "nowhere"), ...places }: Partial<MnistPlaces> & { systemFolder?: string },
  options: LoadOptions = {},
) {
  const lines: string[] = [];
  const debian = {
    package: "p",
    folder: systemFolder,
    aptGet: "no-such-apt-get",
    dpkgDeb: "no-such-dpkg",
    timeout: 5000,
  };
  const all = {
    cacheFolder: join(newFolder(), "cache"),
    addresses: [],
    timeouts: { answer: 5000, idle: 5000 },
    debian,
    checksums,
    ...places,
  };
  const result = await loadMnist("fashion-mnist", { log: (line) => lines.push(line), ...options }, all).catch(
    (error) => error,
  );
  return { result, lines, cacheFolder: all.cacheFolder };
}

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

const served: RequestListener = (request, response) => {
  const stored = gzipSync(files[request.url!.slice(1).replace(".gz", "")]!);
  response.setHeader("content-length", stored.length);
  response.end(stored);
};

function assertLoaded(result: Awaited<ReturnType<typeof loadDataset>>) {
  if (result instanceof Error) throw result;
  const { train, test } = result;
  assert.deepEqual(
    [train.count, train.channels, train.height, train.width, train.maximum],
    [3, 1, 2, 3, 255],
  );
  assert.deepEqual([...train.labels], [9, 0, 4]);
  assert.deepEqual([...train.read(2).image.data], [250, 251, 252, 253, 254, 255]);
  assert.deepEqual(
    [...test.read(0).image.data, ...test.read(1).image.data],
    [7, 7, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8],
  );
  assert.deepEqual([...test.labels], [1, 2]);
  assert.equal(train.classNames[9], "Ankle boot");
}

test("a folder of the user's comes before the system folder and is kept in the cache, nothing else with it", async () => {
  const { result, lines, cacheFolder } = await load(
    { systemFolder: folderOfFiles({ "t10k-labels-idx1-ubyte.gz": Uint8Array.of(1) }) },
    { dataDirectory: folderOfFiles() },
  );
  assertLoaded(result);
  assert.equal(lines.length, 1);
  assert.match(
    lines[0]!,
    /^Fashion-MNIST not from the cache .*: train-images-idx3-ubyte\(\.gz\) is not there/,
  );
  assert.deepEqual(readdirSync(cacheFolder).toSorted(), Object.keys(files).toSorted());
  for (const [name, bytes] of Object.entries(files)) {
    assert.deepEqual(new Uint8Array(readFileSync(join(cacheFolder, name))), bytes);
  }
  const again = await load({ cacheFolder });
  assertLoaded(again.result);
  assert.deepEqual(again.lines, []);
});

test("files are also taken without .gz", async () => {
  const folder = newFolder();
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  assertLoaded((await load({ systemFolder: folder })).result);
});

test("a user's folder that lacks a file is passed over in one line", async () => {
  const dataDirectory = folderOfFiles({ "t10k-images-idx3-ubyte.gz": undefined });
  const { result, lines } = await load({ systemFolder: folderOfFiles() }, { dataDirectory });
  assertLoaded(result);
  assert.equal(
    lines[1],
    `Fashion-MNIST not from the data directory ${dataDirectory}: t10k-images-idx3-ubyte(.gz) is not there`,
  );
});

test("a damaged file in the user's folder is the user's mistake", async () => {
  const stored = gzipSync(files["train-labels-idx1-ubyte"]!);
  const truncated = { "train-labels-idx1-ubyte.gz": stored.subarray(0, stored.length - 9) };
  const other = { "train-labels-idx1-ubyte.gz": gzipSync(idx([3], [9, 0, 5])) };
  for (const [changed, message] of [
    [
      truncated,
      /train-labels-idx1-ubyte\.gz \(\d+ bytes\) cannot be unpacked: unexpected end of file; replace/,
    ],
    [other, new RegExp(`SHA-256 [0-9a-f]{64}, wanted ${checksums["train-labels-idx1-ubyte"]}; replace`)],
  ] as const) {
    const dataDirectory = folderOfFiles(changed);
    const { result } = await load({ systemFolder: folderOfFiles() }, { dataDirectory });
    assert.ok(result instanceof UserError, String(result));
    assert.match(result.message, message);
    assert.ok(result.message.includes(dataDirectory));
  }
});

test("a damaged cache is reported in one line, passed over and put right", async () => {
  for (const stored of [
    gzipSync(new Uint8Array(99)),
    gzipSync(new Uint8Array(99)).subarray(0, 20),
    new Uint8Array(0),
  ]) {
    const cacheFolder = folderOfFiles({ "train-images-idx3-ubyte.gz": stored });
    const { result, lines } = await load({ cacheFolder, systemFolder: folderOfFiles() });
    assertLoaded(result);
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /not from the cache .*train-images-idx3-ubyte\.gz/);
    assert.deepEqual((await load({ cacheFolder })).lines, []);
  }
});

test("a cache that cannot be written is no obstacle", async () => {
  const file = join(newFolder(), "file");
  writeFileSync(file, "");
  const { result, lines } = await load({ cacheFolder: join(file, "cache"), systemFolder: folderOfFiles() });
  assertLoaded(result);
  assert.match(lines.at(-1)!, /^Fashion-MNIST not kept in the cache /);
});

test("download: all files arrive, progress ends at the total, the cache is filled", async (t) => {
  const seen: (number | undefined)[][] = [];
  const { result, cacheFolder } = await load(
    { addresses: [await serve(t, served)] },
    { onProgress: (bytes, total) => seen.push([bytes, total]) },
  );
  assertLoaded(result);
  const total = Object.values(files).reduce((sum, bytes) => sum + gzipSync(bytes).length, 0);
  assert.deepEqual(seen.at(-1), [total, total]);
  assert.deepEqual(readdirSync(cacheFolder).toSorted(), Object.keys(files).toSorted());
});

test("download: a server that compresses once more, and tells no size, is understood", async (t) => {
  const totals = new Set<number | undefined>();
  const address = await serve(t, (request, response) => {
    response.setHeader("content-encoding", "gzip");
    response.end(gzipSync(files[request.url!.slice(1).replace(".gz", "")]!));
  });
  assertLoaded(
    (await load({ addresses: [address] }, { onProgress: (_, total) => totals.add(total) })).result,
  );
  assert.deepEqual([...totals], [undefined]);
});

test("download: each way to fail has its reason, and the next address is tried", async (t) => {
  const sizes = (response: Parameters<RequestListener>[1]) => response.setHeader("content-length", 1000);
  const failures: [RequestListener, RegExp][] = [
    [(_, response) => response.writeHead(404).end("no"), /answers 404 Not Found$/],
    [() => {}, /no answer for 1 s$/],
    [
      (_, response) => {
        sizes(response);
        response.write("some");
      },
      /nothing more came for 1 s$/,
    ],
    [
      (_, response) => {
        sizes(response);
        response.write("some", () => response.destroy());
      },
      /: (other side closed|aborted|terminated|read ECONNRESET|socket hang up)$/,
    ],
    [
      (_, response) => response.end("<html>captive portal</html>"),
      /27 bytes of content with SHA-256 [0-9a-f]{64}, wanted/,
    ],
    [
      (_, response) => response.end(gzipSync(new Uint8Array(999)).subarray(0, 20)),
      /cannot be unpacked: unexpected end of file/,
    ],
  ];
  const good = await serve(t, served);
  const timeouts = { answer: 1000, idle: 1000 };
  await Promise.all(
    failures.map(async ([listener, reason]) => {
      const { result, lines } = await load({ addresses: [await serve(t, listener), good], timeouts });
      assertLoaded(result);
      assert.equal(lines.length, 3);
      assert.match(lines[2]!, /^Fashion-MNIST not from 127\.0\.0\.1:\d+: /);
      assert.match(lines[2]!, reason);
    }),
  );
  const closed = await load({ addresses: ["http://127.0.0.1:1/", good] });
  assertLoaded(closed.result);
  assert.match(closed.lines[2]!, /bad port|ECONNREFUSED/);
});

test("download: the signal ends it at once and no other place is tried", async (t) => {
  const control = new AbortController();
  const address = await serve(t, () => setTimeout(() => control.abort(new Error("stopped by the test")), 20));
  const { result, lines } = await load({ addresses: [address, address] }, { signal: control.signal });
  assert.equal(result.message, "stopped by the test");
  assert.equal(lines.length, 2);
  const before = await load({ systemFolder: folderOfFiles() }, { signal: AbortSignal.abort() });
  assert.equal(before.result.name, "AbortError");
});

test("when no place has it the error lists every place with its reason", async (t) => {
  const address = await serve(t, (_, response) => response.writeHead(503).end());
  const { result, lines } = await load({ addresses: [address] }, { dataDirectory: join(root, "nowhere") });
  assert.ok(result instanceof DatasetUnavailable);
  assert.equal(result.reasons.length, 5);
  assert.deepEqual(
    lines,
    result.reasons.map((reason) => `Fashion-MNIST not from ${reason}`),
  );
  for (const reason of result.reasons) assert.ok(result.message.includes(reason));
  assert.match(lines[4]!, /the distribution's package p: no-such-apt-get is not on this machine$/);
});

test("LOWLAND_HOME names the cache", async (t) => {
  const before = process.env.LOWLAND_HOME;
  t.after(() => {
    if (before === undefined) delete process.env.LOWLAND_HOME;
    else process.env.LOWLAND_HOME = before;
  });
  process.env.LOWLAND_HOME = newFolder();
  assertLoaded(await loadMnist("fashion-mnist", { dataDirectory: folderOfFiles() }, { checksums }));
  assert.deepEqual(readdirSync(join(process.env.LOWLAND_HOME, "fashion-mnist")).length, 4);
});

test("MNIST: from a folder, from the first address that has it, and in no package", async (t) => {
  const assertMnist = ({ train, test: held }: Awaited<ReturnType<typeof loadDataset>>) => {
    assert.deepEqual([train.name, train.count, held.count], ["mnist", 3, 2]);
    assert.deepEqual(train.classNames, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert.deepEqual([...train.labels, ...held.labels], [9, 0, 4, 1, 2]);
    assert.deepEqual([...train.read(0).image.data], [0, 1, 2, 3, 4, 5]);
  };
  const places = () => ({ checksums, cacheFolder: join(newFolder(), "cache"), addresses: [] });
  assertMnist(await loadMnist("mnist", { dataDirectory: folderOfFiles() }, places()));

  const lacks = await serve(t, (_, response) => response.writeHead(403).end());
  const { cacheFolder, ...web } = { ...places(), addresses: [lacks, await serve(t, served)] };
  assertMnist(await loadMnist("mnist", {}, { ...web, cacheFolder }));
  assertMnist(await loadMnist("mnist", {}, { ...web, cacheFolder, addresses: [] }));

  await assert.rejects(loadMnist("mnist", {}, places()), (error) => {
    assert.ok(error instanceof DatasetUnavailable);
    assert.equal(error.reasons.length, 1);
    assert.match(error.message, /^MNIST is not available from any place: the cache /);
    return true;
  });
  // With the checksums of the real set these files are others.
  const { checksums: _, ...real } = places();
  await assert.rejects(loadMnist("mnist", { dataDirectory: folderOfFiles() }, real), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /train-images.* wanted ba891046e6505d7aadcbbe25680a0738ad16aec9/);
    return true;
  });
});
