import { UserError } from "../common/errors.ts";
import { constantNumbers } from "../graph/constants.ts";
import {
  type Attributes,
  describe,
  type Node,
  type Shape,
  type TensorType,
  type Value,
} from "../graph/graph.ts";
import type { AttributeValue } from "../onnx/attributes.ts";
import type { DataType } from "../onnx/tensor.ts";

/** What a gradient rule sees of the node it differentiates. */
export interface GradientContext {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
  /** dL/d(first output); the only one of most operators. */
  readonly gradient: Value;
  /** dL/d(each output); undefined where the loss does not depend on it. */
  readonly gradients: readonly (Value | undefined)[];
  /** Which inputs a parameter can be reached through: the others' gradients need not be built. */
  readonly wanted: readonly boolean[];
  /** Whether `gradient` may be infinite or NaN although the loss is finite: see `OperatorRule.singular`. */
  readonly mayDiverge: boolean;
}

export interface OperatorRule {
  /** The opset (of the rule's domain) that first has the operator in the form built here. */
  readonly since: number;
  /** The opset that first has the form with these attributes and inputs, where that is a later one. */
  readonly sinceOf?: (attributes: Attributes, inputs: readonly (Value | undefined)[]) => number;
  /** `""` when left out: ONNX's own. Operators of `training` are expanded by `src/lower` and never reach a file. */
  readonly domain?: "" | "training";
  /** Types of the outputs. Throws `UserError` on inputs that do not fit. */
  readonly infer: (inputs: readonly (Value | undefined)[], attributes: Attributes) => readonly TensorType[];
  /**
   * dL/d(each input), built from operators that have gradient rules themselves; undefined where there is none.
   * `"zero"` is for operators that are constant almost everywhere (comparisons, signs, indices), `"none"` for those that
   * are not differentiated here: a loss behind one that a parameter leads to is refused.
   */
  readonly gradient: "zero" | "none" | ((context: GradientContext) => readonly (Value | undefined)[]);
  /** The inputs that a loss behind is refused for, as with `"none"`, if a parameter leads to them. */
  readonly refused?: readonly number[];
  /**
   * Whether the slope can be infinite where the function is finite, or is not chosen: a root at 0, a quotient. A product
   * with a mask of zeros and ones does not stop such a gradient (0·∞ is NaN); a choice does.
   */
  readonly singular?: boolean | ((inputs: readonly Value[]) => boolean);
  /**
   * The same in operators that ONNX Runtime has, for forms that it has no kernel for; undefined for the others. It stands here
   * so that a bundle holds it only with the operator; what every bundle needs, and what depends on a target, is in `src/lower`.
   */
  readonly plain?: (inputs: readonly Value[], attributes: Attributes) => Value | undefined;
}

/** An operator of ONNX that is built from others here, and has their gradients. No node of it is ever in a graph. */
export interface Composition {
  /** The opset that has the newest of the forms that are understood. */
  readonly since: number;
  /** `"zero"` where the outputs are constants or indices. Otherwise the gradient is that of what it is built from. */
  readonly gradient?: "zero";
  /** The outputs, or the first of them that `outputCount` asks for. Throws `UserError` on inputs that do not fit. */
  readonly build: (
    inputs: readonly (Value | undefined)[],
    attributes: Attributes,
    outputCount: number,
  ) => readonly Value[];
}

const rules = new Map<string, OperatorRule>();
const compositions = new Map<string, Composition>();

/** Enters an operator into the registry: its shape rule and its gradient rule, side by side. */
export function defineOperator(operator: string, rule: OperatorRule): void {
  requireNew(operator);
  rules.set(operator, rule);
}

/** Enters an operator that is built from others. */
export function composeOperator(operator: string, composition: Composition): void {
  requireNew(operator);
  compositions.set(operator, composition);
}

function requireNew(operator: string): void {
  if (rules.has(operator) || compositions.has(operator)) {
    throw new Error(`operator ${operator} is defined twice`);
  }
}

/** The opset that has the newest form of an operator that is understood; undefined for operators of `training`. */
export function opsetOf(operator: string): number | undefined {
  const composition = compositions.get(operator);
  if (composition) return composition.since;
  const { since, domain } = operatorRule(operator);
  return domain === "training" ? undefined : since;
}

/**
 * What comes back through an operator of ONNX: a gradient, nothing because it is constant almost everywhere, or nothing
 * because it is not differentiated here. Undefined where it is not known.
 */
export function differentiabilityOf(operator: string): "yes" | "zero" | "none" | undefined {
  const composition = compositions.get(operator);
  if (composition) return composition.gradient ?? "yes";
  const rule = rules.get(operator);
  if (!rule || rule.domain === "training") return undefined;
  return typeof rule.gradient === "string" ? rule.gradient : "yes";
}

/** How an operator is built from others, if it is. */
export function compositionOf(operator: string): Composition | undefined {
  return compositions.get(operator);
}

export function operatorRule(operator: string): OperatorRule {
  const rule = rules.get(operator);
  if (!rule)
    throw new UserError(`operator ${operator} is not known; known are ${operatorNames().join(", ")}`);
  return rule;
}

/** All operators in alphabetical order. */
export function operatorNames(): string[] {
  return [...rules.keys(), ...compositions.keys()].sort();
}

/**
 * Adds an operator to the graph of its inputs, its output types found by its shape rule; one that is made of others
 * becomes those, with as many outputs as are asked for.
 */
export function apply(
  operator: string,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes = {},
  outputCount = 1,
): readonly Value[] {
  const composition = compositions.get(operator);
  if (composition) return composition.build(inputs, attributes, outputCount);
  const rule = operatorRule(operator);
  const graph = inputs.find((input) => input !== undefined)!.graph;
  const outputs = rule.infer(inputs, attributes);
  return graph.add(operator, inputs, attributes, outputs, rule.domain ?? "");
}

/** The smallest ONNX opset that has every given node. */
export function requiredOpset(nodes: readonly Node[]): number {
  return Math.max(
    13,
    ...nodes
      .filter((node) => node.domain === "")
      .map(({ operator, attributes, inputs }) => {
        const { since, sinceOf } = operatorRule(operator);
        return Math.max(since, sinceOf?.(attributes, inputs) ?? 0);
      }),
  );
}

/** An error about an operator that names where in the model it stands. */
export function operatorError(operator: string, value: Value, message: string): UserError {
  const { scope } = value.graph;
  return new UserError(`${operator}${scope ? ` "${scope}"` : ""}: ${message}`);
}

/** Throws unless all values have one type. */
export function requireSameType(operator: string, values: readonly Value[]): DataType {
  const [first, ...others] = values;
  for (const other of others) {
    if (other.type !== first.type) {
      throw operatorError(
        operator,
        first,
        `inputs differ in type: ${describe(first)} and ${describe(other)}`,
      );
    }
  }
  return first.type;
}

/** Axes counted from the end made plain, in ascending order. Throws for axes that are not there or given twice. */
export function normalizeAxes(operator: string, input: Value, axes: readonly number[]): number[] {
  const rank = input.shape.length;
  const plain = axes.map((axis) => {
    if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
      throw operatorError(operator, input, `axis ${axis} is not there in ${describe(input)}`);
    }
    return axis < 0 ? axis + rank : axis;
  });
  if (new Set(plain).size !== plain.length) {
    throw operatorError(operator, input, `axes ${axes.join(", ")} name an axis twice`);
  }
  return plain.sort((a, b) => a - b);
}

/** The numbers of an input that the shape of the result depends on. Throws when it is computed. */
export function requireConstant(
  operator: string,
  x: Value,
  value: Value | undefined,
  name: string,
): readonly number[] {
  const numbers = constantNumbers(value);
  if (!numbers)
    throw operatorError(operator, x, `its ${name} are computed while running; they have to be known before`);
  return numbers;
}

/** Most numbers that are written into a graph while it is built. */
const mostNumbers = 2 ** 24;

/** Throws where building would make more numbers, or nodes, than any real model needs. */
export function requireAtMost(
  operator: string,
  x: Value,
  count: number,
  what: string,
  most = mostNumbers,
): void {
  if (count <= most) return;
  throw operatorError(
    operator,
    x,
    `it is over ${count.toLocaleString("en")} ${what}; up to ${most.toLocaleString("en")} are built here`,
  );
}

/** The shape two shapes are broadcast to (NumPy's rule). */
export function broadcastShape(operator: string, a: Value, b: Value): Shape {
  const rank = Math.max(a.shape.length, b.shape.length);
  return Array.from({ length: rank }, (_, axis) => {
    const left = a.shape[axis - rank + a.shape.length] ?? 1;
    const right = b.shape[axis - rank + b.shape.length] ?? 1;
    if (left !== right && left !== 1 && right !== 1) {
      throw operatorError(operator, a, `shapes do not broadcast: ${describe(a)} and ${describe(b)}`);
    }
    return left === 1 ? right : left;
  });
}

export const int = (value: number): AttributeValue => ({ int: value });
export const ints = (value: readonly number[]): AttributeValue => ({ ints: [...value] });
export const float = (value: number): AttributeValue => ({ float: value });

/** Reads an attribute of a node; `fallback` is ONNX's default for it. */
export function intAttribute(attributes: Attributes, name: string, fallback: number): number {
  const value = attributes[name];
  return value && "int" in value ? value.int : fallback;
}

export function intsAttribute(
  attributes: Attributes,
  name: string,
  fallback: readonly number[],
): readonly number[] {
  const value = attributes[name];
  return value && "ints" in value ? value.ints : fallback;
}

export function floatAttribute(attributes: Attributes, name: string, fallback: number): number {
  const value = attributes[name];
  return value && "float" in value ? value.float : fallback;
}

export function floatsAttribute(
  attributes: Attributes,
  name: string,
  fallback: readonly number[],
): readonly number[] {
  const value = attributes[name];
  return value && "floats" in value ? value.floats : fallback;
}

export function stringAttribute(attributes: Attributes, name: string, fallback: string): string {
  const value = attributes[name];
  return value && "string" in value ? value.string : fallback;
}

export function stringsAttribute(
  attributes: Attributes,
  name: string,
  fallback: readonly string[],
): readonly string[] {
  const value = attributes[name];
  return value && "strings" in value ? value.strings : fallback;
}
