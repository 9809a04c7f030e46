import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadDataset, openEngine, train } from "../index.ts";
import { writeModel } from "../onnx/model.ts";
import { assertClose } from "../testing/numeric.ts";
import { onnxModel } from "../testing/onnx-models.ts";
import { answeringProgram, openTrained, readNetworkFile } from "./network-file.ts";

// ONNX files that a visitor of the playground chooses, without a page.

const fixture = async (path: string, name: string) =>
  new File([await readFile(fileURLToPath(new URL(`../../fixtures/${path}`, import.meta.url)))], name);

const weights = { w: { type: "float32", shape: [64, 10], data: new Float32Array(640) } } as const;

describe("an ONNX file that is chosen", () => {
  test("is described by what it takes, gives and trains", async () => {
    const { description, pictures } = await readNetworkFile(await fixture("import/cnn.onnx", "mine.onnx"));
    // fixtures/import/make.py: 216 + 16 + 228 + 65, and 16 running statistics.
    assert.equal(
      description,
      "mine.onnx: input [batch, 3, 9, 9] → logits, 5 classes; 525 of 541 parameters train",
    );
    assert.deepEqual(pictures, { size: 9, channels: 3 });
  });

  test("may be made for one batch size, or have BatchNorm that one example has no statistics for", async () => {
    for (const path of ["fixed-batch/cntk.onnx", "older-batchnorm-dropout/bnspatial0.onnx"])
      assert.match(
        (await readNetworkFile(await fixture(`field/${path}`, "a.onnx"))).description,
        /10 classes/,
      );
  });

  /** A product, and behind it what cannot be trained through. */
  const endingIn = (operator: string, name: string) => () =>
    new File(
      [
        writeModel(
          onnxModel({
            inputs: { input: ["batch", 64] },
            weights,
            nodes: [
              ["MatMul", ["input", "w"], ["x"], {}, "product"],
              [operator, ["x"], ["logits"], {}, name],
            ],
            outputs: ["logits"],
          }),
        ) as Uint8Array<ArrayBuffer>,
      ],
      "mine.onnx",
    );
  const refused: Record<string, [file: () => File, sentence: RegExp]> = {
    "that cannot be trained, naming the node": [
      endingIn("NonZero", "places"),
      /^mine\.onnx cannot be trained: .*node "places" \(NonZero\)/,
    ],
    "whose parameters no gradient reaches, naming the node": [
      endingIn("Round", "steps"),
      /^mine\.onnx cannot be trained: .*node "steps" \(Round\)/,
    ],
    "that is none": [() => new File(["no model"], "mine.onnx"), /^mine\.onnx/],
    "that is too large for a page": [
      () => Object.defineProperty(new File([], "vast.onnx"), "size", { value: 250e6 }),
      /^vast\.onnx has 250 MB, and the page trains files of up to 100 MB; /,
    ],
  };
  for (const [what, [file, sentence]] of Object.entries(refused)) {
    test(`is refused ${what}`, async () => {
      await assert.rejects(
        async () => readNetworkFile(await file()),
        (error: Error) => {
          assert.equal(error.name, "UserError");
          assert.match(error.message, sentence);
          return true;
        },
      );
    });
  }
});

test("a fine-tuned file answers as it does in ONNX Runtime, and is measured with its own weights", async () => {
  const file = await fixture("field/fixed-batch/cntk.onnx", "cntk.onnx");
  const settings = { data: "digits", epochs: 1, limit: 64, batchSize: 8, threads: 1 } as const;
  const { model } = await train({ ...settings, model: { file }, sharpness: { images: 8 } });
  const data = await loadDataset("digits");
  const { image } = data.test.read(0);
  const pixels = Float32Array.from(image.data);
  // What the file takes: normalized as in training.
  const { mean, deviation, maximum } = data.train;
  const normalized = pixels.map((pixel) => (pixel / maximum - mean[0]) / deviation[0]);
  const { program, batch } = await answeringProgram(model, data.train);
  assert.equal(batch, 1);
  const engine = openEngine({ threads: 1 });
  try {
    await engine.load("answer", program);
    await engine.load("file", model);
    const run = async (name: string, input: string, values: Float32Array<ArrayBuffer>) => {
      const tensor = { type: "float32", shape: [1, 1, 8, 8], data: values } as const;
      return (await engine.run(name, { [input]: tensor })).outputs;
    };
    const { probabilities } = await run("answer", "input", pixels);
    const [own] = Object.values(await run("file", await inputName(model), normalized));
    const powers = Array.from(own.data as Float32Array, Math.exp);
    const sum = powers.reduce((total, power) => total + power, 0);
    assertClose(
      [...(probabilities.data as Float32Array)],
      powers.map((power) => power / sum),
      1e-5,
    );
  } finally {
    await engine.close();
  }
  const { tensors } = await openTrained(model, data.train);
  assert.ok(Object.keys(tensors).length > 0);
});

async function inputName(model: Uint8Array): Promise<string> {
  const { inspectModel } = await import("../index.ts");
  return (await inspectModel(model)).inputs[0].name;
}
