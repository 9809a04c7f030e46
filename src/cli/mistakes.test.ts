import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { matMul } from "../ops/linear.ts";
import { optimizerNames } from "../runs/optimizer-settings.ts";
import { lowland, temporaryFolder } from "../testing/cli.ts";

// What a person gets wrong, as the command line takes it: one clear sentence on standard error, exit code 2, nothing
// on standard output, no stack trace, and no attempt at the network.

const folder = temporaryFolder();
const home = join(folder, "home");
const preload = pathToFileURL(join(folder, "no-network.mjs")).href;

writeFileSync(
  join(folder, "no-network.mjs"),
  `import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";
const refuse = (what) => () => {
  process.stderr.write("TRIED " + what + "\\n");
  process.exit(99);
};
globalThis.fetch = refuse("fetch");
net.Socket.prototype.connect = refuse("a connection");
for (const name of ["spawn", "spawnSync", "exec", "execFile", "execFileSync"]) childProcess[name] = refuse(name);
syncBuiltinESMExports();
`,
);

/** Runs the command, expects the mistake, and returns its sentence. */
async function mistake(args: string[], expected: RegExp): Promise<void> {
  const { code, stdout, stderr } = await lowland(args, { cwd: folder, env: { LOWLAND_HOME: home }, preload });
  assert.match(stderr, /^lowland: [^\n]+\n$/, "one line");
  assert.doesNotMatch(
    stderr,
    /\. [A-Z]|\.\n$|internal error|\bat .*:\d+:\d+/,
    "one sentence, no stack trace",
  );
  assert.match(stderr.slice("lowland: ".length, -1), expected);
  assert.equal(stdout, "");
  assert.equal(code, 2);
}

function write(name: string, content: unknown): string {
  const bytes =
    content instanceof Uint8Array || typeof content === "string" ? content : JSON.stringify(content);
  writeFileSync(join(folder, name), bytes);
  return name;
}

const digits = ["train", "--data", "digits"];
const quick = [...digits, "--epochs", "1", "--limit", "128", "--batch-size", "64", "--threads", "1"];

interface Mistake {
  args: string[];
  expected: RegExp;
}

function cases(title: string, list: Record<string, Mistake>) {
  describe(title, { concurrency: 2 }, () => {
    for (const [name, { args, expected }] of Object.entries(list)) {
      test(name, () => mistake(args, expected));
    }
  });
}

cases("a name that does not exist is reported with the choices", {
  optimizer: {
    args: [...digits, "--optimizer", "adagrad"],
    expected: new RegExp(
      `^optimizer\\.method: there is no "adagrad"; choose one of ${optimizerNames.join(", ")}$`,
    ),
  },
  model: {
    args: [...digits, "--model", "vgg"],
    expected: /^model: there is no model "vgg"; choose one of mlp, lenet5, cnn, resnet20, resnet18, /,
  },
  "option of a model": {
    args: [...digits, "--model", "wide-resnet-28-10:depth=3"],
    expected: /^model: wide-resnet-28-10 has no option "depth"; it has units, width, dropout$/,
  },
  image: {
    args: ["optimizers", "--image", "28x28"],
    expected: /^--image is 28x28; it has to be channels, height and width, as 3x32x32$/,
  },
  "data set": {
    args: ["train", "--data", "imagenet"],
    expected:
      /^there is no data set and no file or folder "imagenet"; choose one of fashion-mnist, mnist, digits, cifar10, cifar100, people, wardrobe, or name a folder of pictures$/,
  },
  "run of a comparison": {
    args: ["demo", "--data", "digits", "--only", "sgd,adam"],
    expected:
      /^there is no run "adam"; choose from sgd, sam-0\.05, sam-0\.1, bilateral-sam, bilateral-sam-released$/,
  },
  command: { args: ["trian"], expected: /^unknown command 'trian'; did you mean train\?$/ },
  flag: {
    args: [...digits, "--epoch", "3"],
    expected: /^unknown option '--epoch'; did you mean --epochs\?$/,
  },
});

cases("a flag's value that makes no sense", {
  "no number": {
    args: [...digits, "--epochs", "many"],
    expected: /'--epochs <n>' argument 'many' is invalid: it has to be a number$/,
  },
  "a negative radius": {
    args: [...digits, "--rho-max", "-0.1"],
    expected: /^optimizer\.rhoMax is -0\.1; it has to be at least 0$/,
  },
  "more images in a batch than there are": {
    args: [...digits, "--batch-size", "1438", "--out", "big-batch"],
    expected: /^batch size 1438 is larger than the 1437 training samples; choose at most 1437/,
  },
  "a radius by another method's name": {
    args: [...digits, "--optimizer", "sam", "--rho-max", "0.1"],
    expected: /^sam: the radius is --rho; --rho-max is for bilateral-sam$/,
  },
  "no threads": {
    args: ["optimizers", "--threads", "0"],
    expected: /^threads is 0; it has to be more than 0$/,
  },
  "a radius the optimizer has not": {
    args: [...digits, "--optimizer", "sgd", "--rho-min", "0.1"],
    expected: /^--rho-min has no meaning for sgd; choose --optimizer bilateral-sam$/,
  },
  "two flags against each other": {
    args: [...digits, "--overwrite", "--resume"],
    expected: /'--overwrite' cannot be used with option '--resume'$/,
  },
  "a setting where nothing is trained": {
    args: ["figures", "--results", "results.json", "--epochs", "3"],
    expected: /'--results <file>' cannot be used with option '--epochs <n>'$/,
  },
  "an output to inspect": {
    args: ["inspect", "model.onnx", "--output", "logits"],
    expected: /^unknown option '--output'$/,
  },
});

const comparison = { runs: [{ name: "a", optimizer: { method: "sgd" } }] };

cases("a configuration file", {
  missing: {
    args: ["train", "--config", "none.json"],
    expected: /^the configuration none\.json cannot be read \(ENOENT/,
  },
  "not JSON": {
    args: ["train", "--config", write("broken.json", "{")],
    expected: /^the configuration broken\.json is not JSON: /,
  },
  "no object": {
    args: ["train", "--config", write("list.json", [1])],
    expected: /^the configuration list\.json has to hold one JSON object$/,
  },
  "with a misspelt key": {
    args: ["train", "--config", write("key.json", { lerningRate: 1 })],
    expected:
      /^configuration key "lerningRate" is not known; the nearest of the known ones \(task, data, .*\) is "learningRate"$/,
  },
  "of a comparison, to train": {
    args: ["train", "--config", write("runs.json", comparison)],
    expected:
      /^runs\.json holds the runs of a comparison; train them with lowland compare --config runs\.json$/,
  },
});

describe("an output folder", { concurrency: 2 }, () => {
  const held = join(folder, "held");
  before(async () => {
    write("file", "");
    const { code, stderr } = await lowland([...quick, "--out", held]);
    assert.equal(code, 0, stderr);
  });

  test("below a file cannot be written to", () =>
    mistake(
      [...quick, "--out", join("file", "x")],
      /^the output folder file.x cannot be written to \(ENOTDIR: not a directory\); name another with --out$/,
    ));

  test("that is a file cannot be written to", () =>
    mistake(
      [...quick, "--out", "file"],
      /^the output folder file cannot be written to \(ENOTDIR: not a directory\); name another with --out$/,
    ));

  test("below /proc cannot be written to", { skip: process.platform !== "linux" }, () =>
    mistake([...quick, "--out", "/proc/x"], /^the output folder \/proc\/x cannot be written to \(/),
  );

  test("that holds a run is left as it is", async () => {
    const metrics = readFileSync(join(held, "metrics.jsonl"), "utf8");
    await mistake(
      [...quick, "--out", "held"],
      /^held already holds a run; go on with it with --resume, replace it with --overwrite/,
    );
    assert.equal(readFileSync(join(held, "metrics.jsonl"), "utf8"), metrics);
  });

  test("is resumed with the same settings only", () =>
    mistake(
      [...quick, "--seed", "2", "--out", "held", "--resume"],
      /^the run in held has seed 1, not 2; resume with the same settings, or start over with --overwrite$/,
    ));
});

/** An ONNX classifier of rows of 65 numbers, which are no images. */
function rowClassifier(): Uint8Array {
  const graph = new Graph();
  const row = graph.input("input", "float32", [1, 65]);
  graph.output("logits", matMul(row, graph.constant(tensorData(new Float32Array(650), [65, 10], "float32"))));
  return compile(graph);
}

cases("a model to evaluate", {
  "that is no ONNX file": {
    args: ["evaluate", write("words.onnx", "not a model"), "--data", "digits"],
    expected: /^words\.onnx is not an ONNX model: /,
  },
  "for what no image can be made into": {
    args: ["evaluate", write("rows.onnx", rowClassifier()), "--data", "digits"],
    expected: /^the model takes \[1, 65\], which images of 1×8×8 cannot be made into; /,
  },
  "that is not there": {
    args: ["evaluate", "nowhere"],
    expected: /^nowhere is not there; name a run folder or an ONNX file$/,
  },
  "without its data set": {
    args: ["evaluate", "rows.onnx"],
    expected:
      /^rows\.onnx does not say for which data it is; name one of fashion-mnist, mnist, digits, cifar10, cifar100, people, wardrobe, or a path, with --data$/,
  },
});

describe("a damaged file in --data-dir is reported before any other place is asked", {
  concurrency: 2,
}, () => {
  // Of the right format, with other pixels.
  const header = Uint8Array.of(0, 0, 8, 3, 0, 0, 234, 96, 0, 0, 0, 28, 0, 0, 0, 28);
  const whole = gzipSync(Buffer.concat([header, Buffer.alloc(60_000)]));
  const file = "train-images-idx3-ubyte.gz";

  const train = (name: string, images?: Uint8Array) => {
    mkdirSync(join(folder, name));
    if (images) writeFileSync(join(folder, name, file), images);
    return ["train", "--data", "fashion-mnist", "--data-dir", name, "--out", `${name}-out`];
  };

  for (const [name, images, expected] of [
    ["truncated", whole.subarray(0, whole.length - 20), /\(\d+ bytes\) cannot be unpacked: .*;/],
    ["changed", whole, /has 60016 bytes of content with SHA-256 [0-9a-f]{64}, wanted c59f468a[0-9a-f]{56};/],
  ] as const) {
    test(name, async () => {
      const start = join(name, file).replaceAll("\\", "\\\\");
      await mistake(
        train(name, images),
        new RegExp(`^${start} ${expected.source} replace this file of Fashion-MNIST`),
      );
      assert.ok(!existsSync(join(folder, `${name}-out`)) && !existsSync(home), "nothing was written");
    });
  }

  // Where the distribution's package is installed, that is the next place, and training would begin.
  const skip = existsSync("/usr/share/datasets/fashion-mnist");
  test("whereas for a missing one the network is tried, so the watch over it works", { skip }, async () => {
    const { code, stderr } = await lowland(train("empty"), {
      cwd: folder,
      env: { LOWLAND_HOME: home },
      preload,
    });
    assert.match(stderr, /TRIED/);
    assert.equal(code, 99);
  });
});
