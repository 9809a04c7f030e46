import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { train } from "../index.ts";
import { needsBrowser } from "../testing/chromium.ts";
import { playgroundOfTests } from "../testing/playground.ts";

// The playground in Chromium: what a visitor does, and the same run in Node.

describe("the playground", needsBrowser, () => {
  const opened = playgroundOfTests("epochs=2&seed=3");

  test("takes its settings from the address, and puts what is changed there", async () => {
    const { page } = opened;
    assert.equal(await page.inputValue("[name=epochs]"), "2");
    await page.locator("[name=noise]").fill("20");
    assert.match(page.url(), /noise=20&seed=3&epochs=2$/);
    await page.reload();
    assert.equal(await page.inputValue("[name=noise]"), "20");
    assert.equal(await page.inputValue("[name=seed]"), "3");
  });

  test("takes one step of every optimizer, goes on and pauses where all have taken as many", async () => {
    const { page, inState } = opened;
    await page.click("#step");
    await inState("paused");
    assert.match((await page.textContent("#state")) ?? "", /Paused after step 1 of/);
    await page.click("#step");
    await page.waitForFunction(() => document.getElementById("state")?.textContent?.includes("step 2 of"));
    await page.click("#train");
    await page.waitForTimeout(300);
    await page.click("#train");
    await inState("paused");
    await page.click("#train");
  });

  test("ends with the accuracies that Node has for the same documents", async () => {
    const { inState, cell, downloaded } = opened;
    await inState("finished");
    const document = JSON.parse(String(await downloaded("#download")));
    const { runs, ...shared } = document;
    for (const [index, { optimizer }] of runs.entries()) {
      const { summary } = await train({ ...shared, optimizer, threads: 1 });
      assert.equal(await cell(index + 1, 1), `${(100 * (summary?.metrics.accuracy ?? 0)).toFixed(1)} %`);
    }
    const own = JSON.parse(String(await downloaded("#rows tr:nth-child(4) button >> text=run.json")));
    assert.deepEqual(own, { ...shared, optimizer: runs[3].optimizer });
    const model = await downloaded("#rows tr:nth-child(1) button >> text=model.onnx");
    assert.ok(model.length > 100_000);
  });

  test("says what every network sees in a drawing", async () => {
    const { page } = opened;
    const box = await page.locator("#pad").boundingBox();
    assert.ok(box);
    const at = (x: number, y: number) => [box.x + x * box.width, box.y + y * box.height] as const;
    await page.mouse.move(...at(0.5, 0.15));
    await page.mouse.down();
    for (const [x, y] of [
      [0.25, 0.3],
      [0.2, 0.6],
      [0.5, 0.85],
      [0.8, 0.6],
      [0.75, 0.3],
      [0.5, 0.15],
    ])
      await page.mouse.move(...at(x, y), { steps: 5 });
    await page.mouse.up();
    // Answers follow the stroke, so the first ones are of a part of it.
    await page.waitForFunction(
      () =>
        [...document.querySelectorAll("#answers b")].filter((answer) => answer.textContent === "0").length >=
        3,
    );
  });

  test("measures every landscape and the curvature on demand", async () => {
    const { page } = opened;
    await page.waitForFunction(() => !(document.getElementById("landscapes") as HTMLButtonElement).disabled);
    await page.click("#rows tr:nth-child(1) td:nth-child(5) button");
    await page.waitForFunction(
      () => Number(document.querySelector("#rows tr td:nth-child(5)")?.textContent) > 0,
    );
  });

  test("says which files are no pictures, and trains on pictures of a folder", async () => {
    const { page, inState, cell } = opened;
    await page.selectOption("[name=data]", "pictures");
    assert.equal(await page.isVisible("#draw"), false);
    assert.equal(await page.isDisabled("#train"), true);
    await page.evaluate(async () => {
      const files: File[] = [];
      const place = (file: File, path: string) =>
        Object.defineProperty(file, "webkitRelativePath", { value: path });
      for (let number = 0; number < 20; number++)
        for (const color of ["red", "blue"]) {
          const canvas = new OffscreenCanvas(20, 20);
          const context = canvas.getContext("2d");
          if (!context) throw new Error("no context");
          context.fillStyle = color;
          context.fillRect(0, 0, 20, number + 1);
          files.push(
            place(new File([await canvas.convertToBlob()], `${number}.png`), `mine/${color}/${number}.png`),
          );
        }
      const input = document.getElementById("folder") as HTMLInputElement;
      const choose = (chosen: File[]) => {
        Object.defineProperty(input, "files", { value: chosen, configurable: true });
        input.dispatchEvent(new Event("change", { bubbles: true }));
      };
      Object.assign(globalThis, { chooseGood: () => choose(files) });
      choose([...files, place(new File(["no picture"], "bad.png"), "mine/red/bad.png")]);
    });
    await page.waitForSelector("#status.problem");
    assert.match((await page.textContent("#state")) ?? "", /bad\.png/);
    await page.evaluate("chooseGood()");
    await page.waitForFunction(() => document.getElementById("chosen")?.textContent?.includes("2 classes"));
    await page.click("#train");
    await inState("finished");
    assert.match((await cell(1, 1)) ?? "", /%/);
  });
});
