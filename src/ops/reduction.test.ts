import type { Random } from "../common/random.ts";
import { normal, shapeOf, testByDefinition, upTo } from "../testing/by-definition.ts";
import { alongAxis, at, type Dense, dense, positions } from "../testing/naive.ts";
import {
  argMax,
  reduceL2,
  reduceLogSumExp,
  reduceMax,
  reduceMean,
  reduceMin,
  reduceSum,
  reduceSumSquare,
} from "./reduction.ts";
import { logSoftmax, softmax } from "./softmax.ts";

// Reductions, and softmax along an axis.

/** A tensor with two numbers or more along an axis. */
function withLines(random: Random): [Dense, axis: number] {
  const shape = shapeOf(random, upTo(random, 3));
  const axis = random.integer(shape.length);
  return [normal(random, shape.with(axis, 1 + upTo(random, 4))), axis];
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);

type Reduction = typeof reduceSum;

const definitions: Record<string, [Reduction, (values: number[]) => number]> = {
  reduceSum: [reduceSum, sum],
  reduceMean: [reduceMean, (values) => sum(values) / values.length],
  reduceSumSquare: [reduceSumSquare, (values) => sum(values.map((value) => value ** 2))],
  reduceL2: [reduceL2, (values) => Math.hypot(...values)],
  reduceMax: [reduceMax, (values) => Math.max(...values)],
  reduceMin: [reduceMin, (values) => Math.min(...values)],
  reduceLogSumExp: [reduceLogSumExp, (values) => Math.log(sum(values.map(Math.exp)))],
};

/** `definition` of the numbers that fall together when `reduced` axes become 1. */
function reduce(x: Dense, reduced: readonly number[], definition: (values: number[]) => number): Dense {
  const kept = x.shape.map((size, axis) => (reduced.includes(axis) ? 1 : size));
  return dense(kept, (place) => {
    const together = positions(x.shape).filter((position) =>
      position.every((index, axis) => reduced.includes(axis) || index === place[axis]),
    );
    return definition(together.map((position) => at(x, position)!));
  });
}

const without = (x: Dense, axes: readonly number[]) => x.shape.filter((_, axis) => !axes.includes(axis));

testByDefinition({
  ...Object.fromEntries(
    Object.entries(definitions).map(([name, [builder, definition]]) => [
      name,
      (random: Random) => {
        const x = normal(random, shapeOf(random, 3));
        const axes = [0, 1, 2].filter(() => random.uniform() < 0.6);
        const all = axes.length === 0;
        const reduced = all ? [0, 1, 2] : axes;
        const keep = random.uniform() < 0.5;
        const { shape, data } = reduce(x, reduced, definition);
        return {
          inputs: [x],
          // Counted from the end as well.
          build: ([value]) =>
            builder(value, all ? undefined : axes.map((axis, at) => (at % 2 ? axis - 3 : axis)), keep),
          expected: { shape: keep ? shape : without(x, reduced), data },
        };
      },
    ]),
  ),
  argMax: (random) => {
    const [x, axis] = withLines(random);
    const { data } = reduce(x, [axis], (line) => line.indexOf(Math.max(...line)));
    return {
      inputs: [x],
      build: ([value]) => argMax(value, axis),
      expected: { shape: without(x, [axis]), data },
    };
  },
  softmax: (random) => {
    const [x, axis] = withLines(random);
    const expected = alongAxis(x, axis, (line) => {
      const total = line.reduce((sum, value) => sum + Math.exp(value), 0);
      return line.map((value) => Math.exp(value) / total);
    });
    return { inputs: [x], build: ([value]) => softmax(value, axis - x.shape.length), expected };
  },
  logSoftmax: (random) => {
    const [x, axis] = withLines(random);
    const expected = alongAxis(x, axis, (line) => {
      const total = line.reduce((sum, value) => sum + Math.exp(value), 0);
      return line.map((value) => value - Math.log(total));
    });
    return { inputs: [x], build: ([value]) => logSoftmax(value, axis), expected };
  },
});
