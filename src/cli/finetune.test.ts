import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { lowland, readJsonFile, refusal, temporaryFolder } from "../testing/cli.ts";
import { readSafetensors, writeSafetensors } from "../weights/safetensors.ts";

const folder = temporaryFolder();
const base = join(folder, "base");
const weights = join(base, "model.safetensors");
const small = ["--data", "digits", "--limit", "96", "--batch-size", "32", "--epochs", "1", "--threads", "1"];

before(async () => {
  const { code, stderr } = await lowland(["train", "--model", "cnn", "--out", base, ...small]);
  assert.equal(code, 0, stderr);
});

function tensorsOf(file: string): Tensors {
  return readSafetensors(readFileSync(file), file).tensors;
}

/** The modules of which a run changed something. */
function movedIn(out: string, from = tensorsOf(weights)): string[] {
  const moved = Object.entries(tensorsOf(join(out, "model.safetensors"))).flatMap(([name, { data }]) =>
    name.endsWith("num_batches_tracked") || isDeepStrictEqual(data, from[name].data)
      ? []
      : [name.split(".")[0]],
  );
  return [...new Set(moved)].sort();
}

describe("each thing to start from trains in part, and says what trains", () => {
  const sources: Record<string, string[]> = {
    "a run folder": [base],
    "an ONNX file": [join(base, "model.onnx")],
    "a network by name": ["cnn", "--weights", weights],
  };
  for (const [name, source] of Object.entries(sources)) {
    test(name, async () => {
      const out = join(folder, name.replaceAll(" ", "-"));
      const args = [
        "finetune",
        ...source,
        ...small,
        "--out",
        out,
        "--train",
        "last:2",
        "--layer-decay",
        "0.5",
      ];
      const { code, stderr, stdout } = await lowland([...args, "--optimizer", "sam", "--json"]);
      assert.equal(code, 0, stderr);
      assert.deepEqual(movedIn(out), ["bn5", "conv5", "fc"]);
      assert.match(stderr, /^images 1×8×8, /m);
      assert.match(stderr, /^trains: conv5, fc \(37,642 elements\); frozen: conv1, conv2, conv3, conv4 \(/m);
      assert.match(stderr, /^learning rate by stage: fc ×1, conv5 ×0.5$/m);
      assert.match(
        stderr,
        /^what the frozen stages give is computed once and kept: 256 numbers for each of 96 images/m,
      );
      const evaluated = await lowland(["evaluate", out, "--json"]);
      assert.deepEqual(JSON.parse(evaluated.stdout).metrics, JSON.parse(stdout).metrics);
      if (name !== "a network by name") return;
      const again = await lowland([
        "finetune",
        ...source,
        "--config",
        join(out, "run.json"),
        "--out",
        out,
        "--resume",
      ]);
      assert.equal(again.code, 0, again.stderr);
    });
  }
});

describe("the head", () => {
  const otherHead = join(folder, "four-classes.safetensors");
  before(() => {
    const tensors = {
      ...tensorsOf(weights),
      "fc.weight": tensorData(new Float32Array(4 * 64), [4, 64], "float32"),
      "fc.bias": tensorData(new Float32Array(4), [4], "float32"),
    };
    writeFileSync(otherHead, writeSafetensors(tensors));
  });

  test("--new-head re-initializes one of the same size, of a file and of a network by name", async () => {
    // At a learning rate of almost nothing only what is re-initialized is another.
    for (const [index, source] of [[base], ["cnn", "--weights", weights]].entries()) {
      const out = join(folder, `new-head-${index}`);
      const still = ["--learning-rate", "1e-30", "--batch-norm", "frozen", "--base", "sgd"];
      const kept = await lowland(["finetune", ...source, ...small, ...still, "--out", out]);
      assert.equal(kept.code, 0, kept.stderr);
      assert.deepEqual(movedIn(out), []);
      const { code, stderr } = await lowland([
        ...["finetune", ...source, ...small, ...still, "--out", out, "--overwrite", "--new-head"],
      ]);
      assert.equal(code, 0, stderr);
      assert.match(stderr, /^the head, .*fc.*, is re-initialized/m);
      assert.deepEqual(movedIn(out), ["fc"]);
    }
  });

  test("weights with a head of another size: finetune re-initializes it, train says what to do", async () => {
    const out = join(folder, "other-head");
    const { code, stderr } = await lowland([
      "finetune",
      "cnn",
      "--weights",
      otherHead,
      ...small,
      "--out",
      out,
    ]);
    assert.equal(code, 0, stderr);
    assert.ok(
      stderr.includes(`the head, fc, is re-initialized since that in ${otherHead} has another size\n`),
      stderr,
    );
    const trained = await lowland([
      "train",
      "--model",
      "cnn",
      "--weights",
      otherHead,
      ...small,
      "--out",
      join(folder, "never"),
    ]);
    assert.equal(trained.code, 2);
    assert.match(
      trained.stderr,
      /of another shape are fc\.weight \[4, 64\] instead of \[10, 64\], fc\.bias \[4\] instead of \[10\]; to train another number of classes leave the head out \(--weights-except "fc\.weight,fc\.bias"\), or use lowland finetune\n$/,
    );
  });
});

test("the pixels that a network by name takes are scaled as its weights want them", async () => {
  const out = join(folder, "imagenet");
  const args = [
    "finetune",
    "cnn",
    "--weights",
    weights,
    "--normalization",
    "symmetric",
    ...small,
    "--out",
    out,
  ];
  const { code, stderr } = await lowland(args);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /^images 1×8×8, normalized by mean 0\.5 and deviation 0\.5 \(symmetric\)$/m);
  assert.equal(readJsonFile(out, "run.json").configuration.weights.normalization, "symmetric");
  const evaluated = await lowland(["evaluate", out, "--json"]);
  assert.deepEqual(JSON.parse(evaluated.stdout).metrics, readJsonFile(out, "summary.json").metrics);
});

describe("a flag that files and networks by name both have sets what the source has", () => {
  const args = ["--normalization", "symmetric", "--frozen", "conv1*", "--batch-norm", "batch", ...small];

  test("a file, whatever its document says of BatchNorm", async () => {
    const out = join(folder, "flags-of-a-file");
    const config = join(folder, "frozen-statistics.json");
    writeFileSync(config, JSON.stringify({ model: { batchNormalization: "frozen" } }));
    const { code, stderr } = await lowland(["finetune", base, "--config", config, ...args, "--out", out]);
    assert.equal(code, 0, stderr);
    const { model, parameters, weights: none } = readJsonFile(out, "run.json").configuration;
    assert.equal(model.normalization, "symmetric");
    assert.deepEqual(model.frozen, ["conv1*"]);
    assert.deepEqual(parameters.groups, []);
    assert.equal(none, undefined);
    const moved = movedIn(out);
    assert.ok(!moved.includes("conv1"), `${moved}`);
    const statistics = (file: string) => tensorsOf(join(file, "model.safetensors"))["bn5.running_mean"].data;
    assert.notDeepEqual(statistics(out), statistics(base));
  });

  test("a network by name", async () => {
    const out = join(folder, "flags-of-a-network");
    const { code, stderr } = await lowland(["finetune", "cnn", "--weights", weights, ...args, "--out", out]);
    assert.equal(code, 0, stderr);
    const { model, parameters, weights: given } = readJsonFile(out, "run.json").configuration;
    assert.equal(model, "cnn");
    assert.equal(given.normalization, "symmetric");
    assert.deepEqual(parameters.groups, [{ names: "conv1*", frozen: true }]);
    assert.equal(parameters.batchNormalization, "batch");
    assert.ok(!movedIn(out).includes("conv1"));
  });
});

describe("what cannot be started from is refused in one sentence", () => {
  const refused: [string[], RegExp][] = [
    [
      ["nothing"],
      /^there is no network "nothing" and no such file; name an ONNX file, a run folder, or a network with its --weights \(one of mlp, /,
    ],
    [
      [weights],
      /model\.safetensors holds weights without a network; name the network too, as in lowland finetune resnet18 --weights /,
    ],
    [
      ["cnn"],
      /^cnn needs weights to start from \(--weights file\.safetensors\); lowland train --model cnn trains it from the start$/,
    ],
    [
      ["cnn", "--weights", weights, "--dimension", "height=8"],
      /^--dimension is for ONNX files; cnn is a network by name/,
    ],
    [
      ["cnn", "--weights", weights, "--no-dropout"],
      /^--no-dropout is for ONNX files; cnn is a network by name/,
    ],
    [
      [join(base, "model.onnx"), "--weights", weights],
      /model\.onnx has weights of its own; --weights is for networks by name$/,
    ],
    [[folder], /is not a run folder: it holds no run\.json$/],
    [
      ["cnn", "--weights", weights, "--train", "last:9"],
      /^train is last:9, but the network has 6 stages: conv1, conv2, conv3, conv4, conv5, fc; choose at most last:6$/,
    ],
  ];
  for (const [args, sentence] of refused) {
    test(args.join(" ").replaceAll(folder, "…"), async () => {
      const { code, text } = await refusal(["finetune", ...args, ...small, "--out", join(folder, "never")]);
      assert.equal(code, 2, text);
      assert.match(text ?? "", sentence);
    });
  }
});
