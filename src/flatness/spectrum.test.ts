import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { sub } from "../ops/arithmetic.ts";
import { tanh } from "../ops/elementwise.ts";
import { linear } from "../ops/linear.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { reduceMean, reduceSumSquare } from "../ops/reduction.ts";
import { assertClose, compileForTest } from "../testing/numeric.ts";
import { type CurvatureFixture, readFixture } from "../testing/problems.ts";
import {
  matrixOfSpectrum,
  problemSurface,
  product,
  quadraticSurface,
  singleBatch,
  usingSurface,
} from "../testing/surfaces.ts";
import { assertAllEigenvalues } from "../testing/whole-spectra.ts";
import { layersOf } from "./parameter-vector.ts";
import { layerSpectra, spectrum } from "./spectrum.ts";
import type { Surface } from "./surface.ts";

type Fixture = CurvatureFixture & { eigenvalues: number[] };

// Against eigenvalues of the Hessian that an independent float64 program gave; all of cnn's are in spectrum.slow.test.ts.
test("all eigenvalues of mlp in float64", () => assertAllEigenvalues("mlp"));

for (const problem of ["mlp", "cnn"] as const) {
  const { eigenvalues } = readFixture<Fixture>(`curvature-${problem}`);

  for (const type of ["float64", "float32"] as const) {
    test(`the top 50 of ${problem} in ${type}, to 1e-4 each, with residuals below 1e-4 of the largest`, async () => {
      await usingSurface(problemSurface(problem, type), async (surface) => {
        const found = await spectrum(surface, { largest: 50 });
        assert.ok(found.converged);
        for (const [index, { value, residual }] of found.largest.entries()) {
          assert.ok(Math.abs(value - eigenvalues[index]) <= 1e-4 * Math.abs(eigenvalues[index]), `${index}`);
          assert.ok(residual <= 1e-4 * eigenvalues[0], `residual ${index}`);
        }
        assert.ok(found.products < surface.layout.length / 2);
      });
    });
  }
}

test("a quadratic loss has the spectrum it was made with, wherever its weights are", async () => {
  const random = randomStream(1, "quadratic spectrum");
  const eigenvalues = [5, 4.999, 4.998, 1, 0.1, 0.1, 0, -0.2, -7];
  const { matrix } = matrixOfSpectrum(eigenvalues, random);
  const normal = () => eigenvalues.map(() => random.normal());
  await usingSurface(quadraticSurface(matrix, normal(), normal()), async (surface) => {
    const { largest, smallest } = await spectrum(surface, { largest: 4, smallest: 1, tolerance: 1e-10 });
    assertClose(
      [...largest, ...smallest].map(({ value }) => value),
      [5, 4.999, 4.998, 1, -7],
      1e-12,
    );
  });
});

test("each layer's block has the eigenvalues of that part of the Hessian", async () => {
  await usingSurface(problemSurface("mlp", "float64"), async (surface) => {
    const H = await explicit(surface, (vector) => surface.hessianProduct(vector));
    const spectra = await layerSpectra(surface, { largest: 1000 });
    assert.deepEqual([...spectra.keys()], ["l1", "l2"]);
    for (const [layer, names] of layersOf(surface.layout)) {
      const inside = surface.layout.parts
        .filter(({ name }) => names.includes(name))
        .flatMap(({ offset, length }) => Array.from({ length }, (_, i) => offset + i));
      const { largest } = spectra.get(layer)!;
      assert.equal(largest.length, inside.length);
      const values = largest.map(({ value }) => value);
      // Trace and squared Frobenius norm of the block.
      assertClose(
        [values.reduce((sum, value) => sum + value, 0)],
        [inside.reduce((sum, i) => sum + H[i][i], 0)],
        1e-10,
      );
      const squares = inside.reduce((sum, i) => sum + inside.reduce((part, j) => part + H[i][j] ** 2, 0), 0);
      assertClose([product(values, values)], [squares], 1e-10);
    }
  });
});

const random = randomStream(2, "Gauss–Newton");
const [count, inputs, classes] = [12, 4, 3];
const normal = (shape: number[]) =>
  tensorData(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal()),
    shape,
    "float64",
  );
const x = normal([count, inputs]);
const y = normal([count, classes]);
const target = tensorData(
  Array.from({ length: count }, () => random.integer(classes)),
  [count],
  "int32",
);

/** x·Wᵀ + b under squared error or cross entropy: the network is linear, so Gauss–Newton is the whole Hessian. */
function linearModel(loss: "squared error" | "cross entropy") {
  const build = () => {
    const graph = new Graph();
    const weight = graph.input("weight", "float64", [classes, inputs]);
    const bias = graph.input("bias", "float64", [classes]);
    const output = linear(graph.input("x", "float64", x.shape), weight, bias);
    return {
      output,
      parameters: new Map([
        ["weight", weight],
        ["bias", bias],
      ]),
      loss:
        loss === "squared error"
          ? reduceMean(reduceSumSquare(sub(output, graph.input("y", "float64", y.shape)), [1]))
          : softmaxCrossEntropy(output, graph.input("target", "int32", [count])),
    };
  };
  return singleBatch(build, { weight: normal([classes, inputs]), bias: normal([classes]) }, { x, y, target });
}

test("linear least squares: Gauss–Newton is the Hessian 2/N·XᵀX, once per output", async () => {
  await usingSurface(linearModel("squared error"), async (surface) => {
    const H = await explicit(surface, (vector) => surface.hessianProduct(vector));
    const G = await explicit(surface, (vector) => surface.gaussNewtonProduct(vector));
    assertClose(G.flat(), H.flat(), 1e-12);
    const column = (i: number) => Array.from({ length: count }, (_, row) => Number(x.data[row * inputs + i]));
    for (let i = 0; i < inputs; i++) {
      for (let j = 0; j < inputs; j++) {
        assertClose([G[i][j]], [(2 / count) * product(column(i), column(j))], 1e-10, `G[${i}, ${j}]`);
      }
    }
  });
});

test("a linear network under cross entropy: Gauss–Newton is the Hessian", async () => {
  await usingSurface(linearModel("cross entropy"), async (surface) => {
    const H = await explicit(surface, (vector) => surface.hessianProduct(vector));
    const G = await explicit(surface, (vector) => surface.gaussNewtonProduct(vector));
    assertClose(G.flat(), H.flat(), 1e-12);
  });
});

test("a network with tanh: Gauss–Newton is Jᵀ(diag(p) − ppᵀ)J/N with J by finite differences", async () => {
  const hidden = 5;
  const build = () => {
    const graph = new Graph();
    const parameters = new Map([
      ["a", graph.input("a", "float64", [hidden, inputs])],
      ["b", graph.input("b", "float64", [classes, hidden])],
    ]);
    const inner = tanh(linear(graph.input("x", "float64", x.shape), parameters.get("a")!));
    const output = tanh(linear(inner, parameters.get("b")!));
    return { output, parameters, loss: softmaxCrossEntropy(output, graph.input("target", "int32", [count])) };
  };
  const tensors = { a: normal([hidden, inputs]), b: normal([classes, hidden]) };
  const forward = build();
  forward.output.graph.output("output", forward.output);
  const program = await compileForTest(forward.output.graph);
  await usingSurface(singleBatch(build, tensors, { x, target }), async (surface) => {
    const outputAt = async (weights: Float64Array) => {
      const cut = hidden * inputs;
      const a = tensorData(weights.slice(0, cut), [hidden, inputs], "float64");
      const b = tensorData(weights.slice(cut), [classes, hidden], "float64");
      return (await program.run({ a, b, x })).output;
    };
    const logits = await outputAt(surface.weights);
    for (let sample = 0; sample < 3; sample++) {
      const vector = Float64Array.from({ length: surface.layout.length }, () => random.normal());
      const step = 1e-5;
      const above = await outputAt(surface.weights.map((value, i) => value + step * vector[i]));
      const below = await outputAt(surface.weights.map((value, i) => value - step * vector[i]));
      let expected = 0;
      for (let row = 0; row < count; row++) {
        const at = Array.from({ length: classes }, (_, c) => row * classes + c);
        const jv = at.map((i) => (above[i] - below[i]) / (2 * step));
        const total = at.reduce((sum, i) => sum + Math.exp(logits[i]), 0);
        const p = at.map((i) => Math.exp(logits[i]) / total);
        expected += (p.reduce((sum, share, c) => sum + share * jv[c] ** 2, 0) - product(p, jv) ** 2) / count;
      }
      assertClose([product(vector, await surface.gaussNewtonProduct(vector))], [expected], 1e-7);
    }
    const { smallest } = await spectrum(surface, { smallest: 1, curvature: "gauss-newton" });
    assert.ok(smallest[0].value > -1e-12, "Gauss–Newton has no negative eigenvalue");
  });
  await program.close();
});

test("Gauss–Newton without an output is refused in one sentence", async () => {
  await usingSurface(problemSurface("mlp", "float64"), async (surface) => {
    await assert.rejects(
      spectrum(surface, { curvature: "gauss-newton" }),
      new UserError("Gauss–Newton products need the network's output besides its loss; the model names none"),
    );
  });
});

test("more eigenvalues than parameters are refused in one sentence", async () => {
  await usingSurface(problemSurface("mlp", "float64"), async (surface) => {
    await assert.rejects(
      spectrum(surface, { largest: 422 }),
      new UserError(
        "422 largest eigenvalues were asked for, but there are only 421 parameters; choose at most 421",
      ),
    );
  });
});

/** The matrix, one product with a unit vector at a time. */
async function explicit(surface: Surface, times: (vector: Float64Array) => Promise<Float64Array>) {
  const columns: number[][] = [];
  for (let i = 0; i < surface.layout.length; i++) {
    const unit = new Float64Array(surface.layout.length);
    unit[i] = 1;
    columns.push(Array.from(await times(unit)));
  }
  return columns;
}
