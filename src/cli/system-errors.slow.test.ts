import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { lowland, startLowland, temporaryFolder, timelessMetrics, withoutProgress } from "../testing/cli.ts";
import { readSafetensors } from "../weights/safetensors.ts";

// What the system refuses while a command works: one sentence on standard error, exit code 1, no stack trace, and
// nothing lost that was there before.

const folder = temporaryFolder();
const main = fileURLToPath(new URL("main.js", import.meta.url));
const preload = pathToFileURL(join(folder, "failing-disk.mjs")).href;

// A disk that is full, or has another fault, once it gets to a file whose path fits: half of the content is written.
writeFileSync(
  join(folder, "failing-disk.mjs"),
  `import fs from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
const { FAIL_AT, FAIL_WITH, FAIL_AFTER = "0" } = process.env;
let left = Number(FAIL_AFTER);
const fails = (path) => new RegExp(FAIL_AT).test(String(path)) && left-- <= 0;
const failure = () =>
  Object.assign(new Error(FAIL_WITH + ": as the system says it, write"), { code: FAIL_WITH, errno: -1, syscall: "write" });
const { writeFile } = promises;
promises.writeFile = async (path, content) => {
  if (!fails(path)) return writeFile(path, content);
  await writeFile(path, content.slice(0, content.length / 2));
  throw failure();
};
const { appendFileSync } = fs;
fs.appendFileSync = (path, content) => {
  if (!fails(path)) return appendFileSync(path, content);
  appendFileSync(path, content.slice(0, content.length / 2));
  throw failure();
};
syncBuiltinESMExports();
`,
);

interface Fault {
  /** Part of the path of the file it happens at. */
  at: string;
  /** The system's name of it. */
  code: string;
  /** How many times such a file is written before. */
  after?: number;
}

/** Runs the command on a failing disk, expects the failure, and returns its sentence. */
async function failing(args: string[], { at, code, after = 0 }: Fault): Promise<string> {
  const env = { FAIL_AT: at, FAIL_WITH: code, FAIL_AFTER: String(after) };
  const ended = await lowland(args, { cwd: folder, env, preload });
  assert.equal(ended.code, 1, ended.stderr);
  assert.equal(ended.stdout, "");
  const sentences = withoutProgress(ended.stderr)
    .trim()
    .split("\n")
    .filter((line) => !/^[✓–]/.test(line));
  assert.equal(sentences.length, 1, ended.stderr);
  assert.match(sentences[0], /^lowland: /);
  assert.doesNotMatch(sentences[0], /\. [A-Z]|\.$|internal error|\bat .*:\d+:\d+/);
  return sentences[0].slice("lowland: ".length);
}

/** No file that was only begun, in any folder below. */
function assertNoParts(path: string): void {
  const files = readdirSync(path, { recursive: true }).map(String);
  assert.deepEqual(
    files.filter((name) => name.endsWith(".part")),
    [],
  );
}

const quick = ["--data", "digits", "--limit", "128", "--batch-size", "64", "--threads", "1"];
const train = ["train", ...quick, "--epochs", "3", "--keep-weights"];
const space =
  "no space is left on its disk (ENOSPC); make space there and give the command again; a run goes on with --resume";

const reference = join(folder, "reference");
before(async () => {
  const { code, stderr } = await lowland([...train, "--out", reference]);
  assert.equal(code, 0, stderr);
  writeFileSync(
    join(folder, "comparison.json"),
    JSON.stringify({ runs: [{ name: "sgd", optimizer: { method: "sgd" } }] }),
  );
});

describe("a disk that gets full in a run loses no finished epoch, and the run goes on when there is space", () => {
  const faults: Record<string, Fault> = {
    "at the second checkpoint": { at: "checkpoint\\.safetensors", code: "ENOSPC", after: 1 },
    "at the metrics of the second epoch": { at: "metrics\\.jsonl", code: "ENOSPC", after: 2 },
    "at the model": { at: "model\\.onnx", code: "ENOSPC" },
    "at the report": { at: "report\\.html", code: "ENOSPC" },
  };
  for (const [name, fault] of Object.entries(faults)) {
    test(name, async () => {
      const out = name.replaceAll(" ", "-");
      const sentence = await failing([...train, "--out", out], fault);
      assert.ok(sentence.startsWith(out), sentence);
      assert.ok(sentence.endsWith(` could not be written: ${space}`), sentence);
      assertNoParts(join(folder, out));
      const checkpoint = readFileSync(join(folder, out, "checkpoint.safetensors"));
      assert.ok(JSON.parse(readSafetensors(checkpoint, "checkpoint").metadata.epoch).epoch >= 1);
      const resumed = await lowland([...train, "--out", out, "--resume"], { cwd: folder });
      assert.equal(resumed.code, 0, resumed.stderr);
      assert.deepEqual(timelessMetrics(join(folder, out)), timelessMetrics(reference));
      const model = (run: string) => readFileSync(join(run, "model.onnx"));
      assert.ok(model(join(folder, out)).equals(model(reference)));
    });
  }
});

describe("every command that writes says which file the system refused, and why", { concurrency: 2 }, () => {
  const onReference = ["--subset", "64", "--batch-size", "64", "--threads", "1"];
  const commands: [args: string[], fault: Fault, expected: RegExp][] = [
    [
      ["train", ...quick, "--epochs", "1", "--out", "quota"],
      { at: "run\\.json", code: "EDQUOT" },
      /^quota.run\.json could not be written: the quota of its disk is used up \(EDQUOT\); make space/,
    ],
    [
      ["train", ...quick, "--epochs", "1", "--out", "probe"],
      { at: "probe", code: "ENOSPC" },
      /^the output folder probe could not be written to: no space is left/,
    ],
    [
      ["train", ...quick, "--epochs", "1", "--out", "read-only"],
      { at: "checkpoint", code: "EROFS" },
      /^read-only.checkpoint\.safetensors could not be written: its file system is read-only \(EROFS\); /,
    ],
    [
      ["compare", "--config", "comparison.json", ...quick, "--epochs", "1", "--out", "compared"],
      { at: "comparison\\.json", code: "EACCES" },
      /^compared.comparison\.json could not be written: permission is denied \(EACCES\); /,
    ],
    [
      ["export-step", join(reference, "model.onnx"), "--out", "step.onnx"],
      { at: "step", code: "EMFILE" },
      /^.*step.* could not be written: too many files are open \(EMFILE\); raise the limit/,
    ],
    [
      ["flatness", reference, "--measure", "sharpness", ...onReference, "--out", "flat"],
      { at: "flatness\\.json", code: "EIO" },
      /^flat.flatness\.json could not be written: its disk failed \(EIO\); /,
    ],
    [
      ["landscape", reference, "--line", "--points", "3", ...onReference, "--out", "land"],
      { at: "landscape\\.csv", code: "ENOSPC" },
      /^land.landscape\.csv could not be written: no space is left/,
    ],
    [
      ["train", ...quick, "--epochs", "1", "--out", "unknown"],
      { at: "run\\.json", code: "EWHATEVER" },
      /^unknown.run\.json could not be written: as the system says it \(EWHATEVER\); check the path/,
    ],
  ];
  for (const [args, fault, expected] of commands) {
    test(`${args[0]}: ${fault.code} at ${fault.at}`, async () => {
      assert.match(await failing(args, fault), expected);
    });
  }
});

test("none of them left a file that was only begun", () => assertNoParts(folder));

const noLimits = process.platform === "win32" ? "there is no ulimit on Windows" : false;

test("a real limit on the size of files stops a run in one sentence", { skip: noLimits }, () => {
  // 64 blocks of 512 bytes, or of 1024: less than the checkpoint of an mlp in either.
  const command = `ulimit -f 64 && exec "$0" "$@"`;
  const args = [main, "train", ...quick, "--epochs", "1", "--out", join(folder, "limited")];
  const { status, stdout, stderr } = spawnSync("sh", ["-c", command, process.execPath, ...args], {
    encoding: "utf8",
  });
  assert.match(
    stderr,
    /^lowland: .*checkpoint\.safetensors could not be written: it would be larger than files may be \(EFBIG\); [^\n]*\n$/,
  );
  assert.equal(stdout, "");
  assert.equal(status, 1);
  assertNoParts(join(folder, "limited"));
});

describe("a reader that has gone away ends nothing and costs no stack trace", { concurrency: 2 }, () => {
  const run = async (args: string[], closed: ("stdout" | "stderr")[]) => {
    const { child, ended } = startLowland(args, { cwd: folder });
    for (const name of closed) child[name]!.destroy();
    return ended;
  };

  test("of the help", async () => {
    const { code, stderr } = await run(["train", "--help"], ["stdout"]);
    assert.deepEqual([code, stderr], [0, ""]);
  });

  test("of a document on standard output", async () => {
    const args = ["inspect", join(reference, "model.onnx"), "--json"];
    const { code, stderr } = await run(args, ["stdout"]);
    assert.deepEqual([code, stderr], [0, ""]);
  });

  test("of a mistake", async () => {
    const { code, stdout } = await run(["train", "--epochs", "0"], ["stderr"]);
    assert.deepEqual([code, stdout], [2, ""]);
  });

  test("of all that a run says: it is finished, with everything in its folder", async () => {
    const { code } = await run([...train, "--out", "unread"], ["stdout", "stderr"]);
    assert.equal(code, 0);
    assert.deepEqual(readdirSync(join(folder, "unread")).sort(), readdirSync(reference).sort());
  });
});

test("results that cannot be written to standard output fail the command", {
  skip: existsSync("/dev/full") ? false : "there is no /dev/full here",
}, () => {
  const { status, stderr } = spawnSync(process.execPath, [main, "inspect", join(reference, "model.onnx")], {
    stdio: ["ignore", openSync("/dev/full", "w"), "pipe"],
    encoding: "utf8",
  });
  assert.match(stderr, /^lowland: standard output could not be written: no space is left [^\n]*\n$/);
  assert.equal(status, 1);
});

test("a file that is not as Lowland wrote it, or a folder in its place, is one sentence", async () => {
  const place = (name: string) => {
    mkdirSync(join(folder, name));
    return join(folder, name, "run.json");
  };
  writeFileSync(place("broken"), "{");
  writeFileSync(place("empty"), "{}");
  writeFileSync(place("list"), "[]");
  mkdirSync(place("nested"));
  for (const [name, expected] of [
    ["broken", /^lowland: broken.run\.json is damaged: it is not a JSON object; /],
    ["empty", /^lowland: empty.run\.json is damaged: it holds no configuration/],
    ["list", /^lowland: list.run\.json is damaged: it is not a JSON object; /],
    ["nested", /^lowland: nested.run\.json could not be read: it is a folder \(EISDIR\); name a file/],
  ] as const) {
    const { code, stderr } = await lowland(["evaluate", name], { cwd: folder });
    assert.match(stderr, expected);
    assert.match(stderr, /^[^\n]*\n$/);
    assert.equal(code, 2);
  }
});
