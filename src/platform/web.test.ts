import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { train } from "../index.ts";
import { writeModel } from "../onnx/model.ts";
import {
  assertTrainsAlike,
  type Losses,
  needsBrowser,
  pagesOfTests,
  trainInPage,
} from "../testing/chromium.ts";
import { onnxModel } from "../testing/onnx-models.ts";
import { pngOfNumbers } from "../testing/png.ts";

// The library in a page of Chromium, against Node: what takes seconds. `web.slow.test.ts` has the rest.

describe("a page", needsBrowser, () => {
  const opened = pagesOfTests();

  const run = {
    model: "mlp",
    epochs: 2,
    batchSize: 64,
    limit: 640,
    seed: 3,
    sharpness: { images: 64 },
  } as const;

  test("trains as Node does, and its file gives Node's logits", async () => {
    const losses: number[] = [];
    const onStep = ({ loss }: { loss: number }) => losses.push(loss);
    const node = await train({ ...run, data: "digits", threads: 1, onStep });
    await assertTrainsAlike(await trainInPage(opened.page, run), { ...node, losses });
  });

  test("resumes a run that was cut off as if it had never stopped, in another page too", async () => {
    const settings = { ...run, data: "digits", limit: 320 };
    const whole: Losses = await opened.page.evaluate(async (settings) => {
      const losses: number[] = [];
      const onStep = ({ loss }: { loss: number }) => losses.push(loss);
      const { summary } = await globalThis.lowland.train({ ...settings, onStep });
      return { losses, metrics: summary?.metrics };
    }, settings);
    const other = await opened.page.context().newPage();
    await other.goto(opened.page.url());
    await other.waitForFunction("globalThis.lowland !== undefined");
    const status = await other.evaluate(async (settings) => {
      const stop = new AbortController();
      const hooks = { out: "runs/one", signal: stop.signal, onEpoch: () => stop.abort() };
      return (await globalThis.lowland.train({ ...settings, ...hooks })).summary?.status;
    }, settings);
    assert.equal(status, "interrupted");
    await other.close();
    const resumed = await opened.page.evaluate(async (settings) => {
      const losses: number[] = [];
      const onStep = ({ loss }: { loss: number }) => losses.push(loss);
      const out = { out: "runs/one", existing: "resume" } as const;
      const { summary, epochs } = await globalThis.lowland.train({ ...settings, ...out, onStep });
      const refused = await globalThis.lowland
        .train({ ...settings, ...out, seed: 4 })
        .catch((error: Error) => error.message);
      return { losses, metrics: summary?.metrics, epochs: epochs.length, name: summary?.name, refused };
    }, settings);
    assert.deepEqual([resumed.epochs, resumed.name], [2, "one"]);
    assert.deepEqual(resumed.losses, whole.losses.slice(5));
    assert.deepEqual(resumed.metrics, whole.metrics);
    assert.match(String(resumed.refused), /^the run in runs\/one has seed 3, not 4; /);
  });

  test("stops for a signal that comes from outside the training", async () => {
    const steps = await opened.page.evaluate(async (settings) => {
      let steps = 0;
      const stop = new AbortController();
      setTimeout(() => stop.abort(), 200);
      const onStep = () => steps++;
      const { summary } = await globalThis.lowland.train({
        ...{ ...settings, data: "digits", epochs: 10_000, signal: stop.signal, onStep },
      });
      return { steps, status: summary?.status };
    }, run);
    assert.ok(steps.steps < 50_000 && steps.status !== "finished");
  });

  /** Pictures of one color each: red for one class, blue for the other. */
  const pictures = ["red", "blue"].flatMap((name, place) =>
    Array.from({ length: 12 }, (_, index) => {
      const color = [place === 0 ? 255 - index : 0, 0, place === 1 ? 255 - index : 0];
      const numbers = Array.from({ length: 3 * 10 * 10 }, (_, at) => color[at % 3]);
      return {
        path: `${name}/${index}.png`,
        bytes: [...pngOfNumbers({ numbers, width: 10, depth: 8, type: "colors" })],
      };
    }),
  );

  test("makes data of pictures, with a folder for each class", async () => {
    const {
      train: found,
      trained,
      classes,
    } = await opened.page.evaluate(async (pictures) => {
      const { imagesFromFiles, train } = globalThis.lowland;
      const files = pictures.map(({ path, bytes }) => {
        const file = new File([Uint8Array.from(bytes)], path.slice(path.indexOf("/") + 1));
        // As an input with webkitdirectory gives them.
        Object.defineProperty(file, "webkitRelativePath", { value: `colors/${path}` });
        return file;
      });
      const data = await imagesFromFiles([...files, new File(["x"], "notes.txt")], { size: 8 });
      const { classNames, count, channels, height, name } = data.train;
      const pixels = Array.from(data.train.read(0).image.data.slice(0, 3));
      const settings = { model: "mlp", batchSize: 8, epochs: 20, augmentation: {}, sharpness: { images: 8 } };
      const { summary } = await train({ data, ...settings });
      return {
        train: { count, channels, height, name, pixels },
        classes: [...classNames],
        trained: summary?.metrics.accuracy,
      };
    }, pictures);
    assert.deepEqual(classes, ["blue", "red"]);
    assert.deepEqual([found.count, found.channels, found.height, found.name], [20, 3, 8, "colors"]);
    // The first of a blue one: no red.
    assert.deepEqual(found.pixels, [0, 0, 0]);
    assert.equal(trained, 1);
  });

  test("makes the same data of a directory handle, and of files with paths", async () => {
    const fingerprints = await opened.page.evaluate(async (pictures) => {
      const { imagesFromFiles } = globalThis.lowland;
      const placed = pictures.map(({ path, bytes }) => ({ path, file: new Blob([Uint8Array.from(bytes)]) }));
      // A folder of the page's own storage: its handle is of the kind that pickers and dropped folders give.
      const root = await navigator.storage.getDirectory();
      const folder = await root.getDirectoryHandle("colors", { create: true });
      for (const { path, file } of placed) {
        const [color, name] = path.split("/");
        const inside = await folder.getDirectoryHandle(color, { create: true });
        const writable = await (await inside.getFileHandle(name, { create: true })).createWritable();
        await writable.write(file);
        await writable.close();
      }
      const classes = [];
      for await (const handle of folder.values()) if (handle.kind === "directory") classes.push(handle);
      const found = [];
      for (const source of [placed, folder, classes]) {
        const { train, test } = await imagesFromFiles(source, { size: 8 });
        found.push([train.fingerprint, test.fingerprint, train.count, train.classNames.join()].join(" "));
      }
      return found;
    }, pictures);
    assert.match(fingerprints[0], / 20 blue,red$/);
    assert.deepEqual(fingerprints, new Array(3).fill(fingerprints[0]));
  });

  test("names a corrupt picture, the limit of pictures, and files without a folder", async () => {
    const messages = await opened.page.evaluate(async (pictures) => {
      const { imagesFromFiles } = globalThis.lowland;
      const placed = pictures.map(({ path, bytes }) => ({ path, file: new Blob([Uint8Array.from(bytes)]) }));
      const message = (promise: Promise<unknown>) =>
        promise.then(
          () => "accepted",
          (error: Error) => error.message,
        );
      const cut = { path: "red/cut.png", file: new Blob([Uint8Array.from(pictures[0].bytes.slice(0, 40))]) };
      const none = { path: "blue/none.jpg", file: new Blob([]) };
      const file = new Blob([]);
      const many = Array.from({ length: 100_000 }, (_, index) => ({
        path: `a/${index}.png`,
        file,
      }));
      return [
        await message(imagesFromFiles([...placed, cut, none])),
        await message(imagesFromFiles([...placed, cut, none], { onBadImage: "skip" })),
        await message(imagesFromFiles(many)),
        await message(imagesFromFiles(placed, { limit: 10 })),
        await message(imagesFromFiles([new File([], "one.png")])),
        await message(globalThis.lowland.train({ data: "fashion-mnist" })),
      ];
    }, pictures);
    const [corrupt, skipped, many, limited, loose, named] = messages;
    assert.match(
      corrupt,
      /^pictures: 2 files cannot be used: .*red\/cut\.png \(it is no picture that this browser/,
    );
    assert.match(corrupt, /blue\/none\.jpg \(the file is empty\)/);
    assert.equal(skipped, "accepted");
    assert.match(many, /^100,000 pictures were chosen, and the limit is 20,000; /);
    assert.match(limited, /^24 pictures were chosen, and the limit is 10; /);
    assert.match(loose, /^one\.png lies in no folder/);
    assert.match(
      named,
      /^fashion-mnist is read from files, which a page does not have; name digits, or give images/,
    );
  });

  test("names the node of a file that cannot be trained", async () => {
    const weights = { w: { type: "float32", shape: [64, 10], data: new Float32Array(640) } } as const;
    const model = onnxModel({
      inputs: { input: ["batch", 64] },
      weights,
      nodes: [
        ["MatMul", ["input", "w"], ["x"], {}, "product"],
        ["NonZero", ["x"], ["logits"], {}, "places"],
      ],
      outputs: ["logits"],
    });
    const message = await opened.page.evaluate(
      (bytes) =>
        globalThis.lowland
          .train({ data: "digits", model: { file: new File([Uint8Array.from(bytes)], "mine.onnx") } })
          .then(
            () => "trained",
            (error: Error) => `${error.name}: ${error.message}`,
          ),
      [...writeModel(model)],
    );
    assert.match(message, /^UserError: .*places/);
  });

  test("loads ONNX Runtime again after a failure", async () => {
    const page = await opened.pages.open();
    const failures = await page.evaluate(async () => {
      const { train, useOnnxRuntime } = globalThis.lowland;
      let loads = 0;
      useOnnxRuntime({ cpu: () => Promise.reject(new Error(`load ${++loads} failed`)) });
      const failure = () => train({ data: "digits" }).catch((error: Error) => error.message);
      return [await failure(), await failure()];
    });
    assert.deepEqual(failures, ["load 1 failed", "load 2 failed"]);
  });

  test("says in a sentence that the browser has no SIMD", async () => {
    const old = await opened.pages.open();
    const message = await old.evaluate(() => {
      WebAssembly.validate = () => false;
      return globalThis.lowland.train({ data: "digits" }).catch((error: Error) => error.message);
    });
    assert.match(String(message), /^this browser has no WebAssembly SIMD/);
  });
});
