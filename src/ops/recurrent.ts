import { readOptions } from "../common/options.ts";
import { type Attributes, describe, sameShape, type Value } from "../graph/graph.ts";
import { add, mul, sub } from "./arithmetic.ts";
import { greater, where } from "./comparison.ts";
import { cast, clip } from "./elementwise.ts";
import { reverseSequence } from "./indexing.ts";
import { split } from "./layout.ts";
import { gemm, matMul, transposeLast } from "./linear.ts";
import { concat, reshape, transpose, zeros } from "./movement.ts";
import {
  apply,
  composeOperator,
  floatAttribute,
  int,
  intAttribute,
  operatorError,
  requireAtMost,
  requireSameType,
  stringAttribute,
} from "./operator.ts";
import { type Activation, activationsOf } from "./recurrent-activations.ts";
import { slice } from "./slicing.ts";

// LSTM, GRU and RNN, unrolled: one product projects the input of all times, and each time adds one product of the hidden
// state and the gates. A layer over 100 times is about 1,000 nodes, its gradient about 2,500. With x [T, N, inputs],
// each direction has its weights W [gates·H, inputs], R [gates·H, H] and biases, the gates in ONNX's order.

/** A session of more nodes takes minutes to make. */
const mostTimes = 2048;

/** One direction of a layer. */
interface Direction {
  /** Input projected and bias added, of each time: [N, gates·H]. */
  projected: readonly Value[];
  /** R [gates·H, H]. */
  recurrence: Value;
  /** The part of the bias that belongs to R, [gates·H]; the other part is in `projected`. */
  recurrentBias: Value | undefined;
  peepholes: Value | undefined;
  activations: readonly Activation[];
  attributes: Attributes;
  hidden: number;
}

interface Cell {
  /** Of the operator's gates, how many. */
  gates: number;
  defaults: readonly string[];
  /** How many tensors [N, H] the layer hands from one time to the next; the first is the hidden state. */
  states: number;
  /** Which part of the recurrent bias cannot be added to the input before: the gates of these numbers. */
  keepsRecurrentBias?: (attributes: Attributes) => boolean;
  step: (input: Value, states: readonly Value[], direction: Direction) => readonly Value[];
}

const cells: Readonly<Record<string, Cell>> = {
  // h′ = f(Wx + Rh + b)
  RNN: {
    gates: 1,
    defaults: ["Tanh"],
    states: 1,
    step: (input, [hidden], { recurrence, activations: [f], attributes }) => [
      f(clipped(product(hidden, recurrence, input), attributes)),
    ],
  },
  // z, r = f(Wx + Rh + b), n = g(Wx + R(r⊙h) + b) or g(Wx + r⊙(Rh + b_R) + b_W), h′ = (1 − z)⊙n + z⊙h
  GRU: {
    gates: 3,
    defaults: ["Sigmoid", "Tanh"],
    states: 1,
    keepsRecurrentBias: (attributes) => intAttribute(attributes, "linear_before_reset", 0) === 1,
    step: (input, [previous], { recurrence, recurrentBias, activations: [f, g], attributes, hidden }) => {
      const sizes = [2 * hidden, hidden];
      const [inputGates, inputNew] = split(input, sizes, 1);
      const gated = (sum: Value) => split(f(clipped(sum, attributes)), [hidden, hidden], 1);
      let update: Value;
      let fresh: Value;
      if (intAttribute(attributes, "linear_before_reset", 0) === 1) {
        const [sums, sumNew] = split(product(previous, recurrence, recurrentBias), sizes, 1);
        const [z, reset] = gated(add(inputGates, sums));
        [update, fresh] = [z, add(inputNew, mul(reset, sumNew))];
      } else {
        const [gateRows, newRows] = split(recurrence, sizes, 0);
        const [z, reset] = gated(product(previous, gateRows, inputGates));
        [update, fresh] = [z, product(mul(reset, previous), newRows, inputNew)];
      }
      const proposal = g(clipped(fresh, attributes));
      // (1 − z)⊙n + z⊙h
      return [add(proposal, mul(update, sub(previous, proposal)))];
    },
  },
  // i, o, f, c = Wx + Rh + b; c′ = f(f + p_f⊙c)⊙c + f(i + p_i⊙c)⊙g(c), h′ = f(o + p_o⊙c′)⊙h(c′)
  LSTM: {
    gates: 4,
    defaults: ["Sigmoid", "Tanh", "Tanh"],
    states: 2,
    step: (input, [previous, memory], direction) => {
      const { recurrence, activations, attributes, hidden, peepholes } = direction;
      const [f, g, h] = activations;
      const sums = product(previous, recurrence, input);
      const bounded = (value: Value) => clipped(value, attributes);
      const coupled = intAttribute(attributes, "input_forget", 0) === 1;
      if (!peepholes) {
        const [gateSums, cellSum] = split(bounded(sums), [3 * hidden, hidden], 1);
        const [write, read, keep] = split(f(gateSums), [hidden, hidden, hidden], 1);
        const kept = mul(coupled ? sub(1, write) : keep, memory);
        const next = add(kept, mul(write, g(cellSum)));
        return [mul(read, h(next)), next];
      }
      const [toWrite, toRead, toKeep] = split(peepholes, [hidden, hidden, hidden], 0);
      const [writeSum, readSum, keepSum, cellSum] = split(sums, [hidden, hidden, hidden, hidden], 1);
      const gate = (sum: Value, weight: Value, state: Value) => f(bounded(add(sum, mul(weight, state))));
      const write = gate(writeSum, toWrite, memory);
      const keep = coupled ? sub(1, write) : gate(keepSum, toKeep, memory);
      const next = add(mul(keep, memory), mul(write, g(bounded(cellSum))));
      return [mul(gate(readSum, toRead, next), h(next)), next];
    },
  },
};

for (const operator of Object.keys(cells)) {
  composeOperator(operator, {
    since: 14,
    build: (inputs, attributes) => layer(operator, inputs, attributes),
  });
}

export interface RecurrentWeights {
  /** W [directions, gates·H, inputs]. */
  input: Value;
  /** R [directions, gates·H, H]. */
  recurrent: Value;
  /** [directions, 2·gates·H]: W's bias, then R's. */
  bias?: Value;
}

export interface RecurrentOptions {
  /** Default `"forward"`. */
  direction?: "forward" | "reverse" | "bidirectional";
  /** Of each sequence of the batch, int32 [N]; beyond it the state stands still and the output is 0. */
  lengths?: Value;
  /** What the layer starts from, [directions, N, H] each: the hidden state and an LSTM's memory. Default zeros. */
  start?: readonly Value[];
  /** Whether a GRU multiplies by its reset gate after the recurrent product, as PyTorch does. Default true. */
  linearBeforeReset?: boolean;
}

/**
 * A recurrent layer over x [T, N, inputs], its gates in ONNX's order (LSTM: input, output, forget, cell; GRU: update,
 * reset, new). Gives the hidden states of all times [T, directions, N, H], and the last hidden state (and memory)
 * [directions, N, H]. It is unrolled: about ten nodes a time, and twenty-five more for its gradient.
 */
export function recurrentLayer(
  kind: "LSTM" | "GRU" | "RNN",
  x: Value,
  { input, recurrent, bias }: RecurrentWeights,
  options: RecurrentOptions = {},
): { sequence: Value; last: readonly Value[] } {
  readOptions("recurrentLayer", options, {
    direction: ["forward", "reverse", "bidirectional"],
    lengths: "object",
    start: "list",
    linearBeforeReset: "boolean",
  });
  const { direction = "forward", lengths, start = [], linearBeforeReset = true } = options;
  const attributes = {
    direction: { string: direction },
    ...(kind === "GRU" ? { linear_before_reset: int(linearBeforeReset ? 1 : 0) } : {}),
  };
  const [sequence, ...last] = apply(kind, [x, input, recurrent, bias, lengths, ...start], attributes);
  return { sequence, last };
}

/** Inputs X, W, R, B, sequence_lens, initial states, peepholes → Y, Y_h and, of an LSTM, Y_c. */
function layer(
  operator: string,
  [input, weights, recurrences, biases, lengths, ...rest]: readonly (Value | undefined)[],
  attributes: Attributes,
): readonly Value[] {
  const cell = cells[operator];
  const batchFirst = intAttribute(attributes, "layout", 0) === 1;
  const swapped = (value: Value) => (batchFirst ? transpose(value, [1, 0, 2]) : value);
  const x = swapped(input!);
  const [times, count] = x.shape;
  requireAtMost(operator, x, times, "times", mostTimes);
  const names = directionsOf(operator, x, attributes);
  const hidden = recurrences!.shape[2];
  requireWeights(operator, x, weights!, recurrences!, biases, names.length, cell.gates);
  const activations = activationsOf(operator, x, attributes, cell.defaults, names.length);
  const initial = rest.slice(0, cell.states).map((state) => state && swapped(state));
  const ofDirection = (value: Value | undefined, index: number) =>
    value && reshape(slice(value, { axes: [0], starts: [index], ends: [index + 1] }), value.shape.slice(1));

  const results = names.map((backward, index) => {
    // Without lengths the list of times is turned around, which costs nothing.
    const turnsEach = backward && lengths !== undefined;
    const turned = turnsEach ? reverseTimes(x, lengths) : x;
    const order = <T>(list: readonly T[]) => (backward && !turnsEach ? list.toReversed() : list);
    const weight = ofDirection(weights, index)!;
    const [inputBias, recurrentBias] = halvesOf(ofDirection(biases, index));
    const apart = cell.keepsRecurrentBias?.(attributes) ?? false;
    const bias = apart ? inputBias : inputBias && add(inputBias, recurrentBias!);
    const projection = matMul(turned, transposeLast(weight));
    const biased = bias ? add(projection, bias) : projection;
    const parts = split(biased, new Array<number>(times).fill(1), 0);
    const direction: Direction = {
      projected: order(parts).map((part) => reshape(part, [count, cell.gates * hidden])),
      recurrence: ofDirection(recurrences, index)!,
      recurrentBias: apart ? recurrentBias : undefined,
      peepholes: ofDirection(rest[2], index),
      activations: activations[index],
      attributes,
      hidden,
    };
    const start = Array.from(
      { length: cell.states },
      (_, state) => ofDirection(initial[state], index) ?? zeros(x.graph, [count, hidden], x.type),
    );
    const { outputs, last } = run(cell, direction, start, lengths);
    const sequence = reshape(concat(order(outputs), 0), [times, count, hidden]);
    return { sequence: turnsEach ? reverseTimes(sequence, lengths) : sequence, last };
  });
  const y = concat(
    results.map(({ sequence }) => reshape(sequence, [times, 1, count, hidden])),
    1,
  );
  const states = Array.from({ length: cell.states }, (_, state) =>
    concat(
      results.map(({ last }) => reshape(last[state], [1, count, hidden])),
      0,
    ),
  );
  return [batchFirst ? transpose(y, [2, 0, 1, 3]) : y, ...states.map(swapped)];
}

/** All times of one direction. Beyond a sequence's length its state stands still and its output is 0. */
function run(cell: Cell, direction: Direction, start: readonly Value[], lengths: Value | undefined) {
  const { graph } = start[0];
  const outputs: Value[] = [];
  let states = start;
  for (const [time, input] of direction.projected.entries()) {
    const next = cell.step(input, states, direction);
    if (lengths) {
      const going = greater(reshape(lengths, [lengths.shape[0], 1]), graph.scalar(time, lengths.type));
      outputs.push(where(going, next[0], 0));
      states = next.map((value, index) => where(going, value, states[index]));
    } else {
      outputs.push(next[0]);
      states = next;
    }
  }
  return { outputs, last: states };
}

/** [T, N, …] with the times of each sequence in the opposite order; those beyond its length stay. */
function reverseTimes(x: Value, lengths: Value): Value {
  return reverseSequence(x, cast(lengths, "int64"), { timeAxis: 0, batchAxis: 1 });
}

/** states·weightᵀ + summand. */
function product(states: Value, weight: Value, summand: Value | undefined): Value {
  return gemm(states, weight, summand, { transposeB: true });
}

function clipped(value: Value, attributes: Attributes): Value {
  const bound = floatAttribute(attributes, "clip", 0);
  return bound > 0 ? clip(value, -bound, bound) : value;
}

function halvesOf(bias: Value | undefined): readonly (Value | undefined)[] {
  if (!bias) return [];
  const half = bias.shape[0] / 2;
  return split(bias, [half, half], 0);
}

/** For each direction whether it goes backward. */
function directionsOf(operator: string, x: Value, attributes: Attributes): boolean[] {
  const direction = stringAttribute(attributes, "direction", "forward");
  const known: Record<string, boolean[]> = {
    forward: [false],
    reverse: [true],
    bidirectional: [false, true],
  };
  if (Object.hasOwn(known, direction)) return known[direction];
  throw operatorError(
    operator,
    x,
    `direction ${direction} is not known, ${Object.keys(known).join(", ")} are`,
  );
}

function requireWeights(
  operator: string,
  x: Value,
  weights: Value,
  recurrences: Value,
  biases: Value | undefined,
  directions: number,
  gates: number,
): void {
  const hidden = recurrences.shape[2];
  const rows = gates * hidden;
  const inputs = x.shape[2];
  requireSameType(operator, biases ? [x, weights, recurrences, biases] : [x, weights, recurrences]);
  for (const [name, value, wanted] of [
    ["the input", x, [x.shape[0], x.shape[1], inputs]],
    ["W", weights, [directions, rows, inputs]],
    ["R", recurrences, [directions, rows, hidden]],
    ["B", biases, [directions, 2 * rows]],
  ] as const) {
    if (value && !sameShape(value.shape, wanted)) {
      throw operatorError(
        operator,
        x,
        `${name} is ${describe(value)}; ${directions === 1 ? "one direction" : "two directions"} of ${hidden} on ${describe(x)} [times, batch, inputs] want [${wanted.join(", ")}]`,
      );
    }
  }
}
