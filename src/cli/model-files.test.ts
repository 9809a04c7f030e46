import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { readModel, writeModel } from "../onnx/model.ts";
import { StringStringEntryProtoSchema } from "../onnx/onnx_pb.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { lowland, refusal, temporaryFolder } from "../testing/cli.ts";
import { type ModelText, onnxModel } from "../testing/onnx-models.ts";
import type { CommandName } from "./commands.ts";

// Models that come as files, at the command line: what is said of good ones, and one sentence for each bad one.

const folder = temporaryFolder();
const random = (count: number) => Array.from({ length: count }, (_, index) => Math.sin(index + 1) / 3);
const classifier: ModelText = {
  inputs: { image: ["N", 1, 8, 8] },
  weights: {
    "a-rather-long-name-of-the-kind-that-exporters-give/conv1/weight": tensorData(
      random(36),
      [4, 1, 3, 3],
      "float32",
    ),
    "fc.weight": tensorData(random(40), [4, 10], "float32"),
  },
  nodes: [
    [
      "Conv",
      ["image", "a-rather-long-name-of-the-kind-that-exporters-give/conv1/weight"],
      ["a"],
      {},
      "conv1",
    ],
    ["Relu", ["a"], ["b"]],
    ["GlobalAveragePool", ["b"], ["c"]],
    ["Flatten", ["c"], ["d"]],
    ["MatMul", ["d", "fc.weight"], ["logits"], {}, "fc"],
  ],
  outputs: ["logits"],
};

function file(name: string, content: Uint8Array | string | ModelText): string {
  const bytes =
    typeof content === "string" || content instanceof Uint8Array ? content : writeModel(onnxModel(content));
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
}

const good = file("good.onnx", classifier);

describe("lowland inspect", () => {
  test("fits 80 columns and holds no control characters where there is no terminal", async () => {
    const { code, stdout, stderr } = await lowland(["inspect", good]);
    assert.equal(stderr, "");
    assert.equal(code, 0);
    const lines = stdout.split("\n");
    for (const line of lines) assert.ok(line.length <= 80, line);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is what must not be there
    assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f]/);
    assert.match(stdout, /image +float32 \[N, 1, 8, 8\]/);
    assert.match(stdout, /✓ It can be trained\.\n {2}Logits: \[1, 10\] of output "logits"\./);
  });

  test("gives everything as JSON", async () => {
    const { stdout } = await lowland(["inspect", good, "--json", "--frozen", "*conv1*"]);
    const { totals, multiplyAdds, parameters } = JSON.parse(stdout);
    assert.deepEqual(totals, { parameters: 76, trainable: 40, bytes: 4 * 76 });
    assert.equal(multiplyAdds.total, 4 * 36 * 9 + 40);
    assert.equal(parameters[0].reason, "frozen");
  });

  test("cuts long lists and says how to see all", async () => {
    const names = Array.from({ length: 30 }, (_, index) => `w${index}`);
    const many = file("many.onnx", {
      inputs: { x: [1, 2] },
      weights: Object.fromEntries(names.map((name) => [name, tensorData(random(4), [2, 2], "float32")])),
      nodes: names.map((name, index) => [
        "MatMul",
        [index === 0 ? "x" : `h${index - 1}`, name],
        [`h${index}`],
      ]),
      outputs: ["h29"],
    });
    const { stdout } = await lowland(["inspect", many]);
    assert.match(stdout, / {2}… 18 more; --all shows every tensor\n/);
    assert.doesNotMatch(stdout, /w15/);
    assert.match((await lowland(["inspect", many, "--all"])).stdout, /w15/);
  });
});

test("lowland finetune writes a run folder whose model has the names that came in", async () => {
  const out = join(folder, "tuned");
  const small = ["--limit", "128", "--epochs", "1", "--threads", "1"];
  const { code, stdout, stderr } = await lowland([
    ...["finetune", good, "--data", "digits", "--out", out, ...small, "--json"],
    ...["--normalization", "symmetric"],
    ...["--frozen", "*conv1*", "--no-dropout", "--learning-rate-factor", "fc.*=0.5", "--optimizer", "sam"],
  ]);
  assert.equal(code, 0);
  const images = "images 1×8×8, normalized by mean 0.5 and deviation 0.5 (symmetric)\n";
  assert.ok(stderr.startsWith(images), stderr);
  const { parameters, metrics } = JSON.parse(stdout);
  assert.equal(parameters, 40);
  const { configuration } = JSON.parse(readFileSync(join(out, "run.json"), "utf8"));
  assert.deepEqual(configuration.model, {
    file: good,
    frozen: ["*conv1*"],
    batchNormalization: "batch",
    dropout: false,
    dimensions: {},
    normalization: "symmetric",
  });
  assert.deepEqual(configuration.parameters.groups, [{ names: "fc.*", learningRate: 0.5 }]);
  const evaluated = await lowland(["evaluate", out, "--json"]);
  assert.ok(evaluated.stderr.startsWith(images), evaluated.stderr);
  assert.deepEqual(JSON.parse(evaluated.stdout).metrics, metrics);
  const { graph } = readModel(readFileSync(join(out, "model.onnx")));
  assert.deepEqual(
    [...graph!.input, ...graph!.output].map(({ name }) => name),
    ["image", "logits"],
  );
  assert.match(readFileSync(join(out, "report.html"), "utf8"), /good\.onnx/);
  const again = await lowland([
    "finetune",
    good,
    "--config",
    join(out, "run.json"),
    "--out",
    out,
    "--resume",
  ]);
  assert.equal(again.code, 0, again.stderr);
});

test("lowland export-step writes three files and says what they are", async () => {
  const out = join(folder, "steps", "step.onnx");
  const { code, stdout } = await lowland(["export-step", good, "-o", out, "--base", "adamw", "--every", "2"]);
  assert.equal(code, 0);
  const lines = stdout.trim().split("\n");
  assert.deepEqual(
    lines.map((line) => line.split(/ {2,}/)[0].slice(join(folder, "steps").length + 1)),
    ["step.onnx", "step-base.onnx", "step.safetensors", "step.json"],
  );
  assert.match(lines[0], /3 gradients; step % 2 == 0, counted from 0$/);
  assert.match(lines[2], /2 parameters \(76 numbers\), 6 of state, 0 buffers$/);
});

const weight = tensorData(random(6), [2, 3], "float32");

function external(location: string): Uint8Array {
  const model = onnxModel({
    inputs: { x: [4, 2] },
    weights: { w: weight },
    nodes: [["MatMul", ["x", "w"], ["y"]]],
    outputs: ["y"],
  });
  const [tensor] = model.graph!.initializer;
  tensor.rawData = new Uint8Array();
  tensor.dataLocation = 1;
  tensor.externalData = [create(StringStringEntryProtoSchema, { key: "location", value: location })];
  return writeModel(model);
}

function absurd(): Uint8Array {
  const model = onnxModel({
    inputs: { x: [4, 2] },
    weights: { w: weight },
    nodes: [["MatMul", ["x", "w"], ["y"]]],
    outputs: ["y"],
  });
  model.graph!.initializer[0].dims = [2n ** 40n, 2n ** 40n];
  return writeModel(model);
}

mkdirSync(join(folder, "nothing.onnx"), { recursive: true });
const goodBytes = writeModel(onnxModel(classifier));

/** Each with what every command says of it. */
const hostile: Record<string, [path: string, sentence: RegExp]> = {
  "that is not there": [join(folder, "gone.onnx"), /^there is no file .*gone\.onnx$/],
  "that is a folder": [
    join(folder, "nothing.onnx"),
    /cannot be read|is not a run folder: it holds no run\.json$/,
  ],
  empty: [file("empty.onnx", ""), /^empty\.onnx is not an ONNX model: it is empty$/],
  truncated: [file("truncated.onnx", goodBytes.subarray(0, 300)), /^truncated\.onnx is not an ONNX model: /],
  "of random bytes": [
    file(
      "random.onnx",
      Uint8Array.from({ length: 5000 }, (_, index) => (Math.sin(index) * 1e4) & 255),
    ),
    /^random\.onnx is not an ONNX model: /,
  ],
  "with a cycle": [
    file("cycle.onnx", {
      inputs: { x: [2] },
      weights: { w: weight },
      nodes: [
        ["Add", ["x", "b"], ["a"], {}, "first"],
        ["MatMul", ["a", "w"], ["b"], {}, "second"],
      ],
      outputs: ["b"],
    }),
    /node "first" \(Add\): waits for its own output; the graph has a cycle/,
  ],
  "with a missing tensor": [
    file("missing.onnx", {
      inputs: { x: [2, 2] },
      weights: { w: weight },
      nodes: [["MatMul", ["x", "gone"], ["y"]]],
      outputs: ["y"],
    }),
    /node "y" \(MatMul\): reads "gone", which is neither an input, an initializer nor the output of a node/,
  ],
  "with names that clash": [
    file("clash.onnx", {
      inputs: { x: [2, 2] },
      weights: { w: weight },
      nodes: [
        ["MatMul", ["x", "w"], ["y"], {}, "one"],
        ["MatMul", ["x", "w"], ["y"], {}, "two"],
      ],
      outputs: ["y"],
    }),
    /node "two" \(MatMul\): makes "y", which node "one" \(MatMul\) makes too/,
  ],
  "with an absurd size": [file("absurd.onnx", absurd()), /^tensor "w"/],
  "whose weights are outside its folder": [
    file("outside.onnx", external("../secret.bin")),
    /^tensor "w": its values are said to be in "\.\.\/secret\.bin", outside the model's folder; this is refused$/,
  ],
};

/** What `inspect` describes as far as it goes, the others refuse. */
const described = new Set(["with a cycle", "with a missing tensor", "with names that clash"]);

describe("a bad file is one clear sentence", () => {
  const commands: [CommandName, ...string[]][] = [
    ["inspect"],
    ["export-step", "-o", join(folder, "x.onnx")],
    ["finetune", "--data", "digits", "--out", join(folder, "never")],
  ];
  for (const [name, [path, sentence]] of Object.entries(hostile)) {
    for (const command of commands) {
      if (command[0] === "inspect" && described.has(name)) continue;
      test(`${command[0]}: a file ${name}`, async () => {
        const { code, text = "" } = await refusal([...command, path]);
        assert.match(text, /^[^\n]+$/, "one line");
        assert.match(text, sentence);
        assert.equal(code, 2);
        assert.ok(!existsSync(join(folder, "never")), "nothing is written");
      });
    }
  }

  test("on standard error, with nothing on standard output", async () => {
    const [path, sentence] = hostile.truncated;
    for (const command of commands) {
      const { code, stdout, stderr } = await lowland([...command, path]);
      assert.match(stderr, /^lowland: [^\n]+\n$/, "one line");
      assert.match(stderr.slice("lowland: ".length, -1), sentence);
      assert.deepEqual([code, stdout], [2, ""]);
    }
  });

  for (const name of described) {
    test(`inspect: a file ${name} is described as far as it goes`, async () => {
      const [path, sentence] = hostile[name];
      const { code, stdout, stderr } = await lowland(["inspect", path, "--json"]);
      assert.deepEqual([code, stderr], [0, ""]);
      const { training } = JSON.parse(stdout);
      assert.equal(training.possible, false);
      assert.match(training.reason, sentence);
    });
  }
});
