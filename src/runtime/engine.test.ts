import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, div, mul, sub } from "../ops/arithmetic.ts";
import { conv } from "../ops/convolution.ts";
import { identity } from "../ops/elementwise.ts";
import { reduceSum } from "../ops/reduction.ts";
import { affine, using, vector, vectorProgram } from "../testing/engines.ts";
import { assertSameTensors, numbers } from "../testing/networks.ts";
import type { Engine } from "./engine.ts";
import { OnnxRuntimeEngine } from "./onnxruntime.ts";
import { openEngine } from "./remote.ts";

// What both engines promise: the one on the calling thread and the one on a thread of its own.

const engines: Record<string, () => Engine> = {
  "on the calling thread": () => new OnnxRuntimeEngine({ threads: 1 }),
  "on its own thread": () => openEngine({ threads: 1 }),
};

for (const [where, open] of Object.entries(engines)) {
  describe(`an engine ${where}`, () => {
    const withEngine = (name: string, body: (engine: Engine) => Promise<void>) =>
      test(name, () => using(open(), body));

    withEngine("takes what is not fed from the store, and prefers what is fed", async (engine) => {
      await engine.load("p", affine);
      await engine.write({ x: vector(1, 2), a: vector(10, 10), b: vector(0, 1) });
      assert.deepEqual(numbers((await engine.run("p")).outputs.sum), [3]);
      assert.deepEqual(numbers((await engine.run("p", { x: vector(5, 6) })).outputs.sum), [11]);
      assert.deepEqual(numbers((await engine.read(["x"])).x), [1, 2]);
    });

    withEngine("advances only when told, and leaves `.next` out of the outputs", async (engine) => {
      await engine.load("p", affine);
      await engine.write({ x: vector(1, 2), a: vector(10, 10), b: vector(0, 1) });
      const still = await engine.run("p");
      assert.deepEqual([still.advanced, Object.keys(still.outputs)], [false, ["sum"]]);
      for (const expected of [
        [10, 21],
        [100, 211],
        [1000, 2111],
      ]) {
        const { advanced, outputs } = await engine.run("p", {}, { advance: true });
        assert.deepEqual([advanced, Object.keys(outputs)], [true, ["sum"]]);
        assert.deepEqual(numbers((await engine.read(["x"])).x), expected);
      }
      assert.deepEqual(Object.keys(await engine.read()).sort(), ["a", "b", "x"]);
    });

    withEngine("replaces all stored tensors together: each next value is of the old ones", async (engine) => {
      await engine.load(
        "swap",
        vectorProgram(["x", "y"], (x, y) => ({ "x.next": add(y, 0), "y.next": sub(x, y) })),
      );
      await engine.write({ x: vector(1, 2), y: vector(10, 20) });
      await engine.run("swap", {}, { advance: true });
      const { x, y } = await engine.read();
      assert.deepEqual([x, y].map(numbers), [
        [10, 20],
        [-9, -18],
      ]);
    });

    withEngine("keeps every stored tensor when one result is not finite", async (engine) => {
      await engine.load(
        "p",
        vectorProgram(["x", "y", "d"], (x, y, d) => ({ "x.next": add(x, y), "y.next": div(y, d) })),
      );
      const start = { x: vector(1, 2), y: vector(3, 4) };
      await engine.write(start);
      const bad = await engine.run("p", { d: vector(1, 0) }, { advance: true });
      assert.equal(bad.advanced, false);
      assertSameTensors(await engine.read(), start);
      assert.ok((await engine.run("p", { d: vector(1, 2) }, { advance: true })).advanced);
      const { x, y } = await engine.read();
      assert.deepEqual([x, y].map(numbers), [
        [4, 6],
        [3, 2],
      ]);
    });

    withEngine(
      "sees an element that is not finite wherever it stands in a float32 tensor",
      async (engine) => {
        const lengths = [1, 2, 3, 4, 5, 6, 7, 9];
        const graph = new Graph();
        for (const length of lengths) {
          const x = graph.input(`x${length}`, "float32", [length]);
          graph.output(`x${length}.next`, identity(x));
        }
        await engine.load("p", compile(graph));
        const largest = lengths.map((length): [string, TensorData] => [
          `x${length}`,
          tensorData(
            Array.from({ length }, (_, index) => (index % 2 === 0 ? 3.4e38 : -1e-45)),
            [length],
            "float32",
          ),
        ]);
        const finite = Object.fromEntries(largest);
        await engine.write(finite);
        assert.ok((await engine.run("p", {}, { advance: true })).advanced);
        for (const length of lengths) {
          for (let place = 0; place < length; place++) {
            const data = Float32Array.from(finite[`x${length}`].data as Float32Array);
            data[place] = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY][place % 3];
            const feeds = { [`x${length}`]: { type: "float32" as const, shape: [length], data } };
            assert.equal(
              (await engine.run("p", feeds, { advance: true })).advanced,
              false,
              `${place} of ${length}`,
            );
          }
        }
      },
    );

    withEngine("keeps and finds tensors under names that are not the program's", async (engine) => {
      await engine.load(
        "square",
        vectorProgram(["x"], (x) => ({ "y.next": mul(x, x) })),
      );
      await engine.load(
        "double",
        vectorProgram(["y"], (y) => ({ twice: add(y, y) })),
      );
      for (const number of [1, 2, 1]) {
        const options = { advance: true, stored: { y: `y of ${number}` } };
        assert.ok((await engine.run("square", { x: vector(number, 3) }, options)).advanced);
      }
      await engine.write({ y: vector(0, 0) });
      for (const number of [1, 2]) {
        const { outputs } = await engine.run("double", {}, { stored: { y: `y of ${number}` } });
        assert.deepEqual(numbers(outputs.twice), [2 * number ** 2, 18]);
      }
      assert.deepEqual(Object.keys(await engine.read()).sort(), ["y", "y of 1", "y of 2"]);
      const bad = { advance: true, stored: { y: "y of 3" } };
      assert.equal((await engine.run("square", { x: vector(1e200, 1) }, bad)).advanced, false);
      await assert.rejects(engine.read(["y of 3"]), {
        message: '"y of 3" is neither an input of the run nor stored',
      });
    });

    withEngine("executes calls in the order they are made, without waiting between them", async (engine) => {
      const calls: Promise<unknown>[] = [engine.load("p", affine), engine.write({ x: vector(1, 1) })];
      let expected = 1;
      for (let index = 1; index <= 20; index++) {
        calls.push(
          engine.run("p", { a: vector(-2, -2), b: vector(index, index) }, { advance: true }),
          engine.run("p", { a: vector(0, 0), b: vector(0, 0) }),
        );
        expected = -2 * expected + index;
        const now = expected;
        calls.push(
          engine.read(["x"]).then(({ x }) => assert.deepEqual(numbers(x), [now, now], `after step ${index}`)),
        );
      }
      await Promise.all(calls);
    });

    withEngine("goes on after a call that failed", async (engine) => {
      const calls = [
        engine.load("p", affine),
        engine.run("p"),
        engine.write({ x: vector(1, 2) }),
        engine.run("p", { a: vector(1, 1), b: vector(0, 0) }),
      ];
      const ends = await Promise.allSettled(calls);
      assert.deepEqual(
        ends.map(({ status }) => status),
        ["fulfilled", "rejected", "fulfilled", "fulfilled"],
      );
    });

    withEngine("rejects with a message that names what is wrong", async (engine) => {
      await engine.load("p", affine);
      await assert.rejects(engine.run("q"), { message: 'no program "q" is loaded' });
      await assert.rejects(engine.run("p", { x: vector(1, 2), a: vector(1, 1) }), {
        message: '"b" is neither an input of the run nor stored',
      });
      await assert.rejects(engine.read(["w"]), { message: '"w" is neither an input of the run nor stored' });
      const feeds = { a: vector(1, 1), b: vector(1, 1) };
      await assert.rejects(engine.run("p", { ...feeds, x: tensorData([1, 2], [2], "float32") }), /float/i);
      const wrongShape = engine.run("p", { x: vector(1, 2, 3), a: vector(1, 1), b: vector(1, 1) });
      await assert.rejects(wrongShape, /x/);
    });

    withEngine("refuses corrupt model bytes, and a name keeps its program", async (engine) => {
      await engine.load("p", affine);
      await engine.write({ x: vector(1, 2), a: vector(1, 1), b: vector(0, 0) });
      const cut = affine.slice(0, Math.floor(affine.length / 2));
      const noise = Uint8Array.from({ length: 100 }, (_, index) => (index * 37) % 256);
      for (const bytes of [cut, noise, new Uint8Array(0)]) {
        await assert.rejects(
          engine.load("p", bytes),
          (error) => error instanceof Error && error.message !== "",
        );
        await assert.rejects(engine.load("new", bytes));
      }
      assert.deepEqual(numbers((await engine.run("p")).outputs.sum), [3]);
      await assert.rejects(engine.run("new"), /no program "new"/);
    });

    withEngine("replaces a program under its name, and keeps the store", async (engine) => {
      await engine.write({ x: vector(3, 4) });
      await engine.load(
        "p",
        vectorProgram(["x"], (x) => ({ y: mul(x, 2) })),
      );
      await engine.load(
        "p",
        vectorProgram(["x"], (x) => ({ z: mul(x, 5) })),
      );
      const { outputs } = await engine.run("p");
      assert.deepEqual(Object.keys(outputs), ["z"]);
      assert.deepEqual(numbers(outputs.z), [15, 20]);
    });

    withEngine("never writes to memory it was given, and what it gives is a copy", async (engine) => {
      await engine.load("p", affine);
      const given = { x: vector(1, 2), a: vector(2, 2), b: vector(0, 0) };
      await engine.write(given);
      for (let step = 0; step < 4; step++) await engine.run("p", {}, { advance: true });
      assert.deepEqual(numbers(given.x), [1, 2]);
      const copy = await engine.read(["x"]);
      (copy.x.data as Float64Array).fill(-1);
      assert.deepEqual(numbers((await engine.read(["x"])).x), [16, 32]);
      const kept = await engine.read(["x"]);
      await engine.run("p", {}, { advance: true });
      await engine.run("p", {}, { advance: true });
      assert.deepEqual(numbers(kept.x), [16, 32]);
    });

    withEngine(
      "reads views into larger buffers right, and leaves their surroundings alone",
      async (engine) => {
        await engine.load("p", affine);
        const large = Float64Array.from({ length: 1000 }, (_, index) => index);
        const view = (at: number) =>
          ({ type: "float64", shape: [2], data: large.subarray(at, at + 2) }) as const;
        await engine.write({ x: view(7) });
        const { outputs } = await engine.run("p", { a: view(500), b: view(998) }, { advance: true });
        assert.deepEqual(numbers(outputs.sum), [7 + 8]);
        assert.deepEqual(numbers((await engine.read(["x"])).x), [7 * 500 + 998, 8 * 501 + 999]);
        assert.equal(large.length, 1000);
        assert.ok(large.every((value, index) => value === index));
      },
    );

    withEngine("takes one array for several feeds", async (engine) => {
      await engine.load("p", affine);
      const both = vector(3, 4);
      const { outputs } = await engine.run("p", { x: both, a: both, b: both });
      assert.deepEqual(numbers(outputs.sum), [7]);
    });

    test("after close every call is rejected, and closing again does nothing", async () => {
      const engine = open();
      await engine.load("p", affine);
      const before = engine.run("p", { x: vector(1, 2), a: vector(1, 1), b: vector(0, 0) });
      const closed = engine.close();
      const after = [
        engine.run("p"),
        engine.read(),
        engine.write({ x: vector(1, 2) }),
        engine.load("p", affine),
      ];
      for (const call of after) await assert.rejects(call, { message: "the engine is closed" });
      await Promise.all([closed, engine.close()]);
      assert.deepEqual(numbers((await before).outputs.sum), [3]);
      await assert.rejects(engine.run("p"), { message: "the engine is closed" });
      await engine.close();
    });
  });
}

test("a convolution's result may be an output and be added to another", () =>
  using(new OnnxRuntimeEngine({ threads: 1 }), async (engine) => {
    const graph = new Graph();
    const [x, bias] = [graph.input("x", "float32", [1, 1, 2, 2]), graph.input("bias", "float32", [1])];
    const [one, two] = ["one", "two"].map((name) =>
      conv(x, graph.input(name, "float32", [1, 1, 1, 1]), bias),
    );
    graph.output("first", one);
    graph.output("sum", add(one, two));
    await engine.load("p", compile(graph));
    const single = (value: number, axes: number) => tensorData([value], new Array(axes).fill(1), "float32");
    const { outputs } = await engine.run("p", {
      x: tensorData([1, 2, 3, 4], [1, 1, 2, 2], "float32"),
      bias: single(10, 1),
      one: single(1, 4),
      two: single(2, 4),
    });
    assert.deepEqual(numbers(outputs.first), [11, 12, 13, 14]);
    assert.deepEqual(numbers(outputs.sum), [23, 26, 29, 32]);
  }));

test("a scalar result that is infinite keeps the store, a tensor result does not", () =>
  using(new OnnxRuntimeEngine({ threads: 1 }), async (engine) => {
    await engine.load(
      "p",
      vectorProgram(["x", "d"], (x, d) => ({
        "x.next": add(x, 1),
        each: div(x, d),
        total: reduceSum(mul(x, d)),
      })),
    );
    await engine.write({ x: vector(1, 2) });
    assert.ok((await engine.run("p", { d: vector(0, 1) }, { advance: true })).advanced);
    const { advanced } = await engine.run("p", { d: vector(1, Number.MAX_VALUE) }, { advance: true });
    assert.equal(advanced, false);
    assert.deepEqual(numbers((await engine.read(["x"])).x), [2, 3]);
  }));
