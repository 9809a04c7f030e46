import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { UserError } from "../common/errors.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul, neg } from "../ops/arithmetic.ts";
import { exp } from "../ops/elementwise.ts";
import { scatterAdd } from "../ops/indexing.ts";
import { apply, float } from "../ops/operator.ts";
import { assertClose, evaluate, tensor } from "../testing/numeric.ts";
import { constantNumbers, int64Vector } from "./constants.ts";
import { type Attributes, Graph } from "./graph.ts";
import { copyInto, leavesOf, nodesOf } from "./walk.ts";

const input = (graph = new Graph(), name = "x") => graph.input(name, "float64", [2, 3]);

describe("common subexpressions", () => {
  test("the same operator on the same inputs is one node", () => {
    const x = input();
    assert.equal(exp(x), exp(x));
    assert.equal(add(mul(x, 2), 1), add(mul(x, 2), 1));
    assert.equal(nodesOf([add(exp(x), exp(x))]).length, 2);
  });

  test("in whatever scope it is built", () => {
    const x = input();
    const first = x.graph.scoped("a", () => exp(x));
    assert.equal(
      x.graph.scoped("b", () => exp(x)),
      first,
    );
  });

  test("not across operators, order of inputs, absent inputs, domains or numbers of outputs", () => {
    const [graph, type] = [new Graph(), { type: "float64", shape: [2, 3] } as const];
    const [x, y] = [input(graph), input(graph, "y")];
    const built = [
      graph.add("Sub", [x, y], {}, [type]),
      graph.add("Sub", [y, x], {}, [type]),
      graph.add("Div", [x, y], {}, [type]),
      graph.add("Sub", [x], {}, [type]),
      graph.add("Sub", [x, undefined], {}, [type]),
      graph.add("Sub", [undefined, x], {}, [type]),
      graph.add("Sub", [x, y], {}, [type], "training"),
      graph.add("Sub", [x, y], {}, [type, type]),
    ];
    assert.equal(new Set(built.map(([value]) => value)).size, built.length);
  });

  test("not across attributes, be they −0, NaN, infinite or tensors", () => {
    const [graph, type] = [new Graph(), { type: "float64", shape: [2, 3] } as const];
    const x = input(graph);
    const attributes: Attributes[] = [
      {},
      { alpha: float(0) },
      { alpha: float(-0) },
      { alpha: float(Number.NaN) },
      { alpha: float(Number.POSITIVE_INFINITY) },
      { alpha: float(Number.NEGATIVE_INFINITY) },
      { alpha: { int: 0 } },
      { alpha: { string: "0" } },
      { alpha: { ints: [0] } },
      { beta: float(0) },
      { value: { tensor: tensorData([1], [], "int64") } },
      { value: { tensor: tensorData([2], [], "int64") } },
      { value: { tensor: tensorData([1], [], "int32") } },
    ];
    const build = () => attributes.map((each) => graph.add("Any", [x], each, [type])[0]);
    const built = build();
    assert.equal(new Set(built).size, attributes.length);
    assert.deepEqual(build(), built);
  });

  test("small equal constants are one value; type, shape and the sign of zero tell others apart", () => {
    const graph = new Graph();
    const different = [
      graph.scalar(0, "float32"),
      graph.scalar(-0, "float32"),
      graph.scalar(Number.NaN, "float32"),
      graph.scalar(0, "float64"),
      graph.scalar(0, "int64"),
      graph.constant(tensorData([0], [1], "float32")),
      graph.constant(tensorData([0], [1, 1], "float32")),
      graph.constant(tensorData([0, 0], [2], "float32")),
      graph.constant({ type: "string", shape: [2], data: ["a,b", "c"] }),
      graph.constant({ type: "string", shape: [2], data: ["a", "b,c"] }),
    ];
    assert.equal(new Set(different).size, different.length);
    assert.equal(graph.scalar(-0, "float32"), different[1]);
    assert.equal(graph.scalar(Number.NaN, "float32"), different[2]);
    assert.equal(int64Vector(graph, [1, 2]), int64Vector(graph, [1, 2]));
  });

  test("any two lists of float32 numbers are one constant exactly if they are the same numbers", () => {
    const numbers = fc.array(fc.oneof(fc.float(), fc.constantFrom(0, -0, 1)), { maxLength: 3 });
    fc.assert(
      fc.property(numbers, numbers, (a, b) => {
        const graph = new Graph();
        const [left, right] = [a, b].map((values) =>
          graph.constant(tensorData(values, [values.length], "float32")),
        );
        const same = a.length === b.length && a.every((value, index) => Object.is(value, b[index]));
        assert.equal(left === right, same);
      }),
    );
  });
});

describe("building", () => {
  test("an input declared twice is one value if both agree", () => {
    const graph = new Graph();
    assert.equal(input(graph), input(graph));
    assert.throws(() => graph.input("x", "float64", [2, 4]), {
      name: "UserError",
      message: 'input "x" is declared twice: as float64 [2, 3] and as float64 [2, 4]',
    });
    assert.throws(() => graph.input("x", "float32", [2, 3]), UserError);
  });

  test("one name for an input and another result is refused, in either order", () => {
    const [before, after] = [new Graph(), new Graph()];
    const x = input(before);
    assert.throws(() => before.output("x", exp(x)), UserError);
    before.output("x", x);
    after.output("y", exp(input(after)));
    assert.throws(() => after.input("y", "float64", []), UserError);
    assert.throws(() => after.output("y", input(after)), /declared twice/);
  });

  test("values of two graphs do not mix", () => {
    const [x, y] = [input(), input()];
    assert.throws(() => add(x, y), /belongs to another graph/);
    assert.throws(() => x.graph.output("y", y), /belongs to another graph/);
  });

  test("sizes are whole numbers", () => {
    for (const size of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      assert.throws(() => new Graph().input("x", "float32", [2, size]), UserError);
    }
  });

  test("scopes join with dots and end with their body, even when it throws", () => {
    const graph = new Graph();
    const x = input(graph);
    graph.scoped("layer1", () => graph.scoped("", () => graph.scoped("conv", () => exp(x))));
    assert.equal(nodesOf([exp(x)])[0].scope, "layer1.conv");
    assert.throws(() =>
      graph.scoped("broken", () => {
        throw new Error("inside");
      }),
    );
    assert.equal(graph.scope, "");
  });
});

describe("walking", () => {
  test("nodes come after what they need, each once; leaves are what they read", () => {
    const graph = new Graph();
    const [a, b] = [input(graph, "a"), input(graph, "b")];
    input(graph, "unused");
    const shared = exp(a);
    const result = add(mul(shared, shared), neg(b));
    neg(shared);
    const nodes = nodesOf([result, shared]);
    assert.deepEqual(
      nodes.map(({ operator }) => operator),
      ["Exp", "Mul", "Neg", "Add"],
    );
    assert.deepEqual(leavesOf(nodes, [result]), [a, b]);
  });

  test("a chain of many thousand nodes does not exhaust the stack", () => {
    let value = input();
    for (let index = 0; index < 20_000; index++) value = index % 2 ? exp(value) : neg(value);
    assert.equal(nodesOf([value]).length, 20_000);
    assert.equal(copyInto(new Graph(), [value]).length, 1);
  });
});

describe("copying", () => {
  test("bound values are replaced, other inputs keep their names, both compute what they should", async () => {
    const source = new Graph();
    const [x, w] = [input(source), input(source, "w")];
    const y = add(mul(x, w), 1);
    const target = new Graph();
    const other = exp(input(target, "w"));
    const [copy] = copyInto(target, [y], new Map([[w, other]]));
    const feeds = { x: tensor([1, 2, 3, 4, 5, 6], [2, 3]), w: tensor([0, 1, 2, 0, 1, 2], [2, 3]) };
    const { y: numbers } = await evaluate({ y: copy }, feeds);
    assertClose(
      numbers,
      [0, 1, 2, 0, 1, 2].map((exponent, index) => (index + 1) * Math.exp(exponent) + 1),
      1e-12,
    );
  });

  test("what only a bound value needs is left out", () => {
    const source = new Graph();
    const hidden = exp(input(source, "before"));
    const result = neg(hidden);
    const target = new Graph();
    const [copy] = copyInto(target, [result], new Map([[hidden, input(target, "instead")]]));
    assert.deepEqual([...target.inputs.keys()], ["instead"]);
    assert.equal(nodesOf([copy]).length, 1);
  });

  test("bound outputs, inputs and constants are outputs as well", () => {
    const source = new Graph();
    const x = input(source);
    const target = new Graph();
    const z = input(target, "z");
    const [bound, constant, again] = copyInto(target, [x, source.scalar(2, "float64"), x], new Map([[x, z]]));
    assert.deepEqual([bound, again], [z, z]);
    assert.deepEqual(constantNumbers(constant), [2]);
    assert.equal(constant.graph, target);
  });

  test("a rewrite stands in a node's place, in its scope", () => {
    const source = new Graph();
    const x = input(source);
    const y = source.scoped("layer", () => exp(x));
    const target = new Graph();
    const [copy] = copyInto(target, [neg(y)], new Map(), (node, [value]) =>
      node.operator === "Exp" ? apply("Sin", [value]) : undefined,
    );
    assert.deepEqual(
      nodesOf([copy]).map(({ operator, scope }) => [operator, scope]),
      [
        ["Sin", "layer"],
        ["Neg", ""],
      ],
    );
  });

  test("an absent optional input stays absent", () => {
    const source = new Graph();
    const x = input(source);
    const high = source.scalar(1, "float64");
    const [clipped] = source.add("Clip", [x, undefined, high], {}, [x]);
    const [copy] = copyInto(new Graph(), [clipped]);
    const [node] = nodesOf([copy]);
    assert.deepEqual(
      node.inputs.map((value) => value !== undefined),
      [true, false, true],
    );
  });

  test("several outputs of one node keep their order", () => {
    const source = new Graph();
    const x = source.input("x", "float64", [1, 1, 4]);
    const pooled = apply("MaxPool", [x], { kernel_shape: { ints: [2] } });
    const copies = copyInto(new Graph(), [pooled[1], pooled[0]]);
    assert.deepEqual(
      copies.map(({ type, origin }) => [type, origin.kind === "node" && origin.index]),
      [
        ["int64", 1],
        ["float64", 0],
      ],
    );
  });

  test("attributes are copied", () => {
    const source = new Graph();
    const x = source.input("x", "float32", [3]);
    const scattered = scatterAdd(x, int64Vector(source, [1, 1, 0]), x, 0);
    const [node] = nodesOf(copyInto(new Graph(), [scattered]));
    assert.deepEqual(node.attributes, { axis: { int: 0 }, reduction: { string: "add" } });
  });
});
