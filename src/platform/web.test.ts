import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { train } from "../index.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { needsBrowser, openPages, type Pages } from "../testing/chromium.ts";
import { using } from "../testing/engines.ts";
import { firstImages } from "../testing/web-runs.ts";

// The library in a page of Chromium, against Node.

describe("a page", needsBrowser, () => {
  let pages: Pages;
  let page: Page;

  before(async () => {
    pages = await openPages();
    page = await pages.open();
  });
  after(() => pages?.close());

  const run = {
    model: "mlp",
    epochs: 2,
    batchSize: 64,
    limit: 640,
    seed: 3,
    sharpness: { images: 64 },
  } as const;

  test("trains as Node does: losses to 1e-5, accuracies, the file's logits", async () => {
    const losses: number[] = [];
    const node = await train({ ...run, data: "digits", threads: 1, onStep: ({ loss }) => losses.push(loss) });
    const web = await page.evaluate(async (settings) => {
      const losses: number[] = [];
      const { train, bilateralSam, sgd } = globalThis.lowland;
      const optimizer = bilateralSam(sgd({ momentum: 0.9, weightDecay: 1e-3 }));
      const onStep = ({ loss }: { loss: number }) => losses.push(loss);
      const { summary, model } = await train({ ...settings, data: "digits", optimizer, onStep });
      return { losses, metrics: summary?.metrics, model: Array.from(model) };
    }, run);
    assert.equal(web.losses.length, losses.length);
    for (let step = 0; step < 5; step++)
      assert.ok(
        Math.abs(web.losses[step] - losses[step]) < 1e-5,
        `step ${step + 1}: ${web.losses[step]}, ${losses[step]}`,
      );
    assert.deepEqual(web.metrics, node.summary?.metrics);
    const input = await firstImages(100);
    await using(new OnnxRuntimeEngine({ threads: 1 }), async (engine) => {
      const logits = async (model: Uint8Array) => {
        await engine.load("model", model);
        return (await engine.run("model", { input })).outputs.logits.data as Float32Array;
      };
      const [own, others] = [await logits(node.model), await logits(Uint8Array.from(web.model))];
      assert.ok(own.every((value, at) => Math.abs(value - others[at]) < 1e-4));
    });
  });
});
