import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { UserError } from "../common/errors.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul, pow, square, sub } from "../ops/arithmetic.ts";
import { greater, where } from "../ops/comparison.ts";
import { cast, exp, floor, relu, sign, sin } from "../ops/elementwise.ts";
import { linear } from "../ops/linear.ts";
import { reshape } from "../ops/movement.ts";
import { batchNormTraining } from "../ops/normalization.ts";
import { argMax, reduceMean, reduceSum } from "../ops/reduction.ts";
import { assertClose, evaluate, tensor } from "../testing/numeric.ts";
import { gradients, hessianVectorProduct, innerProduct, partialGradients } from "./gradients.ts";

// Derivatives of whole expressions against closed forms; the rules of single operators are in src/ops.

const input = (name = "x", shape: readonly number[] = [3], graph = new Graph()) =>
  graph.input(name, "float64", shape);

describe("gradients", () => {
  test("for independent variables leave out how one is computed from another", async () => {
    const x = input();
    const e = exp(x);
    // L = Σ x·e: ∂L/∂x = e and ∂L/∂e = x, with no x·eˣ of e's own dependence on x.
    const [ofX, ofE] = partialGradients(reduceSum(mul(x, e)), [x, e]);
    const point = [-1, 0, 0.5];
    const actual = await evaluate({ ofX, ofE }, { x: tensor(point, [3]) });
    assertClose(actual.ofX, point.map(Math.exp), 1e-12);
    assertClose(actual.ofE, point, 1e-12);
  });

  test("of a value that is used several times are summed", async () => {
    const x = input();
    const e = exp(x);
    // L = Σ x·eˣ + (eˣ)² + x, so L′ = eˣ + x·eˣ + 2e²ˣ + 1.
    const loss = reduceSum(add(add(mul(x, e), square(e)), x));
    const point = [-1, 0, 0.5];
    const actual = await evaluate({ g: gradients(loss, [x])[0] }, { x: tensor(point, [3]) });
    const expected = point.map((v) => Math.exp(v) * (1 + v) + 2 * Math.exp(2 * v) + 1);
    assertClose(actual.g, expected, 1e-12);
  });

  test("of every order of a polynomial, by differentiating again and again", async () => {
    const x = input("x", [1]);
    const values: Record<string, Value> = { order0: reshape(sub(pow(x, 5), mul(3, pow(x, 2))), []) };
    for (let order = 1; order <= 6; order++) {
      const [next] = gradients(values[`order${order - 1}`], [x]);
      values[`order${order}`] = reshape(next, []);
    }
    const actual = await evaluate(values, { x: tensor([2], [1]) });
    // x⁵ − 3x² at 2: 5x⁴ − 6x, 20x³ − 6, 60x², 120x, 120, 0.
    const expected = [32 - 12, 80 - 12, 160 - 6, 240, 240, 120, 0];
    assertClose(
      expected.map((_, order) => actual[`order${order}`][0]),
      expected,
      1e-12,
    );
  });

  test("are zeros of the right shape and type where the loss does not depend on the value", async () => {
    const graph = new Graph();
    const [x, unused] = [input("x", [3], graph), graph.input("unused", "float32", [2, 2])];
    const behind = reduceSum(floor(x));
    const [forUnused, forFloor, forX] = gradients(add(reduceSum(x), behind), [unused, behind, x]);
    assert.deepEqual([forUnused.type, forUnused.shape], ["float32", [2, 2]]);
    const actual = await evaluate({ forUnused, forFloor, forX }, { x: tensor([1, 2, 3], [3]) });
    assert.deepEqual(actual.forUnused, [0, 0, 0, 0]);
    assert.deepEqual(actual.forFloor, [1]);
    assert.deepEqual(actual.forX, [1, 1, 1]);
  });

  test("do not pass through comparisons, signs and indices", async () => {
    const x = input();
    const masked = where(greater(x, 0), mul(x, 3), mul(x, 5));
    const place = cast(argMax(x, 0), "float64");
    const loss = add(reduceSum(mul(masked, sign(x))), mul(place, 7));
    const { g } = await evaluate({ g: gradients(loss, [x])[0] }, { x: tensor([-2, 1, 4], [3]) });
    assert.deepEqual(g, [-5, 3, 3]);
  });

  test("of the loss for itself and for values in between", async () => {
    const x = input();
    const y = square(x);
    const loss = reduceSum(mul(y, 3));
    const [forLoss, forY, forX, forYAgain] = gradients(loss, [loss, y, x, y]);
    assert.equal(forYAgain, forY);
    const actual = await evaluate({ forLoss, forY, forX }, { x: tensor([1, 2, -3], [3]) });
    assert.deepEqual(actual.forLoss, [1]);
    assert.deepEqual(actual.forY, [3, 3, 3]);
    assert.deepEqual(actual.forX, [6, 12, -18]);
  });

  test("walk only the paths from the loss to what is asked for", () => {
    const graph = new Graph();
    const [x, data, weight] = [
      graph.input("x", "float64", [5, 2]),
      graph.input("data", "float64", [5, 2]),
      graph.input("weight", "float64", [3, 2]),
    ];
    // An operator without any rule, off the path: neither its gradient nor that of the data is built.
    const [unknown] = graph.add("Unheard", [data], {}, [data]);
    const loss = reduceMean(relu(linear(add(x, unknown), weight)));
    const [forWeight] = gradients(loss, [weight]);
    const operators = nodesOf([forWeight]).map(({ operator }) => operator);
    assert.equal(operators.filter((operator) => operator === "Gemm").length, 2);
    assert.throws(
      () => gradients(loss, [data]),
      (error) => error instanceof UserError && /operator Unheard is not known/.test(error.message),
    );
  });

  test("carry the scope of the node they are of", () => {
    const x = input();
    const y = x.graph.scoped("layer1", () => sin(x));
    const [g] = gradients(reduceSum(y), [x]);
    const cosine = nodesOf([g]).find(({ operator }) => operator === "Cos");
    assert.equal(cosine?.scope, "layer1");
  });

  test("of anything but a scalar are refused, with the remedy", () => {
    const x = input();
    assert.throws(() => gradients(x, [x]), {
      name: "UserError",
      message: "only a scalar can be differentiated, got float64 [3]; reduce it to its mean or sum",
    });
  });

  test("follow the second output of an operator alone", async () => {
    const x = input("x", [4, 1]);
    const one = x.graph.constant(tensorData([1], [1], "float64"));
    const { mean, variance } = batchNormTraining(x, one, one, 0.5);
    const wrt = (value: Value) => gradients(reduceSum(value), [x])[0];
    const actual = await evaluate(
      { mean: wrt(mean), variance: wrt(variance) },
      { x: tensor([1, 2, 3, 6], [4, 1]) },
    );
    // d mean/dxᵢ = 1/n, d variance/dxᵢ = 2(xᵢ − mean)/n.
    assertClose(actual.mean, [0.25, 0.25, 0.25, 0.25], 1e-12);
    assertClose(actual.variance, [-1, -0.5, 0, 1.5], 1e-12);
  });

  test("of a sum are the sum of the gradients, for any coefficients", async () => {
    const coefficient = fc.double({ min: -5, max: 5, noNaN: true });
    await fc.assert(
      fc.asyncProperty(coefficient, coefficient, async (a, b) => {
        const x = input();
        const [f, h] = [reduceSum(exp(x)), reduceSum(mul(x, sin(x)))];
        const point = [0.3, -1.2, 2];
        const [g] = gradients(add(mul(a, f), mul(b, h)), [x]);
        const actual = await evaluate({ g }, { x: tensor(point, [3]) });
        const expected = point.map((v) => a * Math.exp(v) + b * (Math.sin(v) + v * Math.cos(v)));
        // Measured against 1 as well, since both coefficients may be 0.
        assertClose([...actual.g, 1], [...expected, 1], 1e-12);
      }),
      { numRuns: 10 },
    );
  });
});

describe("Hessian-vector product", () => {
  test("of a quadratic form is its matrix times the vector", async () => {
    const graph = new Graph();
    const [x, y] = [input("x", [2], graph), input("y", [1], graph)];
    const part = (value: Value, at: number) => {
      const mask = [0, 1].map((index) => (index === at ? 1 : 0));
      return reduceSum(mul(value, graph.constant(tensorData(mask, [2], "float64"))));
    };
    const [x0, x1, y0] = [part(x, 0), part(x, 1), reduceSum(y)];
    // x₀² + 3x₀x₁ + 5x₁y: its second derivatives are 2, 3 and 5 and do not depend on the place.
    const loss = add(add(square(x0), mul(3, mul(x0, x1))), mul(5, mul(x1, y0)));
    const v = [graph.input("vx", "float64", [2]), graph.input("vy", "float64", [1])];
    const [hx, hy] = hessianVectorProduct(loss, [x, y], v);
    const actual = await evaluate(
      { hx, hy },
      {
        x: tensor([7, -2], [2]),
        y: tensor([4], [1]),
        vx: tensor([1, 10], [2]),
        vy: tensor([100], [1]),
      },
    );
    assertClose(actual.hx, [2 * 1 + 3 * 10, 3 * 1 + 5 * 100], 1e-12);
    assertClose(actual.hy, [5 * 10], 1e-12);
  });

  test("is symmetric: ⟨u, Hv⟩ = ⟨v, Hu⟩", async () => {
    const graph = new Graph();
    const names = ["w", "u", "v"] as const;
    const [w, u, v] = names.map((name) => graph.input(name, "float64", [2, 3]));
    const data = graph.constant(tensorData([1, -2, 0.5, 3, 1, -1, 0.2, 0.4, 2], [3, 3], "float64"));
    const loss = reduceMean(square(sin(linear(data, w))));
    const product = (a: Value, b: Value) => innerProduct([a], hessianVectorProduct(loss, [w], [b]));
    const actual = await evaluate(
      { uHv: product(u, v), vHu: product(v, u) },
      Object.fromEntries(
        names.map((name, index) => [
          name,
          tensor(
            [0, 1, 2, 3, 4, 5].map((at) => Math.sin(1 + index * 6 + at)),
            [2, 3],
          ),
        ]),
      ),
    );
    assertClose(actual.uHv, actual.vHu, 1e-12);
    assert.ok(Math.abs(actual.uHv[0]) > 1e-3);
  });
});
