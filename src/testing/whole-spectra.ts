import assert from "node:assert/strict";
import { spectrum } from "../flatness/spectrum.ts";
import { assertClose } from "./numeric.ts";
import { type CurvatureFixture, type ProblemName, readFixture } from "./problems.ts";
import { problemSurface, usingSurface } from "./surfaces.ts";

/** Fails unless `spectrum` finds all eigenvalues of a problem's Hessian that an independent float64 program gave. */
export async function assertAllEigenvalues(problem: Exclude<ProblemName, "surface">): Promise<void> {
  const { eigenvalues } = readFixture<CurvatureFixture & { eigenvalues: number[] }>(`curvature-${problem}`);
  await usingSurface(problemSurface(problem, "float64"), async (surface) => {
    const found = await spectrum(surface, { largest: eigenvalues.length });
    assert.ok(found.converged);
    assertClose(
      found.largest.map(({ value }) => value),
      eigenvalues,
      1e-10,
    );
  });
}
