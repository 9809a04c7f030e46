import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { train } from "../index.ts";
import { needsBrowser, softwareGpu } from "../testing/chromium.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { choosePictures, openPlayground, playgroundOfTests } from "../testing/playground.ts";
import { pngOfNumbers } from "../testing/png.ts";

// The playground in Chromium: what a visitor does, and the same run in Node.

describe("the playground", needsBrowser, () => {
  const opened = playgroundOfTests("epochs=2&seed=3");

  test("takes its settings from the address, and puts what is changed there", async () => {
    const { page } = opened;
    assert.equal(await page.inputValue("[name=epochs]"), "2");
    await page.locator("[name=noise]").fill("20");
    assert.match(page.url(), /noise=20&seed=3&epochs=2$/);
    await page.reload();
    assert.equal(await page.textContent("#draw-note"), "Networks answer after their first epoch.");
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
    assert.match((await page.textContent("#draw-note")) ?? "", /^Draw with /);
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

  test("leaves out files that are no pictures and names them, and trains on pictures of a folder", async () => {
    const { page, inState, cell, downloaded } = opened;
    await page.selectOption("[name=data]", "pictures");
    assert.equal(await page.isVisible("#draw"), false);
    assert.equal(await page.isDisabled("#train"), true);
    const chosen = (text: string) =>
      page.waitForFunction(
        (text) => document.getElementById("chosen-pictures")?.textContent?.includes(text),
        text,
      );
    await choosePictures(page, { others: 1 });
    await chosen("2 classes");
    assert.match(
      (await page.textContent("#chosen-pictures")) ?? "",
      /^mine: 2 classes, \d+ pictures to train on, \d+ to test on\. 1 file cannot be used: red\/other-0\.png \(.*\); left out\.$/,
    );
    await page.click("#step");
    await inState("paused");
    assert.equal(JSON.parse(String(await downloaded("#download"))).images.onBadImage, "skip");
    await page.click("#reset");
    await inState("idle");
    await choosePictures(page, { others: 100_000 });
    await page.waitForFunction(() => document.getElementById("state")?.textContent?.includes("were chosen"));
    assert.match(
      (await page.textContent("#state")) ?? "",
      /^100,040 pictures were chosen, and the limit is 20,000; choose a folder with fewer$/,
    );
    assert.equal(await page.isDisabled("#train"), true);
    await choosePictures(page);
    await chosen("2 classes, 32 pictures to train on, 8 to test on.");
    await page.click("#train");
    await inState("finished");
    assert.match((await cell(1, 1)) ?? "", /%/);
  });

  test("takes a folder that is dropped", async () => {
    const { page } = opened;
    const folder = temporaryFolder();
    for (const [place, color] of ["red", "green", "blue"].entries()) {
      mkdirSync(join(folder, color));
      const numbers = Array.from({ length: 3 * 64 }, (_, at) => (at % 3 === place ? 255 : 0));
      for (let index = 0; index < 5; index++)
        writeFileSync(
          join(folder, color, `${index}.png`),
          pngOfNumbers({ numbers, width: 8, depth: 8, type: "colors" }),
        );
    }
    const box = await page.locator("#drop").boundingBox();
    assert.ok(box);
    const session = await page.context().newCDPSession(page);
    const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    const data = { items: [], files: [folder], dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"] as const)
      await session.send("Input.dispatchDragEvent", { type, ...at, data });
    await page.waitForFunction(() =>
      document
        .getElementById("chosen-pictures")
        ?.textContent?.includes("3 classes, 12 pictures to train on, 3 to test on"),
    );
  });
});

describe("a device", needsBrowser, () => {
  test("that this browser does not have is refused before anything is loaded", async () => {
    const without = await openPlayground("device=webgpu");
    try {
      const { page } = without;
      const loaded: string[] = [];
      page.on("request", (request) => loaded.push(request.url()));
      await page.click("#train");
      await page.waitForSelector("#status.problem");
      assert.match((await page.textContent("#state")) ?? "", /WebGPU.*, or train on the CPU$/);
      assert.deepEqual(
        loaded.filter((url) => url.endsWith(".wasm")),
        [],
      );
      await page.selectOption("[name=device]", "cpu");
      assert.match(page.url(), /device=cpu/);
      await page.click("#step");
      await without.inState("paused");
    } finally {
      await without.close();
    }
  });

  test("that passes its test takes the steps, and the page says so", async () => {
    const gpu = await openPlayground("device=webgpu", { args: softwareGpu });
    try {
      const { page } = gpu;
      await page.click("#step");
      await gpu.inState("paused");
      assert.match((await page.textContent("#device-note")) ?? "", /^On webgpu.*, which passed its test\.$/);
      const document = JSON.parse(String(await gpu.downloaded("#download")));
      assert.equal(document.device, undefined);
    } finally {
      await gpu.close();
    }
  });
});

test("a browser without SIMD is told so, and shown nothing else", needsBrowser, async () => {
  const old = await openPlayground("", {
    prepare: (page) =>
      page.addInitScript(() => {
        WebAssembly.validate = () => false;
      }),
  });
  try {
    await old.page.waitForSelector("#blocked");
    assert.match((await old.page.textContent("#blocked")) ?? "", /^This browser has no WebAssembly SIMD/);
    assert.equal(await old.page.isVisible("main"), false);
  } finally {
    await old.close();
  }
});

test(
  "on a phone nothing is wider than the screen, and clean labels have a sentence for a chart",
  needsBrowser,
  async () => {
    const phone = await openPlayground("epochs=1&noise=0", { viewport: { width: 390, height: 844 } });
    try {
      const { page } = phone;
      await page.click("#train");
      await phone.inState("finished");
      const widths = await page.evaluate(() =>
        ["html", ".scroll", "#rows"].map((place) => document.querySelector(place)?.scrollWidth),
      );
      assert.ok(
        widths.every((width = 0) => width > 0 && width <= 390),
        widths.join(),
      );
      assert.equal(await page.isVisible(".chart.clean"), true);
      assert.equal(await page.isVisible("#learned"), false);
    } finally {
      await phone.close();
    }
  },
);
