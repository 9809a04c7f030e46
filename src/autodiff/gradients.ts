import { UserError } from "../common/errors.ts";
import { describe, Graph, type Node, sameShape, type Value } from "../graph/graph.ts";
import { copyInto, nodesOf } from "../graph/walk.ts";
import { add, addAll, mul } from "../ops/arithmetic.ts";
import { zeros } from "../ops/movement.ts";
import { int, operatorRule } from "../ops/operator.ts";
import { reduceSum } from "../ops/reduction.ts";
import { GradientOrder } from "./gradient-order.ts";
import { automaticBytes, bytesOf, Recomputation } from "./recompute.ts";
import { noGradient } from "./refusal.ts";

/**
 * Derivatives of a scalar for some values of its graph, by reverse accumulation: nodes are visited from the loss
 * backward, each one's gradient rule turns the gradients of its outputs into gradients of its inputs. Only nodes on a
 * path from `wrt` to the loss are walked. The result is built into the same graph from operators that have gradient
 * rules themselves, so it can be differentiated again.
 *
 * Returns one value per entry of `wrt`, of its shape; zeros where the loss does not depend on it.
 * Throws when the loss is not a scalar, and when an operator without a gradient stands on a path.
 */
export function gradients(loss: Value, wrt: readonly Value[]): Value[] {
  return accumulated(loss, wrt, new Map());
}

/**
 * How a gradient saves memory. All give the same numbers to the last bit; a gradient that saves none may be rounded otherwise where
 * convolutions in blocks add up sums (`src/lower/sums.ts`).
 *
 * - `order`: it is computed in an order that needs less memory.
 * - `recompute`: it also computes large values of the forward pass that follow cheaply from others again, instead of keeping
 *   them, in a little more time.
 * - `automatic`: as `recompute` if it reads more than {@link automaticBytes} of the forward pass, else as `order`.
 *
 * `order` and `automatic` are hints: programs for engines that do not free memory compute the plain gradient.
 */
export type Saving = "order" | "recompute" | "automatic";

/**
 * Derivatives as `gradients` has them, for values that are taken as independent variables: of one that is computed from
 * another, nothing goes on to that other one.
 */
export function partialGradients(
  loss: Value,
  wrt: readonly Value[],
  { saving }: { saving?: Saving } = {},
): Value[] {
  const held = new Map(wrt.map((value) => [value, value]));
  if (!saving) return accumulated(loss, wrt, held);
  const nodes = nodesOf([loss], held);
  const hint = saving !== "recompute";
  const order = new GradientOrder(nodes, held, hint);
  // It reads no more than there is.
  const isSmall = bytesOf(nodes.flatMap(({ outputs }) => outputs)) <= automaticBytes;
  if (saving === "order" || (saving === "automatic" && isSmall)) {
    return accumulated(loss, wrt, held, { order });
  }
  const recomputation = new Recomputation(nodes, { read: readValues(loss, wrt, nodes), hint });
  const isUsed = saving === "recompute" || recomputation.readBytes > automaticBytes;
  return accumulated(loss, wrt, held, { order, recomputation: isUsed ? recomputation : undefined });
}

/**
 * What the gradient reads of the forward pass if it computes nothing again. That gradient is built in a graph of its own,
 * because nodes that are left in this one would change the order of a program.
 * @param nodes of the forward pass
 */
function readValues(loss: Value, wrt: readonly Value[], nodes: readonly Node[]): Set<Value> {
  const graph = new Graph();
  const variables = wrt.map((value, index) => graph.add("Variable", [], { index: int(index) }, [value])[0]);
  const bindings = new Map(wrt.map((value, index) => [value, variables[index]]));
  const values = nodes.flatMap(({ outputs }) => outputs);
  const [copiedLoss, ...copies] = copyInto(graph, [loss, ...values], bindings);
  const held = new Map(variables.map((value) => [value, value]));
  const results = accumulated(copiedLoss, variables, held, { refuses: false });
  const forward = new Map(copies.map((copy) => [copy, copy]));
  const read = new Set(nodesOf(results, forward).flatMap(({ inputs }) => inputs));
  return new Set(values.filter((_, index) => read.has(copies[index])));
}

interface AccumulationOptions {
  order?: GradientOrder;
  recomputation?: Recomputation;
  refuses?: boolean;
}

/**
 * Gradients through the nodes that the loss needs if it is given the values in `held`.
 * @param options.refuses whether a node without a gradient is an error; otherwise nothing goes on from it. Default true
 */
function accumulated(
  loss: Value,
  wrt: readonly Value[],
  held: ReadonlyMap<Value, Value>,
  { order, recomputation, refuses = true }: AccumulationOptions = {},
): Value[] {
  if (loss.shape.length !== 0) {
    throw new UserError(
      `only a scalar can be differentiated, got ${describe(loss)}; reduce it to its mean or sum`,
    );
  }
  const found = new Map<Value, Value>([[loss, loss.graph.scalar(1, loss.type)]]);
  let mayDiverge = false;
  const nodes = nodesOf([loss], held);
  const active = new Set(wrt);
  for (const node of nodes) {
    if (node.inputs.some((input) => input && active.has(input)))
      for (const output of node.outputs) active.add(output);
  }
  for (const node of nodes.reverse()) {
    const { outputs, attributes } = node;
    const inputs = node.inputs as readonly Value[];
    const wanted = inputs.map((input) => input !== undefined && active.has(input));
    const incoming = outputs.map((output) => found.get(output));
    if (!wanted.includes(true) || incoming.every((value) => value === undefined)) continue;
    const { gradient: rule, refused = [], singular = false } = operatorRule(node.operator);
    if (rule === "zero") continue;
    if (rule === "none" || refused.some((index) => wanted[index])) {
      if (!refuses) continue;
      throw noGradient(node, loss, wrt);
    }
    const own = incoming.find((value) => value !== undefined)!;
    const seen = (values: readonly Value[]) =>
      recomputation ? values.map((value) => value && recomputation.standIn(value, own)) : values;
    const context = { inputs: seen(inputs), outputs: seen(outputs), attributes, wanted, mayDiverge };
    const results = loss.graph.scoped(node.scope, () => {
      const made = rule({ ...context, gradient: incoming[0]!, gradients: incoming });
      return order?.inOrder(inputs, made) ?? made;
    });
    mayDiverge ||= typeof singular === "function" ? singular(inputs) : singular;
    for (const [index, result] of results.entries()) {
      if (!result || !wanted[index]) continue;
      const input = inputs[index];
      if (!sameShape(result.shape, input.shape) || result.type !== input.type) {
        throw new Error(
          `${node.operator}: gradient of input ${index} is ${describe(result)}, not ${describe(input)}`,
        );
      }
      const sum = found.get(input);
      found.set(input, sum ? add(sum, result) : result);
    }
  }
  return wrt.map((value) => found.get(value) ?? zeros(loss.graph, value.shape, value.type));
}

/**
 * H·v for the Hessian H of a scalar over `wrt`, exactly: the gradient of ⟨∇loss, v⟩ (Pearlmutter 1994).
 * `vector` holds one value per entry of `wrt`, of its shape, and so does the result.
 */
export function hessianVectorProduct(loss: Value, wrt: readonly Value[], vector: readonly Value[]): Value[] {
  const product = innerProduct(gradients(loss, wrt), vector);
  return gradients(product, wrt);
}

/** ⟨a, b⟩ over all elements of lists of tensors of equal shapes. */
export function innerProduct(a: readonly Value[], b: readonly Value[]): Value {
  return addAll(a.map((left, index) => reduceSum(mul(left, b[index]))));
}
