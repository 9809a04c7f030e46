import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { evaluateModel, loadDataset, train } from "../index.ts";
import { writeModel } from "../onnx/model.ts";
import { needsBrowser } from "../testing/chromium.ts";
import { onnxModel } from "../testing/onnx-models.ts";
import { choosePictures, playgroundOfTests } from "../testing/playground.ts";

// An ONNX file from PyTorch, for 5 classes of pictures of 3 × 9 × 9, fine-tuned in the playground.

const bytes = await readFile(fileURLToPath(new URL("../../fixtures/import/cnn.onnx", import.meta.url)));

describe("a visitor's ONNX file", needsBrowser, () => {
  const opened = playgroundOfTests("network=file&epochs=1&noise=20&seed=3");
  const choose = (name: string, content: Uint8Array) =>
    opened.page.setInputFiles("#file", {
      name,
      mimeType: "application/octet-stream",
      buffer: Buffer.from(content),
    });
  const state = async () => (await opened.page.textContent("#state")) ?? "";

  test("is asked for, and refused where it cannot be trained", async () => {
    const { page } = opened;
    assert.equal(await state(), "Choose an ONNX file, then press Train.");
    assert.equal(await page.isDisabled("#train"), true);
    const model = onnxModel({
      inputs: { input: ["batch", 64] },
      weights: { w: { type: "float32", shape: [64, 10], data: new Float32Array(640) } },
      nodes: [
        ["MatMul", ["input", "w"], ["x"], {}, "product"],
        ["NonZero", ["x"], ["logits"], {}, "places"],
      ],
      outputs: ["logits"],
    });
    await choose("places.onnx", writeModel(model));
    await page.waitForSelector("#status.problem");
    assert.match(await state(), /^places\.onnx cannot be trained: .*node "places" \(NonZero\)/);
    assert.equal(await page.isDisabled("#train"), true);
  });

  test("that diverges ends in a sentence for visitors, without options of the library", async () => {
    const { page } = opened;
    const large = (shape: number[]) => {
      const data = new Float32Array(shape[0] * shape[1]).fill(1e30);
      return { type: "float32" as const, shape, data };
    };
    const model = onnxModel({
      inputs: { input: ["batch", 64] },
      weights: { w: large([64, 16]), v: large([16, 10]) },
      nodes: [
        ["MatMul", ["input", "w"], ["x"]],
        ["MatMul", ["x", "v"], ["logits"]],
      ],
      outputs: ["logits"],
    });
    await choose("large.onnx", writeModel(model));
    await page.waitForFunction(() => document.getElementById("state")?.textContent === "Press Train.");
    await page.click("#train");
    await page.waitForSelector("#status.problem");
    assert.match(
      await state(),
      /^SGD: training diverged at step 1 \(epoch 1\): the loss .* is NaN; choose another network, seed or data$/,
    );
    assert.equal(await page.isDisabled("#train"), false);
  });

  test("is made to fit digits, trained, handed out, and trained alike in Node", async () => {
    const { page } = opened;
    await choose("mine.onnx", bytes);
    await page.waitForFunction(() => document.getElementById("state")?.textContent === "Press Train.");
    assert.match(
      (await page.textContent("#chosen-file")) ?? "",
      /^mine\.onnx: input \[batch, 3, 9, 9\] → .*5 classes/,
    );
    await page.click("#train");
    await opened.inState("finished");
    const notes = (await page.textContent("#notes")) ?? "";
    assert.match(notes, /is re-initialized: 12 features → 10 classes in place of 5/);
    assert.match(notes, /Images 1×8×8 → 3×9×9/);

    const shown = Number.parseFloat((await opened.cell(1, 1)) ?? "") / 100;
    const tuned = await opened.downloaded("#rows tr:nth-child(1) button >> text=model.onnx");
    const { test: images } = await loadDataset("digits");
    const { metrics } = await evaluateModel(tuned, images, { threads: 1 });
    assert.ok(Math.abs(metrics.accuracy - shown) < 0.01, `${metrics.accuracy}, and the page shows ${shown}`);

    const document = JSON.parse(
      String(await opened.downloaded("#rows tr:nth-child(1) button >> text=run.json")),
    );
    assert.equal(document.model.file, "mine.onnx");
    const model = { file: new File([bytes], "mine.onnx") };
    const { summary } = await train({ ...document, model, threads: 1 });
    const accuracy = summary?.metrics.accuracy ?? 0;
    assert.ok(Math.abs(accuracy - shown) < 0.01, `${accuracy} in Node, and the page shows ${shown}`);
  });

  const draw = async () => {
    const { page } = opened;
    const box = await page.locator("#pad").boundingBox();
    assert.ok(box);
    await page.mouse.move(box.x + 60, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + 60, box.y + 110, { steps: 3 });
    await page.mouse.up();
  };

  test("answers for a drawing", async () => {
    const { page } = opened;
    await draw();
    await page.waitForFunction(() =>
      [...document.querySelectorAll("#answers b")].every(({ textContent }) => /^\d$/.test(textContent ?? "")),
    );
  });

  test("takes pictures of its own size", async () => {
    const { page } = opened;
    await page.selectOption("[name=data]", "pictures");
    await choosePictures(page);
    await page.waitForFunction(() =>
      document.getElementById("chosen-pictures")?.textContent?.includes("2 classes"),
    );
    await page.click("#train");
    await opened.inState("finished");
    assert.match((await page.textContent("#notes")) ?? "", /2 classes in place of 5/);
    // With all that there can be, everything is on one screen of 1280 × 800.
    const hidden = await page.evaluate(() =>
      [...globalThis.document.querySelectorAll("html, #settings, #results, aside")].map(
        ({ scrollHeight, clientHeight }) => scrollHeight - clientHeight,
      ),
    );
    assert.deepEqual(hidden, [0, 0, 0, 0]);
    const document = JSON.parse(String(await opened.downloaded("#download")));
    assert.deepEqual(document.images, { size: 9, channels: 3 });
  });

  test("of other pictures is not asked for a drawing", async () => {
    const { page } = opened;
    await page.evaluate(() => {
      const send = Worker.prototype.postMessage;
      Worker.prototype.postMessage = function (this: Worker, request, ...more: never[]) {
        if (request.type === "predict") globalThis.document.documentElement.dataset.asked = "";
        send.call(this, request, ...more);
      };
    });
    const asked = () => page.evaluate(() => globalThis.document.documentElement.dataset.asked);
    await page.click("#train");
    await page.waitForFunction(() => document.documentElement.dataset.state !== "finished");
    await opened.inState("finished");
    assert.equal(await asked(), undefined);
    await page.selectOption("[name=data]", "digits");
    await draw();
    assert.equal(await asked(), undefined);
    assert.equal(await state(), "Press Train.");
  });
});
