import assert from "node:assert/strict";
import { cpSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { flatness, loadDataset, openEngine, train, weights } from "../index.ts";
import { createModel } from "../nn/models.ts";
import { classificationSurface } from "../tasks/classification-surface.ts";
import { assertTrainsAlike, bundle, needsBrowser, pagesOfTests, trainInPage } from "../testing/chromium.ts";
import { assertClose } from "../testing/numeric.ts";

// The library in a page of Chromium, against Node: what takes longer.

const dist = fileURLToPath(new URL("..", import.meta.url));

// scripts/layers.mjs, which is plain JavaScript and not compiled.
const { pureFolders }: { pureFolders: readonly string[] } = await import(
  new URL("../../scripts/layers.mjs", import.meta.url).href
);

describe("a page", needsBrowser, () => {
  const opened = pagesOfTests();

  for (const model of ["mlp", "cnn"]) {
    for (const method of ["sgd", "bilateral-sam"] as const) {
      test(`trains ${model} with ${method} for five epochs as Node does`, async () => {
        const settings = { model, epochs: 5, batchSize: 64, seed: 2, sharpness: { images: 64 } };
        const losses: number[] = [];
        const onStep = ({ loss }: { loss: number }) => losses.push(loss);
        const optimizer = { method } as { method: "sgd" };
        const node = await train({ ...settings, optimizer, data: "digits", threads: 1, onStep });
        // Over 110 steps a network of convolutions makes differences of rounding large: in Node alone, two forms of the same
        // gradient end 1e-7 to 3e-3 apart in their losses with SGD, depending on the seed.
        const tolerance = model === "mlp" ? 1e-5 : { sgd: 0.05, "bilateral-sam": 0.5 }[method];
        await assertTrainsAlike(
          await trainInPage(opened.page, { ...settings, method }),
          { ...node, losses },
          tolerance,
        );
      });
    }
  }

  test("gives the logits of Node's file after five steps of bilateral SAM on cnn", async () => {
    const settings = {
      model: "cnn",
      epochs: 1,
      batchSize: 64,
      limit: 320,
      seed: 2,
      sharpness: { images: 64 },
    };
    const losses: number[] = [];
    const onStep = ({ loss }: { loss: number }) => losses.push(loss);
    const node = await train({ ...settings, data: "digits", threads: 1, onStep });
    await assertTrainsAlike(await trainInPage(opened.page, settings), { ...node, losses }, 1e-4);
  });

  test("measures eigenvalues and a landscape as Node does", async () => {
    const { tensors } = await train({ data: "digits", model: "mlp", epochs: 1, limit: 320, threads: 1 });
    const bytes = weights.writeSafetensors(tensors);
    const web = await opened.page.evaluate(
      async (bytes) => {
        const { classificationSurface, flatness, loadDataset, nn, openEngine, weights } = globalThis.lowland;
        const { tensors } = weights.readSafetensors(Uint8Array.from(bytes), "weights");
        const layer = nn.createModel("mlp", { channels: 1, height: 8, width: 8, classes: 10 });
        const { train: data } = await loadDataset("digits");
        const engine = openEngine();
        const surface = await flatness.openSurface(
          [engine],
          classificationSurface({ layer }, tensors, data, { images: 200 }),
        );
        const { largest } = await flatness.spectrum(surface, { largest: 3, tolerance: 1e-3 });
        const direction = flatness.filterNormalizedDirection(surface, 1);
        const { loss } = await flatness.landscape(surface, {
          directions: [direction],
          coordinates: [[-0.5, 0, 0.5]],
        });
        await engine.close();
        return { values: largest.map(({ value }) => value), loss };
      },
      [...bytes],
    );
    const engine = openEngine({ threads: 1 });
    try {
      const layer = createModel("mlp", { channels: 1, height: 8, width: 8, classes: 10 });
      const { train: data } = await loadDataset("digits");
      const given = classificationSurface({ layer }, tensors, data, { images: 200 });
      const surface = await flatness.openSurface([engine], given);
      const { largest } = await flatness.spectrum(surface, { largest: 3, tolerance: 1e-3 });
      const directions = [flatness.filterNormalizedDirection(surface, 1)];
      const { loss } = await flatness.landscape(surface, { directions, coordinates: [[-0.5, 0, 0.5]] });
      assertClose(
        web.values,
        largest.map(({ value }) => value),
        1e-2,
      );
      assertClose(web.loss, loss, 1e-5);
    } finally {
      await engine.close();
    }
  });

  test("fine-tunes anybody's ONNX file, its head re-initialized, and evaluates what comes of it", async () => {
    const { model } = await train({ data: "digits", model: "cnn", epochs: 2, threads: 1 });
    const tuned = await opened.page.evaluate(
      async (bytes) => {
        const { evaluateModel, inspectModel, loadDataset, onnx, train } = globalThis.lowland;
        const file = new File([Uint8Array.from(bytes)], "cnn.onnx");
        const notes: string[] = [];
        const settings = { epochs: 2, batchSize: 64, learningRate: 0.02, sharpness: { images: 64 } };
        const { summary, model } = await train({
          ...{ ...settings, data: "digits", model: { file }, onNote: (note: string) => notes.push(note) },
          parameters: { newHead: true, train: "head" },
        });
        const { test } = await loadDataset("digits");
        const { metrics } = await evaluateModel(model, test);
        const { parameters } = await onnx.loadModel(model, { batchSize: 4 });
        const { training } = await inspectModel(model);
        return {
          notes,
          trained: summary?.metrics,
          metrics,
          parameters: parameters.length,
          training: training !== undefined,
        };
      },
      [...model],
    );
    assert.ok(
      tuned.notes.some((note) => /the head, .*, is re-initialized/.test(note)),
      tuned.notes.join(),
    );
    assert.ok(tuned.notes.some((note) => /computed once and kept/.test(note)));
    assert.ok((tuned.trained?.accuracy ?? 0) > 0.8);
    assert.equal(tuned.metrics.accuracy, tuned.trained?.accuracy);
    assert.ok(tuned.parameters > 0 && tuned.training);
  });

  test("takes the mask of a ReLU in its own form, exactly 0 or 1", async () => {
    const numbers = [0, -0, 1, -1, 1.4e-45, 1e-40, 1.2e-38, -1e-40, 3.4e38, Infinity, -Infinity];
    const found = await opened.page.evaluate(async (numbers) => {
      const { compile, Graph, gradients, openEngine, ops, tensorData } = globalThis.lowland;
      const graph = new Graph();
      const x = graph.input("x", "float32", [numbers.length]);
      graph.output("mask", gradients(ops.reduceSum(ops.relu(x)), [x])[0]);
      const engine = openEngine();
      const target = await engine.target();
      await engine.load("mask", compile(graph, { target }));
      const { outputs } = await engine.run("mask", { x: tensorData(numbers, [numbers.length], "float32") });
      await engine.close();
      return { target, mask: Array.from(outputs.mask.data, Number) };
    }, numbers);
    assert.deepEqual(found, {
      target: { webAssembly: true },
      mask: numbers.map((number) => (number > 0 ? 1 : 0)),
    });
  });

  test("trains with several threads where it is isolated, to the same losses", async () => {
    const settings = { model: "mlp", epochs: 1, batchSize: 64, limit: 640, sharpness: { images: 64 } };
    const isolated = await opened.pages.open({ isolated: true });
    assert.equal(await isolated.evaluate("crossOriginIsolated"), true);
    const [several, one] = [
      await trainInPage(isolated, { ...settings, threads: 2 }),
      await trainInPage(opened.page, settings),
    ];
    assertClose(several.losses.slice(0, 5), one.losses.slice(0, 5), 1e-6);
    assert.deepEqual(several.metrics, one.metrics);
  });

  test("trains from a script without a bundler, ONNX Runtime named by an import map", async () => {
    const runtime = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
    for (const name of ["ort.wasm.bundle.min.mjs"])
      cpSync(join(runtime, name), join(opened.pages.folder, name));
    cpSync(join(dist, "lowland.web.min.js"), join(opened.pages.folder, "lowland.web.min.js"));
    writeFileSync(
      join(opened.pages.folder, "plain.html"),
      `<!doctype html><meta charset="utf-8">
<script type="importmap">{ "imports": { "onnxruntime-web/wasm": "./ort.wasm.bundle.min.mjs" } }</script>
<script type="module">
  import { sam, sgd, train } from "./lowland.web.min.js";
  const { summary } = await train({ data: "digits", optimizer: sam(sgd()), epochs: 1, batchSize: 64 });
  document.title = summary.optimizer + " " + summary.status;
</script>`,
    );
    const plain = await opened.page.context().newPage();
    await plain.goto(`${opened.pages.address}/plain.html`, { waitUntil: "commit" });
    await plain.waitForFunction("document.title !== ''", undefined, { timeout: 60_000 });
    assert.match(await plain.title(), /^sam .* finished$/);
    await plain.close();
  });

  test("says so where its threads cannot start: ONNX Runtime in one file with other code", async () => {
    const { pages } = opened;
    await build({
      stdin: {
        contents: 'import * as lowland from "lowland"; globalThis.lowland = lowland;',
        resolveDir: join(dist, "../examples"),
      },
      bundle: true,
      format: "esm",
      platform: "browser",
      outfile: join(pages.folder, "one-file.js"),
      logLevel: "error",
    });
    writeFileSync(
      join(pages.folder, "one-file.html"),
      '<!doctype html><script type="module" src="/one-file.js"></script>',
    );
    const page = await (await pages.browser.newContext()).newPage();
    // The page's own clock, which the test moves on.
    await page.clock.install();
    await page.goto(`${pages.address}/one-file.html`);
    let message: string | undefined;
    const trained = page
      .evaluate(() =>
        globalThis.lowland.train({ data: "digits", model: "mlp", epochs: 1, threads: 2 }).then(
          () => "trained",
          (error: Error) => error.message,
        ),
      )
      .then((said) => {
        message = said;
      });
    for (let waits = 0; message === undefined && waits < 300; waits++) {
      await page.clock.fastForward("01:00");
      await setTimeout(100);
    }
    assert.match(
      String(message),
      /^ONNX Runtime did not start its 2 threads in 120 seconds; set threads to 1, /,
    );
    await trained;
    await page.context().close();
  });

  test("loads every module of the folders that run without Node, with Node's exports", async () => {
    const modules = pureFolders.flatMap((folder) =>
      readdirSync(join(dist, folder), { recursive: true, encoding: "utf8" })
        .map((file) => `${folder}/${file.replaceAll("\\", "/")}`)
        .filter((file) => file.endsWith(".js") && !file.endsWith(".test.js")),
    );
    const source = modules.map((path, at) => `import * as m${at} from ${JSON.stringify(join(dist, path))};`);
    const exported = modules.map((path, at) => `[${JSON.stringify(path)}, Object.keys(m${at})]`);
    await bundle(
      `${source.join("\n")}\nexport const found = [${exported.join(", ")}];`,
      join(opened.pages.folder, "pure.js"),
    );
    // As a text: TypeScript would compile an import of what it does not find.
    const { found, node } = await opened.page.evaluate<{ found: [string, string[]][]; node: string[] }>(
      `import("/pure.js").then(({ found }) => (
        { found, node: ["process", "Buffer", "require"].filter((name) => name in globalThis) }
      ))`,
    );
    assert.deepEqual(node, []);
    for (const [path, names] of found) {
      const inNode = Object.keys(await import(pathToFileURL(join(dist, path)).href));
      assert.deepEqual(names.sort(), inNode.sort(), path);
    }
    assert.ok(pureFolders.every((folder) => found.some(([path]) => path.startsWith(`${folder}/`))));
  });

  test("trains in a worker, whose page goes on drawing", async () => {
    const source = `
import { train } from "lowland";
onmessage = async ({ data }) => {
  const { summary, model } = await train({ ...data, onEpoch: ({ epoch }) => postMessage({ epoch }) });
  postMessage({ summary, model }, [model.buffer]);
};`;
    await bundle(source, join(opened.pages.folder, "worker.js"));
    const { epochs, accuracy, bytes, longest } = await opened.page.evaluate(async () => {
      const worker = new Worker("/worker.js", { type: "module" });
      let [longest, last, epochs] = [0, performance.now(), 0];
      const timer = setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 5);
      const end = await new Promise<{ summary: { metrics: { accuracy: number } }; model: Uint8Array }>(
        (resolve) => {
          worker.onmessage = ({ data }) => (data.epoch === undefined ? resolve(data) : epochs++);
          worker.postMessage({ data: "digits", model: "cnn", epochs: 2, batchSize: 64 });
        },
      );
      clearInterval(timer);
      worker.terminate();
      return { epochs, accuracy: end.summary.metrics.accuracy, bytes: end.model.length, longest };
    });
    assert.equal(epochs, 2);
    assert.ok(accuracy > 0.5 && bytes > 10_000);
    // Training itself takes a second and more.
    assert.ok(longest < 500, `the page stood still for ${longest} ms`);
  });
});
