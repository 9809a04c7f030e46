import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { randomStream } from "../common/random.ts";
import { firstTask, taskNamed, taskRecord } from "../tasks/index.ts";
import { matrixOfSpectrum, quadraticSurface, usingSurface } from "../testing/surfaces.ts";
import { type FlatnessHooks, type FlatnessOptions, measureFlatness } from "./flatness.ts";
import { MeasurementCache } from "./measurement-cache.ts";

const eigenvalues = [9, 7, 5, 4, 3, 2, 1, 0.5, 0.1, 0, -1, -2];
const options: FlatnessOptions = {
  measures: ["sharpness", "layer-sharpness", "spectrum", "trace"],
  rho: { plain: [0.05, 0.1], adaptive: [], filter: [] },
  steps: 1,
  directions: 2,
  confidence: 0.95,
  curvatures: ["hessian"],
  smallest: 1,
  layerEigenvalues: 1,
  tolerance: 1e-6,
  verify: false,
  traceProducts: 36,
  densityProbes: 2,
  densitySteps: 2,
  seed: 1,
};

test("5 eigenvalues are the default; an estimate comes before what is not kept yet", async () => {
  const folder = await mkdtemp(join(tmpdir(), "lowland-measure-"));
  try {
    const { matrix } = matrixOfSpectrum(eigenvalues, randomStream(1, "flatness"));
    const ones = eigenvalues.map(() => 1);
    await usingSurface(
      quadraticSurface(
        matrix,
        ones,
        ones.map(() => 0),
      ),
      async (surface) => {
        const seen: string[] = [];
        const hooks: FlatnessHooks = {
          onPart: (label) => void seen.push(label),
          onEstimate: (seconds) => {
            assert.ok(seconds > 0);
            seen.push("estimate");
          },
        };
        const identity = {
          name: "quadratic",
          task: taskRecord(taskNamed(firstTask)),
          model: "none",
          description: {},
          fingerprints: { model: "", data: "" },
        };
        const measure = (more: Partial<FlatnessOptions> = {}) =>
          measureFlatness(
            { identity },
            { surface },
            new MeasurementCache(folder, {}),
            { ...options, ...more },
            hooks,
          );
        const { curvature, sharpness, layerSharpness } = await measure();
        const { largest, smallest } = curvature.hessian!.spectrum!;
        const close = (found: readonly { value: number }[], expected: readonly number[]) => {
          assert.equal(found.length, expected.length);
          for (const [i, { value }] of found.entries()) assert.ok(Math.abs(value - expected[i]) < 1e-5);
        };
        close(largest, [9, 7, 5, 4, 3]);
        close(smallest, [-2]);
        assert.ok(
          Math.abs(curvature.hessian!.trace!.trace - 28.6) < 1e-6,
          "as many products as parameters: exact",
        );
        assert.deepEqual(
          sharpness!.map(({ rho }) => rho),
          [0.05, 0.1],
        );
        assert.deepEqual(
          layerSharpness!.map(({ sharpness: of }) => of.map(({ rho }) => rho)),
          [[0.05, 0.1]],
        );
        assert.deepEqual(seen.slice(0, 4), ["loss", "determinism", "estimate", "sharpness, plain ρ 0.05"]);

        seen.length = 0;
        await measure();
        assert.deepEqual(seen, [], "everything was kept: nothing is computed and nothing estimated");
        await measure({ traceProducts: 48 });
        assert.deepEqual(seen, ["estimate", "Hessian trace"]);
        seen.length = 0;
        const only = await measure({ measures: ["sharpness"] });
        assert.deepEqual([seen, only.curvature], [[], {}]);
      },
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});
