import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { compile } from "../lower/compile.ts";
import { deviceTargets } from "../lower/target.ts";
import {
  bundle,
  needsBrowser,
  openPages,
  type Pages,
  softwareGpu,
  trainInPage,
} from "../testing/chromium.ts";
import { assertSameSteps, deviceNetworks, trialOf } from "../testing/device-trials.ts";
import { assertClose } from "../testing/numeric.ts";
import type { takeSteps } from "../testing/take-steps.ts";

// Training on WebGPU in a page of Chromium, without a graphics card.

/** Inside a page: what the file `steps.js` of these tests has put there. */
declare global {
  var steps: {
    takeSteps: typeof takeSteps;
    runtime: typeof import("onnxruntime-web");
  };
}

describe("a page on WebGPU", needsBrowser, () => {
  let pages: Pages;
  before(async () => {
    pages = await openPages(softwareGpu);
    const steps = fileURLToPath(new URL("../testing/take-steps.js", import.meta.url));
    await bundle(
      `import { takeSteps } from ${JSON.stringify(steps)};
import * as runtime from "onnxruntime-web/webgpu";
globalThis.steps = { takeSteps, runtime };`,
      join(pages.folder, "steps.js"),
    );
  });
  after(() => pages?.close());

  test("trains, its device proven, to the CPU's losses", async () => {
    const page = await pages.open();
    const settings = { model: "mlp", epochs: 1, batchSize: 32, limit: 64, sharpness: { images: 32 } };
    const [gpu, cpu] = [
      await trainInPage(page, { ...settings, device: "webgpu" }),
      await trainInPage(page, settings),
    ];
    assert.equal(gpu.device?.name, "webgpu");
    assertClose(gpu.losses, cpu.losses, 1e-5);
    await page.context().close();
  });

  for (const network of deviceNetworks) {
    test(`${network}: all nodes of a step on the device, numbers of the CPU`, async (t) => {
      const page = await pages.open();
      const log: string[] = [];
      page.on("console", (message) => log.push(message.text()));
      await page.addScriptTag({ url: "/steps.js", type: "module" });
      await page.waitForFunction("globalThis.steps !== undefined");
      const { graph, tensors, feeds } = trialOf(network);
      const given = {
        program: compile(graph, { target: { webAssembly: true } }),
        gpuProgram: compile(graph, { target: deviceTargets.webgpu }),
        tensors,
        batches: [feeds(), feeds(), feeds()],
      };
      const { cpu, webgpu } = await page.evaluate(async ({ program, gpuProgram, tensors, batches }) => {
        const { openEngine, useOnnxRuntime } = globalThis.lowland;
        const { takeSteps, runtime } = globalThis.steps;
        // The sessions of the engine itself say where they place the nodes.
        const create = (model: Uint8Array, options: object) => {
          console.log(model.length === gpuProgram.length ? "session of the step" : "session of copies");
          return runtime.InferenceSession.create(model, { ...options, logSeverityLevel: 0 });
        };
        const logging = { ...runtime, InferenceSession: { create } } as unknown as typeof runtime;
        useOnnxRuntime({ webgpu: async () => logging });
        return {
          webgpu: await takeSteps(openEngine({ device: "webgpu" }), gpuProgram, tensors, batches),
          cpu: await takeSteps(openEngine(), program, tensors, batches),
        };
      }, given);
      assertSameSteps(webgpu, cpu);
      // A session whose nodes are on two devices names both. The other two move tensors to the device and back.
      const placements = log.join("\n").match(/^session of .*|(?:All nodes|Node\(s\)) placed on \[\w+\]/gm);
      const onDevice = "All nodes placed on [WebGpuExecutionProvider]";
      const sessions = ["session of the step", "session of copies", "session of copies"];
      assert.deepEqual(
        placements,
        sessions.flatMap((session) => [session, onDevice]),
      );
      const nodes = /placed on \[WebGpuExecutionProvider\]\. Number of nodes: (\d+)/.exec(
        log.join("\n"),
      )?.[1];
      t.diagnostic(
        `${nodes} nodes of the step, losses ${webgpu.losses.join(", ")}, on the CPU ${cpu.losses.join(", ")}`,
      );
      await page.context().close();
    });
  }
});
