import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { type Random, randomStream } from "../common/random.ts";
import { type Attributes, elementCount, Graph, type Shape } from "../graph/graph.ts";
import { writeModel } from "../onnx/model.ts";
import type { DataType, TensorData } from "../onnx/tensor.ts";
import { dataTypeNumber, dataTypes, isFloat } from "../onnx/types.ts";
import { float, int, ints } from "../ops/operator.ts";
import { cases } from "../testing/extent.ts";
import { type NodeText, onnxModel, runModel } from "../testing/onnx-models.ts";
import { evaluators, fold } from "./fold.ts";
import { fromOnnx } from "./from-onnx.ts";

// Every evaluator against ONNX Runtime: one model of many nodes with constants for inputs, as it stands and folded.

/** Nodes drawn for each operator and opset. */
const nodeCount = cases(10, 40);

interface Case {
  inputs: readonly (TensorData | undefined)[];
  attributes?: Attributes;
  outputs?: number;
}

type Draw = (random: Random) => Case;

const opsets = [9, 10, 12, 13, 17, 18, 23];
const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random.uniform() * from.length)];
const between = (random: Random, low: number, high: number) =>
  low + Math.floor(random.uniform() * (high - low + 1));

/** Numbers at which types differ: limits, signs, halves, what is not finite. */
function nasty(random: Random, type: DataType): number | bigint {
  if (type === "bool") return between(random, 0, 1);
  if (isFloat(type)) {
    const special = [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      0,
      -0,
      0.5,
      1.5,
      2.5,
      -0.5,
      -1.5,
      -2.5,
      1e-3,
      7.25,
      -3,
      3,
      1 / 3,
      16777217,
      3e38,
      1e-45,
    ];
    return random.uniform() < 0.5 ? pick(random, special) : random.normal() * 10;
  }
  const { bits } = dataTypes[type];
  const signed = !type.startsWith("u");
  const [low, high] = signed
    ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n]
    : [0n, 2n ** BigInt(bits) - 1n];
  const value =
    random.uniform() < 0.3
      ? pick(random, [low, high, low + 1n, high - 1n, 0n])
      : BigInt(between(random, signed ? -9 : 0, 9));
  return bits === 64 ? value : Number(value);
}

function filled(type: DataType, shape: Shape, draw: () => number | bigint): TensorData {
  const { array } = dataTypes[type];
  const values = Array.from({ length: elementCount(shape) }, draw);
  return {
    type,
    shape,
    data: (array as unknown as { from(v: unknown[]): unknown }).from(values),
  } as TensorData;
}

const tensor = (random: Random, type: DataType, shape: Shape) =>
  filled(type, shape, () => nasty(random, type));
const vector = (values: readonly number[], type: "int64" | "int32" = "int64") =>
  filled(type, [values.length], valuesOf(values, type));
const valuesOf = (values: readonly number[], type: DataType) => {
  const rest = values.map((value) => (type === "int64" ? BigInt(value) : value)).values();
  return () => rest.next().value ?? 0;
};
const shapeOf = (random: Random, rank = between(random, 0, 3)) =>
  Array.from({ length: rank }, () => (between(random, 0, 9) === 0 ? 0 : between(random, 1, 4)));
/** A shape that broadcasts to another one. */
const within = (random: Random, shape: Shape) =>
  shape.slice(between(random, 0, shape.length)).map((size) => (random.uniform() < 0.3 ? 1 : size));

const maybe = (given: boolean, attributes: Attributes): Attributes => (given ? attributes : {});

const numbers: readonly DataType[] = ["float32", "float64", "int32", "int64"];
const all: readonly DataType[] = [...numbers, "uint8", "int8", "bool"];

const elementwise =
  (types: readonly DataType[], count: number, attributes?: Attributes): Draw =>
  (random) => {
    const type = pick(random, types);
    const shape = shapeOf(random);
    const inputs = [
      tensor(random, type, shape),
      ...Array.from({ length: count - 1 }, () => tensor(random, type, within(random, shape))),
    ];
    return { inputs: random.uniform() < 0.5 ? inputs : inputs.toReversed(), attributes };
  };

const nonZero = (value: TensorData): TensorData =>
  isFloat(value.type)
    ? value
    : filled(
        value.type,
        value.shape,
        valuesOf(
          Array.from(value.data as ArrayLike<number | bigint>, (one) => {
            const near = Number(one);
            // −1 is left out too: the smallest integer over it stops the process.
            return near === 0 || near === -1 || !Number.isSafeInteger(near) ? 3 : near;
          }),
          value.type,
        ),
      );

const dividing =
  (types: readonly DataType[], attributes: (type: DataType, random: Random) => Attributes): Draw =>
  (random) => {
    const type = pick(random, types);
    const shape = shapeOf(random);
    const [dividend, divisor] = [shape, within(random, shape)].map((one) => tensor(random, type, one));
    const given = attributes(type, random);
    // With fmod ONNX Runtime takes integers of 64 bits in float64.
    const inputs = [given.fmod ? nonZero(dividend) : dividend, nonZero(divisor)];
    return { inputs, attributes: given };
  };

const axesOf = (random: Random, shape: Shape) =>
  shape.flatMap((_, axis) =>
    // ONNX Runtime keeps the size of an axis counted from the end if the tensor is empty.
    random.uniform() < 0.5 ? [random.uniform() < 0.5 || shape.includes(0) ? axis : axis - shape.length] : [],
  );

const reducing =
  (operator: string): ((opset: number) => Draw) =>
  (opset) =>
  (random) => {
    const type = pick(random, ["float32", "int32", "int64"] as const);
    const hasStart = operator === "ReduceSum" || operator === "ReduceProd";
    const shape = shapeOf(random).map((size) => (hasStart ? size : size || 2));
    // Whole numbers as floats: no order of adding rounds them.
    const x = filled(
      type,
      shape,
      valuesOf(
        // Mostly signs, so that no product is beyond what a float32 holds.
        Array.from({ length: elementCount(shape) }, (_, at) =>
          at % 8 ? pick(random, [1, -1]) : between(random, -5, 5),
        ),
        type,
      ),
    );
    const keepdims = { keepdims: int(between(random, 0, 1)) };
    const axes = axesOf(random, shape);
    if (opset < (operator === "ReduceSum" ? 13 : 18)) {
      const plain = axes.map((axis) => (opset < 11 && axis < 0 ? axis + shape.length : axis));
      return { inputs: [x], attributes: plain.length > 0 ? { ...keepdims, axes: ints(plain) } : keepdims };
    }
    const noop = random.uniform() < 0.5 ? { noop_with_empty_axes: int(between(random, 0, 1)) } : {};
    const given = axes.length > 0 || random.uniform() < 0.5 ? [vector(axes)] : [];
    return { inputs: [x, ...given], attributes: { ...keepdims, ...noop } };
  };

/** A shape of at least so many axes, none of which is empty. */
const filledShape = (random: Random, least: number) =>
  Array.from({ length: between(random, least, 3) }, () => between(random, 1, 4));

/** Whole numbers, many of them equal. */
const orderly = (random: Random, type: DataType, shape: Shape) =>
  filled(
    type,
    shape,
    valuesOf(
      Array.from({ length: elementCount(shape) }, () => between(random, -4, 4)),
      type,
    ),
  );

const indicesAlong = (random: Random, shape: Shape, axis: number, of: Shape = shape) => {
  const size = of.at(axis) ?? 1;
  const type = pick(random, ["int64", "int32"] as const);
  return filled(
    type,
    shape,
    valuesOf(
      Array.from({ length: elementCount(shape) }, () => between(random, -size, size - 1)),
      type,
    ),
  );
};

/** Points [...rows, n] of n axes. */
const pointsOf = (random: Random, axes: Shape, rows: Shape) =>
  filled(
    "int64",
    [...rows, axes.length],
    valuesOf(
      Array.from({ length: elementCount(rows) }, () =>
        axes.map((size) => between(random, -size, size - 1)),
      ).flat(),
      "int64",
    ),
  );

const reductionsSince = (opset: number) =>
  opset < 18 ? ["none", "add", "mul"] : ["none", "add", "mul", "max", "min"];

const argument: Draw = (random) => {
  const shape = filledShape(random, 1);
  const attributes = {
    axis: int(between(random, -shape.length, shape.length - 1)),
    keepdims: int(between(random, 0, 1)),
    select_last_index: int(between(random, 0, 1)),
  };
  return { inputs: [orderly(random, pick(random, ["float32", "int32"] as const), shape)], attributes };
};

/** How nodes of each evaluator are drawn, for an opset that has its operator. */
const draws: Readonly<Record<string, readonly [since: number, (opset: number) => Draw]>> = {
  Identity: [7, () => elementwise(all, 1)],
  Add: [7, () => elementwise(numbers, 2)],
  Sub: [7, () => elementwise(numbers, 2)],
  Mul: [7, () => elementwise(numbers, 2)],
  Div: [7, () => dividing(numbers, () => ({}))],
  Mod: [
    10,
    () =>
      dividing([...numbers, "uint8", "int8"], (type, random) => ({
        fmod: int(isFloat(type) ? 1 : between(random, 0, 1)),
      })),
  ],
  Pow: [
    12,
    () => (random) => {
      const base = pick(random, numbers);
      const exponent = pick(random, isFloat(base) ? numbers : (["int64", "int32"] as const));
      const shape = shapeOf(random);
      const small = (type: DataType, low: number, high: number) =>
        filled(
          type,
          shape,
          valuesOf(
            Array.from({ length: elementCount(shape) }, () => between(random, low, high)),
            type,
          ),
        );
      return { inputs: [small(base, -3, 3), small(exponent, isFloat(base) ? -2 : 0, 4)] };
    },
  ],
  Sum: [8, () => (random) => elementwise(["float32", "float64"], between(random, 1, 3))(random)],
  Max: [12, () => (random) => elementwise(numbers, between(random, 1, 3))(random)],
  Min: [12, () => (random) => elementwise(numbers, between(random, 1, 3))(random)],
  Clip: [
    12,
    () => (random) => {
      const type = pick(random, ["float32", "float64", "int32", "int64", "int8", "uint8"] as const);
      const bound = (low: number, high: number) =>
        random.uniform() < 0.7 ? scalar(between(random, low, high), type) : undefined;
      const x = orderly(random, type, shapeOf(random));
      return { inputs: [type === "uint8" ? tensor(random, type, x.shape) : x, bound(0, 1), bound(2, 3)] };
    },
  ],
  Neg: [7, () => elementwise([...numbers, "int8"], 1)],
  Abs: [7, () => elementwise([...numbers, "int8", "uint8"], 1)],
  Sign: [9, () => elementwise(numbers, 1)],
  Relu: [14, () => elementwise(["float32", "float64", "int32", "int8"], 1)],
  Sqrt: [7, () => elementwise(["float32", "float64"], 1)],
  Reciprocal: [7, () => elementwise(["float32", "float64"], 1)],
  Floor: [7, () => elementwise(["float32", "float64"], 1)],
  Ceil: [7, () => elementwise(["float32", "float64"], 1)],
  Round: [11, () => elementwise(["float32", "float64"], 1)],
  Not: [7, () => elementwise(["bool"], 1)],
  And: [7, () => elementwise(["bool"], 2)],
  Or: [7, () => elementwise(["bool"], 2)],
  Xor: [7, () => elementwise(["bool"], 2)],
  Equal: [11, () => elementwise([...numbers, "bool"], 2)],
  Less: [9, () => elementwise(numbers, 2)],
  LessOrEqual: [12, () => elementwise(numbers, 2)],
  Greater: [9, () => elementwise(numbers, 2)],
  GreaterOrEqual: [12, () => elementwise(numbers, 2)],
  Where: [
    9,
    () => (random) => {
      const type = pick(random, ["float32", "int64", "int32", "uint8"] as const);
      const shape = shapeOf(random);
      return {
        inputs: [
          tensor(random, "bool", within(random, shape)),
          tensor(random, type, shape),
          tensor(random, type, within(random, shape)),
        ],
      };
    },
  ],
  ReduceSum: [7, reducing("ReduceSum")],
  ReduceProd: [7, reducing("ReduceProd")],
  ReduceMax: [12, reducing("ReduceMax")],
  ReduceMin: [12, reducing("ReduceMin")],
  Cast: [
    9,
    () => (random) => {
      const [from, to] = [pick(random, all), pick(random, all)];
      const limit = to === "uint8" ? 255 : to === "int8" ? 127 : 2 ** 30;
      const x = tensor(random, from, shapeOf(random));
      // What a fraction beyond the type becomes is not defined.
      const fits = filled(
        from,
        x.shape,
        valuesOf(
          Array.from(x.data as ArrayLike<number | bigint>, (value) =>
            isFloat(from)
              ? Math.min(limit, Math.max(to === "uint8" ? 0 : -limit, Number(value))) || 0
              : Number(value),
          ).map((value) =>
            Number.isInteger(value) && !Number.isSafeInteger(value) && !isFloat(from) ? -7 : value,
          ),
          from,
        ),
      );
      return {
        inputs: [fits],
        attributes: { to: int(dataTypeNumber(to)) },
      };
    },
  ],
  Reshape: [
    7,
    (opset) => (random) => {
      const shape = shapeOf(random, between(random, 1, 3));
      const x = tensor(random, pick(random, all), shape);
      const allowzero = opset >= 14 && random.uniform() < 0.5;
      const attributes = maybe(allowzero, { allowzero: int(1) });
      const flat = random.uniform() < 0.5 ? [elementCount(shape)] : shape.toReversed();
      if (shape.includes(0)) return { inputs: [x, vector(allowzero ? flat : shape)], attributes };
      const target = pick(random, [
        flat,
        [-1],
        [...shape.slice(0, -1), -1],
        allowzero ? flat : shape.map(() => 0),
      ]);
      return { inputs: [x, vector(target)], attributes };
    },
  ],
  Flatten: [
    9,
    (opset) => (random) => {
      const shape = shapeOf(random, between(random, 1, 3));
      const axis = between(random, opset < 11 ? 0 : -shape.length, shape.length);
      return { inputs: [tensor(random, pick(random, all), shape)], attributes: { axis: int(axis) } };
    },
  ],
  Squeeze: [
    7,
    (opset) => (random) => {
      const shape = shapeOf(random).flatMap((size) => [size, 1]);
      const x = tensor(random, pick(random, all), shape);
      const ones = axesOf(random, shape).filter((axis) => shape.at(axis) === 1);
      const axes = ones.map((axis) => (opset < 11 && axis < 0 ? axis + shape.length : axis));
      if (axes.length === 0 && random.uniform() < 0.5) return { inputs: [x] };
      return opset < 13 ? { inputs: [x], attributes: { axes: ints(axes) } } : { inputs: [x, vector(axes)] };
    },
  ],
  Unsqueeze: [
    7,
    (opset) => (random) => {
      const x = tensor(random, pick(random, all), shapeOf(random));
      const axes = pick(random, opset < 11 ? [[0], [1, 0]] : [[0], [-1], [0, -1], [-2, 0]]).filter(
        (axis) => axis <= x.shape.length && axis >= -x.shape.length - 1,
      );
      return opset < 13 ? { inputs: [x], attributes: { axes: ints(axes) } } : { inputs: [x, vector(axes)] };
    },
  ],
  Transpose: [
    7,
    () => (random) => {
      const shape = shapeOf(random);
      const order = shape.map((_, axis) => axis).toSorted(() => random.uniform() - 0.5);
      return {
        inputs: [tensor(random, pick(random, all), shape)],
        attributes: maybe(random.uniform() < 0.5, { perm: ints(order) }),
      };
    },
  ],
  Expand: [
    8,
    () => (random) => {
      const shape = shapeOf(random);
      return { inputs: [tensor(random, pick(random, all), within(random, shape)), vector(shape)] };
    },
  ],
  Tile: [
    7,
    () => (random) => {
      const shape = shapeOf(random, between(random, 1, 3));
      return {
        inputs: [
          tensor(random, pick(random, numbers), shape),
          vector(shape.map(() => between(random, 0, 3))),
        ],
      };
    },
  ],
  Concat: [
    7,
    (opset) => (random) => {
      const shape = shapeOf(random, between(random, 1, 3));
      const type = pick(random, all);
      const axis = between(random, opset < 11 ? 0 : -shape.length, shape.length - 1);
      const front = axis < 0 ? axis + shape.length : axis;
      const inputs = Array.from({ length: between(random, 1, 3) }, () =>
        tensor(random, type, shape.with(front, between(random, 0, 3))),
      );
      return { inputs, attributes: { axis: int(axis) } };
    },
  ],
  Gather: [
    7,
    (opset) => (random) => {
      const shape = shapeOf(random, between(random, 1, 3)).map((size) => size || 2);
      const axis = between(random, opset < 11 ? 0 : -shape.length, shape.length - 1);
      const size = shape.at(axis) ?? 1;
      const type = pick(random, ["int64", "int32"] as const);
      const at = shapeOf(random, between(random, 0, 2));
      const places = Array.from({ length: elementCount(at) }, () =>
        between(random, opset < 11 ? 0 : -size, size - 1),
      );
      return {
        inputs: [tensor(random, pick(random, all), shape), filled(type, at, valuesOf(places, type))],
        attributes: maybe(random.uniform() < 0.8 || shape.at(0) !== size, { axis: int(axis) }),
      };
    },
  ],
  Slice: [
    7,
    (opset) => (random) => {
      const shape = shapeOf(random, between(random, 1, 3));
      const axes = shape.flatMap((_, axis) => (random.uniform() < 0.7 ? [axis] : []));
      const bound = () => pick(random, [-100, -3, -2, -1, 0, 1, 2, 3, 100]);
      const [starts, ends] = [axes.map(bound), axes.map(bound)];
      const x = tensor(random, pick(random, numbers), shape);
      if (opset < 10)
        return { inputs: [x], attributes: { starts: ints(starts), ends: ints(ends), axes: ints(axes) } };
      const steps = axes.map(() => pick(random, [-100, -2, -1, 1, 2, 100]));
      const given = random.uniform() < 0.7 ? [vector(steps)] : [];
      return { inputs: [x, vector(starts), vector(ends), vector(axes), ...given] };
    },
  ],
  Split: [
    7,
    (opset) => (random) => {
      const outputs = between(random, 1, 3);
      const shape = shapeOf(random, between(random, 1, 3));
      const axis = between(random, opset < 11 ? 0 : -shape.length, shape.length - 1);
      const named = { axis: int(axis) };
      const front = axis < 0 ? axis + shape.length : axis;
      const x = (size: number) =>
        tensor(random, pick(random, ["float32", "int64", "int32"] as const), shape.with(front, size));
      if (random.uniform() < 0.5) {
        const sizes = Array.from({ length: outputs }, () => between(random, 0, 3));
        const total = sizes.reduce((sum, size) => sum + size, 0);
        return opset < 13
          ? { inputs: [x(total)], attributes: { ...named, split: ints(sizes) }, outputs }
          : { inputs: [x(total), vector(sizes)], attributes: named, outputs };
      }
      if (opset < 18) return { inputs: [x(outputs * between(random, 1, 3))], attributes: named, outputs };
      return {
        inputs: [x(outputs * 2 - (outputs > 1 ? between(random, 0, 1) : 0))],
        attributes: { ...named, num_outputs: int(outputs) },
        outputs,
      };
    },
  ],
  GatherElements: [
    11,
    () => (random) => {
      const shape = filledShape(random, 1);
      const axis = between(random, -shape.length, shape.length - 1);
      return {
        inputs: [tensor(random, pick(random, all), shape), indicesAlong(random, shape, axis)],
        attributes: { axis: int(axis) },
      };
    },
  ],
  GatherND: [
    12,
    () => (random) => {
      const shape = filledShape(random, 1);
      const batch = between(random, 0, shape.length - 1);
      const depth = between(random, 1, shape.length - batch);
      const rows = [...shape.slice(0, batch), between(random, 1, 3)];
      return {
        inputs: [
          tensor(random, pick(random, all), shape),
          pointsOf(random, shape.slice(batch, batch + depth), rows),
        ],
        attributes: maybe(batch > 0, { batch_dims: int(batch) }),
      };
    },
  ],
  ScatterElements: [
    11,
    (opset) => (random) => {
      const shape = filledShape(random, 1);
      const axis = between(random, -shape.length, shape.length - 1);
      const type = pick(random, numbers);
      const reduction = opset < 16 ? "none" : pick(random, reductionsSince(opset));
      // One update of each line: without a reduction no place may be named twice.
      const front = axis < 0 ? axis + shape.length : axis;
      const indices = indicesAlong(random, reduction === "none" ? shape.with(front, 1) : shape, axis, shape);
      return {
        inputs: [orderly(random, type, shape), indices, orderly(random, type, indices.shape)],
        attributes: { axis: int(axis), ...(reduction !== "none" && { reduction: { string: reduction } }) },
      };
    },
  ],
  ScatterND: [
    12,
    (opset) => (random) => {
      const shape = filledShape(random, 1);
      const depth = between(random, 1, shape.length);
      const type = pick(random, numbers);
      const reduction = opset < 16 ? "none" : pick(random, reductionsSince(opset));
      const rows = [reduction === "none" ? 1 : between(random, 1, 3)];
      return {
        inputs: [
          orderly(random, type, shape),
          pointsOf(random, shape.slice(0, depth), rows),
          orderly(random, type, [...rows, ...shape.slice(depth)]),
        ],
        attributes: maybe(reduction !== "none", { reduction: { string: reduction } }),
      };
    },
  ],
  CumSum: [
    12,
    () => (random) => {
      const shape = filledShape(random, 1);
      const axis = between(random, -shape.length, shape.length - 1);
      const settings = { exclusive: int(between(random, 0, 1)), reverse: int(between(random, 0, 1)) };
      return {
        inputs: [tensor(random, pick(random, numbers), shape), scalar(axis, "int64")],
        attributes: settings,
      };
    },
  ],
  Compress: [
    12,
    () => (random) => {
      const shape = filledShape(random, 1);
      const axis = between(random, -shape.length, shape.length - 1);
      const flat = random.uniform() < 0.4;
      const size = between(random, 1, flat ? elementCount(shape) : (shape.at(axis) ?? 1));
      return {
        inputs: [tensor(random, pick(random, all), shape), tensor(random, "bool", [size])],
        attributes: maybe(!flat, { axis: int(axis) }),
      };
    },
  ],
  Pad: [
    13,
    (opset) => (random) => {
      const shape = filledShape(random, 1);
      const type = pick(random, ["float32", "float64", "int32", "int64"] as const);
      const axes = opset >= 18 && random.uniform() < 0.5 ? [between(random, -shape.length, -1)] : undefined;
      const amounts = Array.from({ length: 2 * (axes ?? shape).length }, () => between(random, 0, 2));
      const value = random.uniform() < 0.5 || axes ? tensor(random, type, []) : undefined;
      return {
        inputs: [
          tensor(random, type, shape),
          vector(amounts),
          ...(value ? [value] : []),
          ...(axes ? [vector(axes)] : []),
        ],
      };
    },
  ],
  ArgMax: [12, () => argument],
  ArgMin: [12, () => argument],
  TopK: [
    12,
    () => (random) => {
      const shape = filledShape(random, 1);
      const axis = between(random, -shape.length, shape.length - 1);
      return {
        inputs: [
          orderly(random, pick(random, numbers), shape),
          vector([between(random, 1, shape.at(axis) ?? 1)]),
        ],
        attributes: { axis: int(axis), largest: int(between(random, 0, 1)) },
        outputs: 2,
      };
    },
  ],
};

test("every evaluator has its random nodes", () => {
  assert.deepEqual(Object.keys(draws).toSorted(), Object.keys(evaluators).toSorted());
});

for (const [operator, [since, drawAt]] of Object.entries(draws)) {
  test(`${operator} of constants is folded to what ONNX Runtime computes`, async () => {
    for (const opset of opsets.filter((one) => one >= since)) {
      const random = randomStream(3, `${operator} ${opset}`);
      const drawn = Array.from({ length: nodeCount }, () => drawAt(opset)(random));
      await compare(operator, opset, drawn);
    }
  });
}

async function compare(operator: string, opset: number, drawn: readonly Case[]): Promise<void> {
  const weights: Record<string, TensorData> = {};
  const nodes = drawn.map(({ inputs, attributes, outputs = 1 }, row): NodeText => {
    const names = inputs.map((input, column) => {
      if (input) weights[`c${row}_${column}`] = input;
      return input ? `c${row}_${column}` : "";
    });
    return [operator, names, Array.from({ length: outputs }, (_, column) => `y${row}_${column}`), attributes];
  });
  const names = nodes.flatMap(([, , outputs]) => outputs);
  const model = onnxModel({ opset, weights, nodes, outputs: names });
  const { graph } = fromOnnx(model, { isInput: () => false });
  const original = await runModel(writeModel(model), {});
  for (const [, inputs, outputs, attributes] of nodes) {
    for (const name of outputs) {
      const { origin } = graph.outputs.get(name)!;
      const label = `${operator} ${opset} ${JSON.stringify(attributes)} of ${inputs.map((input) => `${weights[input]?.type} [${weights[input]?.shape}] ${weights[input]?.data}`).join("; ")}`;
      assert.equal(origin.kind, "constant", `${label}: not folded`);
      const folded = origin.kind === "constant" ? origin.data : undefined;
      const { type, shape, data } = original[name];
      assert.deepEqual(
        { type: folded?.type, shape: folded?.shape, data: plain(folded?.data) },
        { type, shape, data: plain(data) },
        label,
      );
    }
  }
}

/** −0 as 0, to compare: kernels differ in it by their instruction sets. */
function plain(data: TensorData["data"] | undefined): (number | bigint)[] {
  return Array.from(data as ArrayLike<number | bigint>, (value) => (value === 0 ? 0 : value));
}

const scalar = (value: number, type: DataType) => filled(type, [], valuesOf([value], type));

test("a node with an attribute that no evaluator heeds is not folded", () => {
  const graph = new Graph();
  const x = graph.constant(vector([1, 2]));
  assert.equal(fold("Add", [x, x], { axis: int(0) }), undefined);
  assert.equal(fold("Identity", [x], { alpha: float(1) }), undefined);
  assert.equal(fold("Add", [x, undefined], {}), undefined);
  assert.equal(fold("Add", [], {}), undefined);
});

test("what is not certain is left to ONNX Runtime", () => {
  const graph = new Graph();
  const given = (...tensors: TensorData[]) => tensors.map((one) => graph.constant(one));
  const to = (type: DataType) => ({ to: int(dataTypeNumber(type)) });
  assert.equal(fold("Cast", given(scalar(Number.NaN, "float32")), to("int64")), undefined);
  assert.equal(fold("Cast", given(scalar(300, "float32")), to("uint8")), undefined);
  assert.equal(fold("Cast", given(filled("int64", [], () => 2n ** 62n + 1n)), to("float32")), undefined);
  assert.equal(fold("Pow", given(scalar(2, "int64"), scalar(-1, "int64")), {}), undefined);
  assert.equal(fold("Pow", given(scalar(2, "int64"), scalar(40, "int64")), {}), undefined);
  assert.equal(fold("Gather", given(vector([1, 2]), scalar(2, "int64")), {}), undefined);
  assert.equal(fold("ReduceMax", given(filled("float32", [0], () => 0)), {}), undefined);
  assert.equal(fold("Add", given(scalar(1, "int64"), scalar(1, "float32")), {}), undefined);
});

test("a known integer over zero is refused: it would stop the process", () => {
  const graph = new Graph();
  for (const operator of ["Div", "Mod"]) {
    const inputs = [graph.scalar(7, "int64"), graph.scalar(0, "int64")];
    assert.throws(() => fold(operator, inputs, {}), UserError);
  }
});
