import { UserError } from "../common/errors.ts";
import type { AttributeValue } from "../onnx/attributes.ts";
import type { DataType, TensorData } from "../onnx/tensor.ts";
import { contentKey, scalarData } from "../onnx/tensor-data.ts";

/** Constants up to this many elements are compared by content, so that equal ones are built once. */
const comparedElements = 4096;

/** Sizes of the axes, all known: a graph is built for one batch size. `[]` is a scalar. */
export type Shape = readonly number[];

export interface TensorType {
  readonly type: DataType;
  readonly shape: Shape;
}

export type Attributes = Readonly<Record<string, AttributeValue>>;

/** Where a value comes from. */
export type Origin =
  | { readonly kind: "input"; readonly name: string }
  | { readonly kind: "constant"; readonly data: TensorData }
  | { readonly kind: "node"; readonly node: Node; readonly index: number };

/** A tensor that will exist when the graph runs: its type and static shape, and where it comes from. */
export interface Value extends TensorType {
  readonly graph: Graph;
  readonly origin: Origin;
  /** Unique in its graph and larger than the ids of everything it is computed from. */
  readonly id: number;
}

/** One application of an operator. An absent optional input is `undefined`. */
export interface Node {
  readonly operator: string;
  /** `""` for ONNX's own operators. */
  readonly domain: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: Attributes;
  readonly outputs: readonly Value[];
  /** Where in the model it was built, e.g. `layer1.0.conv1`; may be empty. */
  readonly scope: string;
  readonly id: number;
}

/** Elements of the largest tensor: 8 GiB of float32. */
const mostElements = 2 ** 31;

/**
 * A computation as data: inputs, constants, nodes, named outputs. Nodes are only ever added, each after what it
 * needs, so the order of ids is an order of execution. The same operator on the same inputs is built once
 * (common subexpressions cost nothing), and what no output needs is never written or run.
 */
export class Graph {
  readonly inputs = new Map<string, Value>();
  readonly outputs = new Map<string, Value>();
  private readonly nodes = new Map<string, Node>();
  private readonly constants = new Map<string, Value>();
  private nextId = 0;
  private scopes: string[] = [];

  /** Declares an input. Throws when the name is taken by an input of another type, or by an output. */
  input(name: string, type: DataType, shape: Shape): Value {
    const existing = this.inputs.get(name);
    if (existing) {
      if (existing.type === type && sameShape(existing.shape, shape)) return existing;
      throw new UserError(
        `input "${name}" is declared twice: as ${describe(existing)} and as ${describe({ type, shape })}`,
      );
    }
    if (this.outputs.has(name)) throw nameClash(name);
    const value = this.value({ type, shape }, { kind: "input", name });
    this.inputs.set(name, value);
    return value;
  }

  /** A tensor whose numbers are part of the graph. Small equal constants are one value. */
  constant(data: TensorData): Value {
    const key = data.data.length > comparedElements ? undefined : contentKey(data);
    const existing = key === undefined ? undefined : this.constants.get(key);
    if (existing) return existing;
    const value = this.value({ type: data.type, shape: data.shape }, { kind: "constant", data });
    if (key !== undefined) this.constants.set(key, value);
    return value;
  }

  /** A constant with no axes. */
  scalar(value: number, type: DataType): Value {
    return this.constant(scalarData(value, type));
  }

  /** Adds a node, or finds the same one. Rules of shape are the business of the operators (`src/ops`). */
  add(
    operator: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    outputs: readonly TensorType[],
    domain = "",
  ): readonly Value[] {
    for (const input of inputs) {
      if (input && input.graph !== this) throw new Error(`${operator}: an input belongs to another graph`);
    }
    const key = keyOf(operator, inputs, attributes, outputs.length, domain);
    const existing = this.nodes.get(key);
    if (existing) return existing.outputs;
    const values: Value[] = [];
    const node: Node = {
      operator,
      domain,
      inputs: [...inputs],
      attributes,
      outputs: values,
      scope: this.scope,
      id: this.nextId++,
    };
    for (const [index, type] of outputs.entries())
      values.push(this.value(type, { kind: "node", node, index }));
    this.nodes.set(key, node);
    return values;
  }

  /** Whether `add` would find the node. */
  has(
    operator: string,
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    outputs = 1,
  ): boolean {
    return this.nodes.has(keyOf(operator, inputs, attributes, outputs, ""));
  }

  /** Names a result. A graph's outputs are what it is run for. */
  output(name: string, value: Value): void {
    if (value.graph !== this) throw new Error(`output "${name}" belongs to another graph`);
    if (this.outputs.has(name)) throw new Error(`output "${name}" is declared twice`);
    const input = this.inputs.get(name);
    if (input && input !== value) throw nameClash(name);
    this.outputs.set(name, value);
  }

  /** Everything built inside `body` carries `name` (dot-separated with the scopes around it) in messages. */
  scoped<T>(name: string, body: () => T): T {
    this.scopes.push(name);
    try {
      return body();
    } finally {
      this.scopes.pop();
    }
  }

  /** Everything built inside `body` carries this scope, whatever is around it. */
  inScope<T>(scope: string, body: () => T): T {
    const around = this.scopes;
    this.scopes = [scope];
    try {
      return body();
    } finally {
      this.scopes = around;
    }
  }

  get scope(): string {
    return this.scopes.filter((scope) => scope !== "").join(".");
  }

  private value(type: TensorType, origin: Origin): Value {
    if (!type.shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      const what = origin.kind === "node" ? origin.node.operator : origin.kind;
      throw new UserError(
        `${what}${this.scope ? ` "${this.scope}"` : ""}: ${describe(type)} has a size that is not a whole number`,
      );
    }
    if (elementCount(type.shape) > mostElements) {
      const what = origin.kind === "node" ? origin.node.operator : origin.kind;
      throw new UserError(
        `${what}${this.scope ? ` "${this.scope}"` : ""}: ${describe(type)} is more than a tensor can hold, which is 2³¹ elements`,
      );
    }
    return { graph: this, id: this.nextId++, type: type.type, shape: [...type.shape], origin };
  }
}

function keyOf(
  operator: string,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes,
  outputs: number,
  domain: string,
): string {
  return `${domain}:${operator}(${inputs.map((input) => input?.id ?? "").join()})${outputs}${contentKey(attributes)}`;
}

function nameClash(name: string): UserError {
  return new UserError(`"${name}" names an input and another output of one graph; rename one of them`);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}

/** Number of elements. */
export function elementCount(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** `float32 [128, 10]`, for messages. */
export function describe(type: TensorType): string {
  return `${type.type} [${type.shape.join(", ")}]`;
}
