import type { Random } from "../common/random.ts";
import type { Shape, Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { many, normal, shapeOf, testByDefinition, upTo } from "../testing/by-definition.ts";
import { alongAxis, at, type Dense, dense, positions } from "../testing/naive.ts";
import { gatherElements, scatterAdd } from "./indexing.ts";
import { gemm, matMul } from "./linear.ts";
import { expand, transpose } from "./movement.ts";
import { pad } from "./padding.ts";
import { insertZeros, reverse, slice } from "./slicing.ts";

// Operators that move numbers, and matrix products.

const axisOf = (random: Random, shape: Shape) => random.integer(shape.length);

testByDefinition({
  slice: (random) => {
    const x = normal(random, shapeOf(random, upTo(random, 3)));
    const starts = x.shape.map((size) => random.integer(size));
    const ends = x.shape.map((size, axis) => starts[axis] + upTo(random, size - starts[axis]));
    const steps = x.shape.map(() => upTo(random, 3));
    const shape = x.shape.map((_, axis) => Math.ceil((ends[axis] - starts[axis]) / steps[axis]));
    // The same bounds counted from the end, on some axes.
    const signed = starts.map((start, axis) => (random.uniform() < 0.5 ? start : start - x.shape[axis]));
    return {
      inputs: [x],
      build: ([value]) => slice(value, { starts: signed, ends, steps }),
      expected: dense(
        shape,
        (position) =>
          at(
            x,
            position.map((at, axis) => starts[axis] + at * steps[axis]),
          )!,
      ),
    };
  },
  "pad and cut": (random) => {
    const x = normal(
      random,
      shapeOf(random, upTo(random, 3)).map((size) => size + 2),
    );
    const [before, after] = many(2, () => x.shape.map(() => random.integer(4) - 1));
    const shape = x.shape.map((size, axis) => size + before[axis] + after[axis]);
    return {
      inputs: [x],
      build: ([value]) => pad(value, before, after),
      expected: dense(
        shape,
        (position) =>
          at(
            x,
            position.map((at, axis) => at - before[axis]),
          ) ?? 0,
      ),
    };
  },
  insertZeros: (random) => {
    const x = normal(random, shapeOf(random, upTo(random, 3)));
    const strides = x.shape.map(() => upTo(random, 3));
    return {
      inputs: [x],
      build: ([value]) => insertZeros(value, strides),
      expected: dense(
        x.shape.map((size, axis) => (size - 1) * strides[axis] + 1),
        (position) =>
          position.some((index, axis) => index % strides[axis] !== 0)
            ? 0
            : at(
                x,
                position.map((index, axis) => index / strides[axis]),
              )!,
      ),
    };
  },
  reverse: (random) => {
    const x = normal(random, shapeOf(random, upTo(random, 3)));
    const axis = axisOf(random, x.shape);
    const expected = alongAxis(x, axis, (line) => line.reverse());
    return { inputs: [x], build: ([value]) => reverse(value, [axis]), expected };
  },
  transpose: (random) => {
    const x = normal(random, shapeOf(random, upTo(random, 4)));
    const order = [...random.permutation(x.shape.length)];
    return {
      inputs: [x],
      build: ([value]) => transpose(value, order),
      expected: dense(
        order.map((axis) => x.shape[axis]),
        (position) =>
          at(
            x,
            x.shape.map((_, axis) => position[order.indexOf(axis)]),
          )!,
      ),
    };
  },
  expand: (random) => {
    const shape = shapeOf(random, upTo(random, 3));
    const x = normal(
      random,
      shape.slice(random.integer(shape.length + 1)).map((size) => (random.uniform() < 0.5 ? 1 : size)),
    );
    const offset = shape.length - x.shape.length;
    return {
      inputs: [x],
      build: ([value]) => expand(value, shape),
      expected: dense(
        shape,
        (position) =>
          at(
            x,
            x.shape.map((size, axis) => (size === 1 ? 0 : position[axis + offset])),
          )!,
      ),
    };
  },
  gatherElements: (random) => {
    const x = normal(random, shapeOf(random, upTo(random, 3)));
    const axis = axisOf(random, x.shape);
    const indices = dense(x.shape.with(axis, upTo(random, 5)), () => random.integer(x.shape[axis]));
    return {
      inputs: [x],
      build: ([value]) => gatherElements(value, integers(value, indices), axis),
      expected: dense(indices.shape, (position) => at(x, position.with(axis, at(indices, position)!))!),
    };
  },
  scatterAdd: (random) => {
    const x = normal(random, shapeOf(random, upTo(random, 3)));
    const axis = axisOf(random, x.shape);
    const updates = normal(random, x.shape.with(axis, upTo(random, 6)));
    const indices = dense(updates.shape, () => random.integer(x.shape[axis]));
    return {
      inputs: [x, updates],
      build: ([value, added]) => scatterAdd(value, integers(value, indices), added, axis),
      expected: dense(x.shape, (position) => {
        const hits = positions(updates.shape).filter((from) =>
          from.every((index, each) => (each === axis ? at(indices, from) : index) === position[each]),
        );
        return hits.reduce((sum, from) => sum + at(updates, from)!, at(x, position)!);
      }),
    };
  },
  "matMul with broadcast batches": (random) => {
    const [m, k, n] = shapeOf(random, 3);
    const batch = shapeOf(random, 2);
    const [a, b] = [normal(random, [...batch, m, k]), normal(random, [batch[1], k, n])];
    return {
      inputs: [a, b],
      build: ([left, right]) => matMul(left, right),
      expected: dense([...batch, m, n], ([i, j, row, column]) =>
        many(k, () => 0).reduce(
          (sum, _, at_) => sum + at(a, [i, j, row, at_])! * at(b, [j, at_, column])!,
          0,
        ),
      ),
    };
  },
  "gemm with both sides transposed": (random) => {
    const [m, k, n] = shapeOf(random, 3);
    const [a, b, c] = [normal(random, [k, m]), normal(random, [n, k]), normal(random, [n])];
    return {
      inputs: [a, b, c],
      build: ([left, right, summand]) => gemm(left, right, summand, { transposeA: true, transposeB: true }),
      expected: dense([m, n], ([row, column]) =>
        many(k, () => 0).reduce(
          (sum, _, at_) => sum + at(a, [at_, row])! * at(b, [column, at_])!,
          c.data[column],
        ),
      ),
    };
  },
});

function integers(value: Value, { shape, data }: Dense): Value {
  return value.graph.constant(tensorData(data, shape, "int64"));
}
