import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { lowland, refusal, temporaryFolder } from "../testing/cli.ts";
import { serveFolder } from "./static-server.ts";

// The playground as the command line hands it out; src/playground has the tests of the page.

describe("lowland playground", () => {
  const folder = temporaryFolder();
  const site = join(folder, "site");

  test("writes a folder that names nothing outside of itself", async () => {
    const { code, stderr } = await lowland(["playground", "--out", site]);
    assert.equal(code, 0, stderr);
    const names = readdirSync(site);
    const page = readFileSync(join(site, "index.html"), "utf8");
    const named = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].flatMap(([, address]) =>
      address.startsWith("data:") ? [] : [address],
    );
    assert.deepEqual(named.sort(), ["page.js", "style.css"]);
    const loaded = ["worker.js", "ort-wasm-simd-threaded.wasm", "ort-wasm-simd-threaded.asyncify.wasm"];
    for (const name of [...named, ...loaded]) assert.ok(names.includes(name), name);
  });

  test("refuses a folder that is not empty, and a port where there is no server", async () => {
    const refused: [args: string[], sentence: RegExp][] = [
      [["--out", site], /is not empty \(it holds .+\); choose a new folder with --out$/],
      [["--out", join(folder, "other"), "--port", "80"], /^--port has no meaning with --out/],
      [["--port", "70000"], /^--port is 70000; it has to be a whole number from 0 to 65535$/],
    ];
    for (const [args, sentence] of refused) {
      const { code, text = "" } = await refusal(["playground", ...args]);
      assert.equal(code, 2);
      assert.match(text, sentence);
    }
  });

  test("shows files with the headers that threads need, and none outside of the folder", async () => {
    const server = await serveFolder(site, 0);
    try {
      const address = `http://localhost:${(server.address() as AddressInfo).port}`;
      const page = await fetch(`${address}/`);
      assert.deepEqual(
        ["content-type", "cross-origin-opener-policy", "cross-origin-embedder-policy"].map((name) =>
          page.headers.get(name),
        ),
        ["text/html; charset=utf-8", "same-origin", "require-corp"],
      );
      assert.equal(await page.text(), readFileSync(join(site, "index.html"), "utf8"));
      const wasm = await fetch(`${address}/ort-wasm-simd-threaded.wasm`, { method: "HEAD" });
      assert.equal(wasm.headers.get("content-type"), "application/wasm");
      for (const path of ["/none.html", "/%2e%2e/secret", "/..%2fsecret"])
        assert.equal((await fetch(`${address}${path}`)).status, 404, path);
      assert.equal((await fetch(`${address}/`, { method: "POST" })).status, 405);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
