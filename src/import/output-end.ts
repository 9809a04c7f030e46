import { elementCount, type Node, type Shape, sameShape, type Value } from "../graph/graph.ts";
import { leavesOf, nodesOf } from "../graph/walk.ts";
import { intsAttribute } from "../ops/operator.ts";
import { type Activation, activationOf, constantNumber, nodeOf, sumOf } from "./activations.ts";

// How a classifier ends: whether an output holds logits or probabilities, and what is before its Softmax or Sigmoid.

/** An output of a classifier as a loss takes it. */
export interface OutputEnd {
  /**
   * What the values of the output are. Log-probabilities are `logits`: their softmax cross entropy is that of the
   * logits. `independent` is a Sigmoid of each class.
   */
  kind: "logits" | "probabilities" | "independent";
  /** The values are this many times the probabilities. */
  scale: number;
  /** What the loss is taken of: what is before the Softmax or Sigmoid, or else the output itself. */
  logits: Value;
  /** What `logits` leaves out. */
  without?: Activation["name"];
  /** Why the probabilities cannot be undone: what is behind them, or what they are made of. */
  obstacle?: string;
}

/**
 * What an output holds. A Softmax or Sigmoid is found behind whatever only moves, scales or bounds its elements; what
 * moves them is repeated on the logits. Log-probabilities that cannot be undone are logits as they are.
 * @param random inputs of random numbers: a Dropout behind a Softmax is left out
 */
export function outputEnd(output: Value, random: readonly Value[] = []): OutputEnd {
  const asItIs: OutputEnd = { kind: "logits", scale: 1, logits: output };
  const state = unwrap(output, random);
  if (!state) {
    const maker = nodeOf(output);
    if (!maker || !probabilitiesBefore(output, random).has(output)) return asItIs;
    return { ...asItIs, kind: "probabilities", obstacle: maker.operator };
  }
  const { activation } = state;
  const isSigmoid = activation.name === "Sigmoid";
  const obstacle =
    state.obstacle ??
    (isSigmoid || normalizesClasses(state, output) ? undefined : `another axis than that of the classes`);
  if (state.isLog && (isSigmoid || obstacle)) return asItIs;
  const kind = state.isLog ? "logits" : isSigmoid ? "independent" : "probabilities";
  if (obstacle) return { ...asItIs, kind, obstacle: `${activation.name} and ${obstacle}` };
  return { kind, scale: state.isLog ? 1 : state.scale, logits: state.logits, without: activation.name };
}

/** The classes of a classifier's output: the only axis of more than one element besides the first, which is the batch. */
export function classCount({ shape }: { shape: Shape }): number | undefined {
  const sizes = shape.slice(1).filter((size) => size !== 1);
  return sizes.length === 1 ? sizes[0] : undefined;
}

/** What an activation has become on the way to the output. */
interface State {
  /** The logits, moved as the probabilities are. */
  logits: Value;
  activation: Activation;
  /** The transpositions on the way, which alone change the order of the elements. */
  turns: { shape: Shape; node: Node }[];
  scale: number;
  isLog: boolean;
  obstacle?: string;
}

/** What a node does to the one tensor that it passes on. */
type Effect =
  | { kind: "move" | "none" | "log" }
  | { kind: "scale" | "add"; by: number }
  | { kind: "bound"; low: number; high: number }
  | { kind: "normalize"; axes: readonly number[] };

/** How far from a probability a bound or an addend may be that only avoids the logarithm of 0. */
const negligible = 1e-5;

/** Follows a value back to the activation that it is of, and what was done to it from there on. */
function unwrap(output: Value, random: readonly Value[]): State | undefined {
  const links: { node: Node; effect: Effect; source: Value }[] = [];
  let activation: Activation | undefined;
  for (let at = output; !activation; ) {
    activation = activationOf(at);
    if (activation) break;
    const node = nodeOf(at);
    const link = node && linkOf(node, random);
    if (!link) return undefined;
    links.unshift({ node, ...link });
    at = link.source;
  }
  const isLog = activation.name === "LogSoftmax";
  const state: State = { logits: activation.before, activation, turns: [], scale: 1, isLog };
  for (const { node, effect, source } of links) {
    if (!follow(state, node, effect, source)) state.obstacle ??= node.operator;
  }
  return state;
}

/** Takes one node into the state; false where the logits can no longer be computed for certain. */
function follow(state: State, node: Node, effect: Effect, { shape }: Value): boolean {
  switch (effect.kind) {
    case "none":
      return true;
    case "move": {
      const { operator, inputs, attributes, outputs, domain } = node;
      const { graph } = state.logits;
      [state.logits] = graph.add(operator, [state.logits, ...inputs.slice(1)], attributes, outputs, domain);
      if (operator === "Transpose") state.turns.push({ shape, node });
      return true;
    }
    case "log": {
      const isFirst = !state.isLog;
      state.isLog = true;
      return isFirst;
    }
    case "scale":
      if (!state.isLog) state.scale *= effect.by;
      return effect.by > 0 && (!state.isLog || effect.by === 1);
    case "add":
      // The same number added to all log-probabilities changes no softmax.
      return state.isLog || Math.abs(effect.by) <= negligible * state.scale;
    case "bound": {
      const [lowest, highest] = state.isLog
        ? [Math.log(negligible), -negligible]
        : [negligible * state.scale, (1 - negligible) * state.scale];
      return effect.low <= lowest && effect.high >= highest;
    }
    case "normalize":
      // The sum of whole probabilities is 1 already.
      if (state.activation.name === "Sigmoid" || state.isLog) return false;
      state.scale = 1;
      return areWhole(state, shape, effect.axes);
    default:
      return effect satisfies never;
  }
}

/** The tensor that a node passes on, and what it does to it; nothing for a node that computes something new. */
function linkOf(node: Node, random: readonly Value[]): { source: Value; effect: Effect } | undefined {
  const [x, y] = node.inputs;
  if (!x) return undefined;
  const scalar = (value: Value | undefined) => value && constantNumber(value);
  switch (node.operator) {
    case "Log":
      return { source: x, effect: { kind: "log" } };
    case "Clip": {
      const [low, high] = [scalar(y) ?? -Infinity, scalar(node.inputs[2]) ?? Infinity];
      return { source: x, effect: { kind: "bound", low, high } };
    }
    case "Max":
    case "Min":
    case "Add":
    case "Mul": {
      if (node.inputs.length !== 2 || !y) return undefined;
      const sum = node.operator === "Mul" && reciprocalSum(y, x);
      if (sum) return { source: x, effect: { kind: "normalize", axes: sum } };
      if (node.operator === "Mul") {
        for (const [source, mask] of [
          [x, y],
          [y, x],
        ])
          if (isDropoutMask(mask, random)) return { source, effect: { kind: "none" } };
      }
      const source = scalar(x) === undefined ? x : y;
      const by = scalar(source === x ? y : x);
      if (by === undefined) return undefined;
      if (node.operator === "Mul") return { source, effect: { kind: "scale", by } };
      if (node.operator === "Add") return { source, effect: { kind: "add", by } };
      const [low, high] = node.operator === "Max" ? [by, Infinity] : [-Infinity, by];
      return { source, effect: { kind: "bound", low, high } };
    }
    case "Sub":
    case "Div": {
      const by = scalar(y);
      if (by !== undefined) {
        const effect: Effect =
          node.operator === "Sub" ? { kind: "add", by: -by } : { kind: "scale", by: 1 / by };
        return { source: x, effect };
      }
      const axes = node.operator === "Div" && y ? sumOf(y, x) : undefined;
      return axes && { source: x, effect: { kind: "normalize", axes } };
    }
    default:
      return movesAll(node) ? { source: x, effect: { kind: "move" } } : undefined;
  }
}

function reciprocalSum(value: Value, of: Value): readonly number[] | undefined {
  const node = nodeOf(value);
  return node?.operator === "Reciprocal" && node.inputs[0] ? sumOf(node.inputs[0], of) : undefined;
}

/** Whether a node gives every element of its first input once, of Transpose in another order. */
function movesAll({ operator, inputs: [x, ...others], outputs: [y] }: Node): boolean {
  if (!x) return false;
  switch (operator) {
    case "Reshape":
    case "Flatten":
    case "Squeeze":
    case "Unsqueeze":
    case "Transpose":
    case "Identity":
      return true;
    case "Cast":
      return y.type === "float32" || y.type === "float64";
    case "Expand":
    case "Tile":
    case "Concat":
    case "Split":
      return sameShape(x.shape, y.shape);
    case "Slice": {
      const steps = others[3]?.origin;
      const forward =
        !steps ||
        (steps.kind === "constant" && Array.from(steps.data.data, Number).every((step) => step > 0));
      return forward && sameShape(x.shape, y.shape);
    }
    default:
      return false;
  }
}

function isDropoutMask(value: Value, random: readonly Value[]): boolean {
  if (random.length === 0 || !nodeOf(value)) return false;
  const leaves = leavesOf(nodesOf([value]), [value]).filter(({ origin }) => origin.kind === "input");
  return leaves.length > 0 && leaves.every((leaf) => random.includes(leaf));
}

/** Operators whose result is as much a probability, or a bounded number of one, as their first input is. */
const ofFirstInput = new Set([
  ...["Slice", "Gather", "GatherElements", "GatherND", "Split", "Expand", "Tile", "Pad", "TopK", "Resize"],
  ...["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "DepthToSpace", "SpaceToDepth"],
  ...["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"],
  ...["Clip", "Sqrt", "Relu", "Abs", "Neg", "Pow", "Round", "Floor", "Ceil", "RoundToType"],
]);
/** The same of all their inputs. */
const ofAllInputs = new Set(["Add", "Sub", "Mul", "Div", "Sum", "Mean", "Max", "Min", "Concat", "Where"]);
/** Sources of probabilities beside those that can be undone. */
const bounded = new Set(["Hardmax", "HardSigmoid"]);

/** What among the nodes of an output is made of probabilities and constants alone, as a mean of two Softmaxes is. */
function probabilitiesBefore(output: Value, random: readonly Value[]): Set<Value> {
  const found = new Set<Value>();
  const isConstant = (value: Value) => value.origin.kind === "constant" || isDropoutMask(value, random);
  for (const node of nodesOf([output])) {
    const [result] = node.outputs;
    const inputs = node.inputs.filter((input) => input !== undefined);
    const activation = activationOf(result);
    const [x, y] = inputs;
    const isNormalized = node.operator === "Div" && x && y && sumOf(y, x) !== undefined;
    const others = node.operator === "Where" ? inputs.slice(1) : inputs;
    const isOne =
      (activation && activation.name !== "LogSoftmax") ||
      isNormalized ||
      bounded.has(node.operator) ||
      ((ofFirstInput.has(node.operator) || movesAll(node)) && found.has(x)) ||
      (ofAllInputs.has(node.operator) &&
        others.some((input) => found.has(input)) &&
        others.every((input) => found.has(input) || isConstant(input)));
    if (isOne) for (const value of node.outputs) found.add(value);
  }
  return found;
}

/** Whether each example's classes are one whole group of a Softmax; of other outputs only their user can tell. */
function normalizesClasses(state: State, output: Value): boolean {
  const classes = classCount(output);
  return classes === undefined || areWhole(state, [elementCount(output.shape) / classes, classes], [1]);
}

/** Elements that are compared one by one, at most. */
const mostCompared = 2 ** 24;

/** Whether the elements along the given axes are, each time, one whole group that the activation normalizes. */
function areWhole({ activation, turns }: State, shape: Shape, axes: readonly number[]): boolean {
  const own = activation.before.shape;
  const [axis] = activation.axes;
  const isLast = (of: Shape, at: number) => of.slice(at + 1).every((size) => size === 1);
  // Without a transposition a last axis is a last axis under every shape.
  if (turns.length === 0 && activation.axes.length === 1 && axes.length === 1) {
    if (isLast(own, axis) && isLast(shape, axes[0])) return own[axis] === shape[axes[0]];
  }
  if (elementCount(own) > mostCompared) return false;
  let places: Int32Array = Int32Array.from({ length: elementCount(own) }, (_, place) => place);
  for (const turn of turns) places = transposed(places, turn.shape, turn.node);
  const groups = groupsOf(own, activation.axes);
  const sizes = countsOf(groups);
  const wanted = groupsOf(shape, axes);
  const counts = countsOf(wanted);
  const sources = new Map<number, number>();
  for (const [element, group] of wanted.entries()) {
    const source = groups[places[element]];
    if ((sources.get(group) ?? source) !== source) return false;
    sources.set(group, source);
  }
  return [...sources].every(([group, source]) => counts.get(group) === sizes.get(source));
}

function countsOf(groups: Int32Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const group of groups) counts.set(group, (counts.get(group) ?? 0) + 1);
  return counts;
}

/** Numbers the elements of a tensor so that those that differ only along `axes` have the same number. */
function groupsOf(shape: Shape, axes: readonly number[]): Int32Array {
  const kept = strides(shape.map((size, axis) => (axes.includes(axis) ? 1 : size)));
  const all = strides(shape);
  return Int32Array.from({ length: elementCount(shape) }, (_, element) =>
    shape.reduce(
      (group, size, axis) =>
        axes.includes(axis) ? group : group + (Math.floor(element / all[axis]) % size) * kept[axis],
      0,
    ),
  );
}

function transposed(places: Int32Array, shape: Shape, { attributes, outputs: [y] }: Node): Int32Array {
  const order = intsAttribute(
    attributes,
    "perm",
    shape.map((_, axis) => shape.length - 1 - axis),
  );
  const [from, to] = [strides(shape), strides(y.shape)];
  return Int32Array.from(
    places,
    (_, element) =>
      places[
        order.reduce(
          (source, axis, index) => source + (Math.floor(element / to[index]) % y.shape[index]) * from[axis],
          0,
        )
      ],
  );
}

function strides(shape: Shape): number[] {
  return shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
}
