import type { Random } from "../../common/random.ts";
import { elementCount, type Shape } from "../../graph/graph.ts";
import type { AttributeValue } from "../../onnx/attributes.ts";
import { smallFloatBits, smallFloatValue } from "../../onnx/small-floats.ts";
import type { DataType } from "../../onnx/tensor.ts";
import { int, ints } from "../../ops/operator.ts";
import { knownIntegers } from "./integers.ts";
import { drawParameter } from "./weights.ts";

// A random model while it is drawn: a list of nodes over named tensors of known shapes. What the file looks like that
// holds it (functions, branches, external data) is decided afterward, in file.ts.

export type Float = "float32" | "float16" | "float64";

/** A tensor by name. */
export interface Drawn {
  readonly name: string;
  readonly type: DataType;
  readonly shape: Shape;
  /** About how large its numbers are: operators that grow fast get small ones. */
  readonly size: number;
  /** Behind an operator without a gradient: no loss is taken of it. */
  readonly blocked: boolean;
}

export interface DrawnNode {
  readonly operator: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

/** A tensor with its numbers: fed, or stored in the file. */
export interface Numbers {
  readonly name: string;
  readonly type: DataType;
  readonly shape: Shape;
  readonly values: readonly number[];
  /** Of a type that the operator asks for, whatever the model computes in. */
  readonly fixedType?: boolean;
}

/** What a stored tensor is meant as. */
export type Meaning = "parameter" | "constant";

export interface StoredNumbers extends Numbers {
  readonly meaning: Meaning;
}

export interface DrawnModel {
  readonly opset: number;
  readonly float: Float;
  readonly inputs: readonly Numbers[];
  readonly stored: readonly StoredNumbers[];
  readonly nodes: readonly DrawnNode[];
  /** What the nodes make, by name. */
  readonly made: ReadonlyMap<string, Drawn>;
  readonly outputs: readonly Drawn[];
  /** Tensors from which a straight-through gradient is on the way: finite differences say nothing of it. */
  readonly straightThrough: ReadonlySet<string>;
}

type Input = Drawn | undefined;

/** Attributes, those that are left out among them. */
export type Given = Readonly<Record<string, AttributeValue | undefined>>;

export class Drawing {
  readonly random: Random;
  readonly opset: number;
  readonly float: Float;
  readonly pool: Drawn[] = [];
  readonly inputs: Numbers[] = [];
  readonly stored: StoredNumbers[] = [];
  readonly nodes: DrawnNode[] = [];
  readonly made = new Map<string, Drawn>();
  /** Tensors that go through a quantization whose gradient is straight through. */
  readonly quantized: string[] = [];
  private count = 0;

  constructor(random: Random, opset: number, float: Float) {
    this.random = random;
    this.opset = opset;
    this.float = float;
  }

  // Choices

  chance(share: number): boolean {
    return this.random.uniform() < share;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.random.integer(list.length)];
  }

  between(least: number, most: number): number {
    return least + this.random.integer(most - least + 1);
  }

  shape(rank: number, most = 4): number[] {
    return Array.from({ length: rank }, () => this.between(1, most));
  }

  axis({ shape }: Drawn): number {
    return this.between(0, shape.length - 1);
  }

  /** An axis as an attribute may give it: counted from the end where the opset allows it. */
  written(axis: number, rank: number, negativeSince = 11): number {
    return this.opset >= negativeSince && this.chance(0.4) ? axis - rank : axis;
  }

  normals(shape: Shape, deviation = 1, type: DataType = this.float): number[] {
    return Array.from({ length: elementCount(shape) }, () => rounded(this.random.normal() * deviation, type));
  }

  // Tensors

  name(prefix: string): string {
    return `${prefix}${this.count++}`;
  }

  /** A new input of the model. */
  input(shape: Shape, values?: readonly number[], type: DataType = this.float): Drawn {
    const name = this.name("x");
    const numbers = values ?? this.normals(shape, 1, type);
    this.inputs.push({ name, type, shape, values: numbers });
    return this.keep({ name, type, shape, size: largest(numbers), blocked: false });
  }

  /** A stored tensor. */
  store(
    shape: Shape,
    values: readonly number[],
    { type = this.float as DataType, meaning = "constant" as Meaning, fixedType = false } = {},
  ): Drawn {
    const name = this.name(meaning === "parameter" ? "w" : "c");
    const numbers = values.map((value) => rounded(value, type));
    this.stored.push({ name, type, shape, values: numbers, meaning, fixedType });
    return { name, type, shape, size: largest(numbers), blocked: false };
  }

  scalar(value: number, type: DataType = this.float): Drawn {
    return this.store([], [value], { type });
  }

  /** A tensor that trains, directly or behind operators. */
  parameter(shape: Shape, deviation = 0.7): Drawn {
    return drawParameter(this, shape, deviation);
  }

  /** A vector of int64 that is known before a run, stored or computed. */
  integers(values: readonly number[]): Drawn {
    return knownIntegers(this, values);
  }

  /** int64 numbers that are fed or stored. */
  indices(shape: Shape, values: readonly number[], type: DataType = "int64"): Drawn {
    if (this.chance(0.4)) return this.input(shape, values, type);
    return this.store(shape, values, { type });
  }

  /** A floating-point tensor of the pool whose shape is accepted, or one that is brought to the shape that is made. */
  tensor(accept: (shape: Shape) => boolean, make: () => Shape): Drawn {
    const fitting = this.pool.filter(
      ({ type, shape, blocked }) =>
        type === this.float && !blocked && elementCount(shape) <= 400 && accept(shape),
    );
    if (fitting.length > 0 && this.chance(0.8)) return this.tame(this.pick(fitting.slice(-4)));
    const shape = make();
    const others = this.pool.filter(({ type, blocked }) => type === this.float && !blocked);
    if (others.length === 0 || (this.inputs.length < 4 && this.chance(0.4))) return this.input(shape);
    return this.tame(this.brought(this.pick(others.slice(-4)), shape));
  }

  /** A floating-point tensor of one of the ranks. */
  ofRank(least: number, most: number, largestSize = 4): Drawn {
    return this.tensor(
      (shape) => shape.length >= least && shape.length <= most,
      () => this.shape(this.between(least, most), largestSize),
    );
  }

  /** Images [N, C, H, W], or with another number of axes of space. */
  images(spatial = 2, channels?: number): Drawn {
    return this.tensor(
      (shape) =>
        shape.length === spatial + 2 &&
        (channels === undefined || shape[1] === channels) &&
        shape.slice(2).every((size) => size >= 3),
      () => [
        this.between(1, 2),
        channels ?? this.between(1, 4),
        ...Array.from({ length: spatial }, () => this.between(3, spatial > 2 ? 4 : 6)),
      ],
    );
  }

  /** A tensor made into one of another shape by cutting and reshaping, or by spreading its mean over a parameter. */
  brought(x: Drawn, shape: Shape): Drawn {
    const [has, wants] = [elementCount(x.shape), elementCount(shape)];
    if (has < wants) {
      const flat = this.reshaped(x, [has]);
      const mean = this.reduced("ReduceMean", flat, [0], false);
      return this.node("Mul", [mean, this.parameter(shape)], {}, { shape, size: x.size });
    }
    if (has === wants) return this.reshaped(x, shape);
    const flat = this.reshaped(x, [has]);
    const start = this.between(0, has - wants);
    return this.reshaped(this.sliced(flat, [0], [start], [start + wants]), shape);
  }

  /** A tensor small enough for what grows fast. */
  tame(x: Drawn, limit = 6): Drawn {
    if (x.size <= limit) return x;
    return this.chance(0.5)
      ? this.node("Tanh", [x], {}, { size: 1 })
      : this.node("Mul", [x, this.scalar(limit / 2 / x.size)], {}, { size: limit / 2 });
  }

  /** Numbers within (−1, 1). */
  bounded(x: Drawn, limit = 0.9): Drawn {
    const y = this.node("Tanh", [x], {}, { size: 1 });
    return limit === 1 ? y : this.node("Mul", [y, this.scalar(limit)], {}, { size: limit });
  }

  /** Numbers of at least `least` > 0. */
  positive(x: Drawn, least = 0.3): Drawn {
    const kind = this.pick(["square", "sigmoid", "softplus", "abs"] as const);
    const offset = this.scalar(least);
    const one = { size: Math.min(x.size, 6) };
    if (kind === "square") {
      const t = this.tame(x, 3);
      return this.node("Add", [this.node("Mul", [t, t], {}, { size: 9 }), offset], {}, { size: 9 });
    }
    if (kind === "sigmoid")
      return this.node("Add", [this.node("Sigmoid", [x], {}, { size: 1 }), offset], {}, { size: 1 });
    if (kind === "softplus")
      return this.node("Add", [offset, this.node("Softplus", [x], {}, one)], {}, { ...one, shape: x.shape });
    return this.node("Add", [this.node("Abs", [x], {}), offset], {});
  }

  // Nodes

  /** A node of one output; what is not said of it is as with its first input. */
  node(
    operator: string,
    inputs: readonly Input[],
    attributes: Given,
    output: { type?: DataType; shape?: Shape; size?: number } = {},
  ): Drawn {
    return this.nodeOf(operator, inputs, attributes, [output])[0];
  }

  /** A node of several outputs; undefined for one that is left out. */
  nodeOf(
    operator: string,
    inputs: readonly Input[],
    attributes: Given,
    outputs: readonly ({ type?: DataType; shape?: Shape; size?: number } | undefined)[],
  ): Drawn[] {
    const given = inputs.slice(0, inputs.findLastIndex((input) => input !== undefined) + 1);
    const first = given.find((input) => input !== undefined);
    const blocked = given.some((input) => input?.blocked) || withoutGradient.has(operator);
    const size = Math.max(...given.map((input) => input?.size ?? 0), 0);
    const drawn = outputs.map(
      (output): Drawn => ({
        name: output ? this.name("t") : "",
        type: output?.type ?? first?.type ?? this.float,
        shape: output?.shape ?? first?.shape ?? [],
        size: output?.size ?? size,
        blocked,
      }),
    );
    this.nodes.push({
      operator,
      inputs: given.map((input) => input?.name ?? ""),
      outputs: drawn.map(({ name }) => name),
      attributes: Object.fromEntries(
        Object.entries(attributes).filter(
          (entry): entry is [string, AttributeValue] => entry[1] !== undefined,
        ),
      ),
    });
    for (const one of drawn) if (one.name !== "") this.made.set(one.name, one);
    return drawn;
  }

  /** Puts a tensor where later nodes find it. */
  keep(x: Drawn): Drawn {
    this.pool.push(x);
    return x;
  }

  /** Whether a floating-point tensor can be read by what comes later as one of the model's own type. */
  isFloat({ type }: Drawn): boolean {
    return type === this.float;
  }

  // Nodes that other nodes need

  reshaped(x: Drawn, shape: Shape): Drawn {
    const sizes = [...shape];
    if (sizes.length > 0 && !sizes.includes(0) && this.chance(0.3))
      sizes[this.between(0, sizes.length - 1)] = -1;
    return this.node("Reshape", [x, this.integers(sizes)], {}, { shape });
  }

  transposed(x: Drawn, perm: readonly number[]): Drawn {
    const reversed = perm.every((axis, index) => axis === perm.length - 1 - index);
    const attributes = reversed && this.chance(0.5) ? undefined : { perm: ints(perm) };
    return this.node("Transpose", [x], attributes ?? {}, { shape: perm.map((axis) => x.shape[axis]) });
  }

  /** Axes as an attribute before an opset and as an input from then on. */
  setting(name: string, since: number, values: readonly number[]): [Input, Record<string, AttributeValue>] {
    return this.opset < since ? [undefined, { [name]: ints(values) }] : [this.integers(values), {}];
  }

  squeezed(x: Drawn, axes: readonly number[]): Drawn {
    const shape = x.shape.filter((_, axis) => !axes.includes(axis));
    const [input, attributes] = this.setting("axes", 13, axes);
    return this.node("Squeeze", [x, input], attributes, { shape });
  }

  unsqueezed(x: Drawn, axes: readonly number[]): Drawn {
    const rank = x.shape.length + axes.length;
    const rest = [...x.shape];
    const shape = Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : rest.shift()!));
    const [input, attributes] = this.setting("axes", 13, axes);
    return this.node("Unsqueeze", [x, input], attributes, { shape });
  }

  /** A tensor without its axes of size 1, with them put in again. */
  unsqueezedAt(x: Drawn, shape: Shape): Drawn | undefined {
    const axes = shape.flatMap((size, axis) => (size === 1 ? [axis] : []));
    return axes.length > 0 ? this.unsqueezed(x, axes) : undefined;
  }

  /** Cuts by steps of one; ends may be beyond the axis. */
  sliced(x: Drawn, axes: readonly number[], starts: readonly number[], ends: readonly number[]): Drawn {
    const shape = x.shape.map((size, axis) => {
      const at = axes.indexOf(axis);
      return at < 0 ? size : Math.min(ends[at], size) - starts[at];
    });
    if (this.opset < 10) {
      const attributes = { axes: ints(axes), starts: ints(starts), ends: ints(ends) };
      return this.node("Slice", [x], attributes, { shape });
    }
    const [from, to, along] = [starts, ends, axes].map((values) => this.integers(values));
    return this.node("Slice", [x, from, to, along], {}, { shape });
  }

  reduced(operator: string, x: Drawn, axes: readonly number[], keepdims: boolean): Drawn {
    const since = operator === "ReduceSum" ? 13 : 18;
    const [input, attributes] = this.setting("axes", since, axes);
    const shape = x.shape.flatMap((size, axis) => (axes.includes(axis) ? (keepdims ? [1] : []) : [size]));
    const kept = keepdims && this.chance(0.5) ? {} : { keepdims: int(keepdims ? 1 : 0) };
    return this.node(operator, [x, input], { ...attributes, ...kept }, { shape });
  }
}

/** Operators through which a loss is not differentiated: docs/operators.md. */
const withoutGradient = new Set([
  "QuantizeLinear",
  "DynamicQuantizeLinear",
  "ConvInteger",
  "MatMulInteger",
  "QLinearConv",
  "QLinearMatMul",
  "BitCast",
]);

/** The nearest number of a type. */
function rounded(value: number, type: DataType): number {
  if (type === "float16") return smallFloatValue(smallFloatBits(value, type), type);
  return type === "float32" ? Math.fround(value) : value;
}

function largest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}
