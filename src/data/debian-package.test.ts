import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { gzipSync } from "node:zlib";
import { type DebianPackage, readDebianPackage } from "./debian-package.ts";
import { DamagedFile } from "./files.ts";

const content = new TextEncoder().encode("the only file");
const checksums = { only: createHash("sha256").update(content).digest("hex") };
const root = mkdtempSync(join(tmpdir(), "lowland-test-"));
after(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

function folderWith(files: Record<string, Uint8Array>): string {
  const folder = join(root, `${folders++}`);
  mkdirSync(folder);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return folder;
}

/** Programs that stand for apt-get and dpkg-deb: shell scripts with these bodies. */
function programs(aptGet: string, dpkgDeb: string, timeout = 20_000): DebianPackage {
  const script = (body: string) => new TextEncoder().encode(`#!/bin/sh\n${body}\n`);
  const folder = folderWith({ "apt-get": script(aptGet), "dpkg-deb": script(dpkgDeb) });
  const paths = { aptGet: join(folder, "apt-get"), dpkgDeb: join(folder, "dpkg-deb") };
  for (const path of Object.values(paths)) chmodSync(path, 0o755);
  return { package: "p", folder: "/usr/f", timeout, ...paths };
}

/** Stands for `dpkg-deb -x p_1_all.deb <target>` of a package whose folder /usr/f is a copy of the given one. */
const unpack = (folder: string) =>
  `test "$1 $2" = "-x p_1_all.deb" && mkdir -p "$3/usr" && cp -r "${folder}" "$3/usr/f"`;

const read = (wanted: DebianPackage, signal?: AbortSignal) =>
  readDebianPackage(wanted, checksums, { signal });
const options = { skip: process.platform === "win32" && "needs shell scripts" };

test("the package is fetched, unpacked and read, and the temporary folder removed", options, async () => {
  const note = join(root, "where");
  const contents = await read(
    programs(`pwd > "${note}"; touch p_1_all.deb`, unpack(folderWith({ "only.gz": gzipSync(content) }))),
  );
  assert.deepEqual([...contents.keys()], ["only"]);
  assert.deepEqual(new Uint8Array(contents.get("only")!), content);
  assert.ok(!existsSync(readFileSync(note, "utf8").trim()));
});

test("where the system has no package lists, lists of its own are fetched", options, async () => {
  const aptGet = `
    case "$*" in
      *Dir::State::lists=*update) touch lists/list ;;
      *Dir::State::lists=*download\\ p) test -e lists/list && touch p_1_all.deb ;;
      *) echo "E: Unable to locate package p" >&2; exit 100 ;;
    esac`;
  const contents = await read(programs(aptGet, unpack(folderWith({ only: content }))));
  assert.equal(contents.size, 1);
});

test("each way to fail has its reason", options, async () => {
  const fetched = "touch p_1_all.deb";
  for (const [wanted, reason] of [
    [{ ...programs("", ""), aptGet: "no-such-apt-get" }, /^no-such-apt-get is not on this machine$/],
    [{ ...programs("", ""), dpkgDeb: "no-such-dpkg-deb" }, /^no-such-dpkg-deb is not on this machine$/],
    [
      programs("echo 'E: no route' >&2; echo 'W: x' >&2; exit 100", ""),
      /apt-get failed \(code 100\): E: no route$/,
    ],
    [programs("", ""), /brought no package file$/],
    [programs("exec sleep 30", "", 200), /apt-get took longer than 0\.2 s$/],
    [programs(fetched, "exit 2"), /dpkg-deb failed \(code 2\): it gave no reason$/],
    [programs(fetched, unpack(folderWith({}))), /^only\(\.gz\) is not there$/],
  ] as const) {
    await assert.rejects(read(wanted), { message: reason });
  }
  const damaged = folderWith({ "only.gz": gzipSync(Uint8Array.of(1)) });
  await assert.rejects(read(programs(fetched, unpack(damaged))), (error) => {
    assert.ok(error instanceof DamagedFile);
    assert.match(error.message, /only\.gz has 1 bytes of content with SHA-256/);
    return true;
  });
});

test("the signal ends a hanging program", options, async () => {
  const started = Date.now();
  await assert.rejects(read(programs("exec sleep 30", ""), AbortSignal.timeout(100)), {
    name: "TimeoutError",
  });
  assert.ok(Date.now() - started < 10_000);
  const stopped = AbortSignal.abort(new Error("stopped before"));
  await assert.rejects(read(programs("exec sleep 30", ""), stopped), { message: "stopped before" });
});
