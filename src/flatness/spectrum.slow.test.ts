import { test } from "node:test";
import { assertAllEigenvalues } from "../testing/whole-spectra.ts";

test("all eigenvalues of cnn in float64", () => assertAllEigenvalues("cnn"));
