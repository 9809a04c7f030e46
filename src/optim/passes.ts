import { partialGradients, type Saving } from "../autodiff/gradients.ts";
import { UserError } from "../common/errors.ts";
import { elementCount, type Graph, type Value } from "../graph/graph.ts";
import { copyInto, leavesOf, nodesOf } from "../graph/walk.ts";
import { addAll, divideOrZero, mul, sub } from "../ops/arithmetic.ts";
import { equal, not } from "../ops/comparison.ts";
import { cast } from "../ops/elementwise.ts";
import { zeros } from "../ops/movement.ts";
import { reduceSum } from "../ops/reduction.ts";
import { slice } from "../ops/slicing.ts";
import type { Evaluation } from "./optimizer.ts";

/** What is minimized, and what else is known of it: a graph from parameters, buffers and a batch to a loss. */
export interface Objective {
  loss: Value;
  /**
   * What the loss of one batch counts for in a mean over several, where the loss is a weighted mean: the sum of the
   * weights of its examples, which no parameter changes. Absent: equal batches count alike.
   */
  weight?: Value;
  /** The graph's inputs that are trained, by their names. */
  parameters: ReadonlyMap<string, Value>;
  /** What the buffers (running statistics) become after a pass in training mode, by the names of their inputs. */
  buffers: ReadonlyMap<string, Value>;
  /**
   * Inputs that are added to the quantized form of a parameter, by the parameter's name: its perturbation is bound to this
   * input, and the parameter stays where it is.
   */
  offsets?: ReadonlyMap<string, Value>;
  /** The integers that quantized weights are, each as a float tensor. */
  integers?: readonly Value[];
  /** Names of further inputs that stay as they are: frozen parameters, running statistics that do not move. */
  constants?: ReadonlySet<string>;
  /** The network's output, of which the loss is a convex function of (logits): only Gauss–Newton products need it. */
  output?: Value;
  /** Other scalars that are means over the batch, such as `accuracy`. */
  metrics?: ReadonlyMap<string, Value>;
}

/** The two ways to take a gradient in a step. */
export interface PassPair {
  /** Pass 1, which buffers take their next values from. */
  first(weights: readonly Value[]): Evaluation;
  /** A further pass on the same data. */
  evaluate(weights: readonly Value[]): Evaluation;
}

/** How a mini-batch is cut into micro-batches along its first axis. */
export class MicroBatches {
  readonly count: number;
  private readonly data: readonly Value[];

  constructor(objective: Objective, count: number) {
    if (!(Number.isInteger(count) && count >= 1)) {
      throw new UserError(`microBatches is ${count}; it has to be a whole number of 1 or more`);
    }
    this.count = count;
    const outputs = [objective.loss, ...objective.buffers.values()];
    const offsets = new Set(objective.offsets?.values());
    this.data = leavesOf(nodesOf(outputs), outputs).filter((value) => {
      const { origin } = value;
      return (
        origin.kind === "input" &&
        !offsets.has(value) &&
        !objective.parameters.has(origin.name) &&
        !objective.buffers.has(origin.name) &&
        !objective.constants?.has(origin.name)
      );
    });
  }

  /** What stands for the objective's data inputs in one part. */
  bindings(graph: Graph, part: number): [Value, Value][] {
    if (this.count === 1) return [];
    return this.data.map((value) => {
      const [size, ...rest] = value.shape;
      const name = value.origin.kind === "input" ? value.origin.name : "";
      const whole = graph.input(name, value.type, [size * this.count, ...rest]);
      return [value, slice(whole, { axes: [0], starts: [part * size], ends: [(part + 1) * size] })];
    });
  }
}

/**
 * Scopes of a step's nodes: `pass1.…` and so on, each followed by the layer's; within a pass the gradient's begin with
 * `backward`, followed by the scope of what is differentiated. Perturbations have their own, and what else there is, none.
 */
const backwardScope = "backward";
export const perturbationScope = "perturbation";

/** What a node of a training step belongs to. */
export interface StepPlace {
  part: "forward" | "backward" | "perturbation" | "update";
  /** Which gradient evaluation, from 1. */
  pass?: number;
  /** The layer; empty for what belongs to none. */
  layer: string;
}

/** The place that a scope of a step's graph says. */
export function placeInStep(scope: string): StepPlace {
  const [, pass, backward, layer = ""] =
    /^pass(\d+)(?:\.(backward)(?:\.pass\d+)?)?(?:\.(.*))?$/.exec(scope) ?? [];
  if (pass === undefined) return { part: scope === perturbationScope ? "perturbation" : "update", layer: "" };
  return { part: backward ? "backward" : "forward", pass: Number(pass), layer };
}

/** Builds the gradient evaluations of a training step. */
export class Passes {
  /** The buffers' next values, once pass 1 is built. */
  readonly buffers = new Map<string, Value>();
  private readonly graph: Graph;
  private readonly objective: Objective;
  private readonly names: readonly string[];
  private readonly trained: readonly Value[];
  private readonly parts: MicroBatches;
  private readonly saving: Saving;
  private made = 0;
  /** Integers of pass 1. */
  private unperturbed: readonly Value[] | undefined;

  /**
   * Gradients are taken for the parameters of the given names.
   * @param options.recompute whether they compute forward values again; `undefined`: if they read much of the forward pass
   */
  constructor(
    graph: Graph,
    objective: Objective,
    names: readonly string[],
    { parts, recompute }: { parts: MicroBatches; recompute?: boolean },
  ) {
    this.graph = graph;
    this.objective = objective;
    this.parts = parts;
    this.saving = recompute === undefined ? "automatic" : recompute ? "recompute" : "order";
    this.names = names;
    this.trained = names.map((name) => objective.parameters.get(name)!);
  }

  /** Passes over the whole mini-batch: the mean over its parts, weighted where its examples are. */
  whole(): PassPair {
    const all = this.perPart();
    const mean = (evaluations: readonly Evaluation[]): Evaluation => {
      const weights = evaluations.map(({ weight }) => weight);
      const over = (of: (one: Evaluation) => Value) => average(evaluations.map(of), weights);
      return {
        loss: over(({ loss }) => loss),
        gradients: evaluations[0].gradients.map((_, index) => over(({ gradients }) => gradients[index])),
        // The parts have the same weights.
        integersChanged: evaluations[0].integersChanged,
      };
    };
    return {
      first: (weights) => mean(all.map((part) => part.first(weights))),
      evaluate: (weights) => mean(all.map((part) => part.evaluate(weights))),
    };
  }

  /** Passes over each part by itself. */
  perPart(): PassPair[] {
    return Array.from({ length: this.parts.count }, (_, part) => ({
      first: (weights) => this.pass(weights, part, true),
      evaluate: (weights) => this.pass(weights, part, false),
    }));
  }

  private pass(at: readonly Value[], part: number, updatesBuffers: boolean): Evaluation {
    const { loss, weight: objectiveWeight, buffers, integers = [] } = this.objective;
    return this.graph.scoped(`pass${++this.made}`, () => {
      const placed = at.map((value, index) => this.place(value, index));
      const bindings = new Map<Value, Value>([
        ...placed.flatMap(({ bound }) => bound),
        ...this.parts.bindings(this.graph, part),
        ...this.currentBuffers(),
      ]);
      const wanted = updatesBuffers ? [loss, ...buffers.values()] : [loss];
      const [built, ...next] = copyInto(this.graph, wanted, bindings);
      const weight = objectiveWeight && copyInto(this.graph, [objectiveWeight], bindings)[0];
      for (const [index, value] of next.entries()) this.buffers.set([...buffers.keys()][index], value);
      // Perturbed weights are computed from those that are not: these get no gradient through the perturbation.
      const variables = placed.map(({ variable }) => variable);
      const held = placed.flatMap(({ offset }) => offset ?? []);
      const gradients = this.graph
        .scoped(backwardScope, () =>
          partialGradients(built, [...variables, ...held], { saving: this.saving }),
        )
        .slice(0, at.length);
      const rounded = copyInto(this.graph, integers, bindings);
      this.unperturbed ??= rounded;
      const integersChanged =
        integers.length > 0 && rounded !== this.unperturbed
          ? shareOfOthers(rounded, this.unperturbed)
          : undefined;
      return { loss: built, gradients, weight, integersChanged };
    });
  }

  /** What a parameter of the objective is bound to, and the variable that its gradient is of. */
  private place(value: Value, index: number) {
    const offset = this.objective.offsets?.get(this.names[index]);
    const input = this.trained[index];
    if (!offset) return { variable: value, bound: [[input, value]] as [Value, Value][] };
    const own = this.graph.input(this.names[index], input.type, input.shape);
    const moved = value === own ? zeros(this.graph, input.shape, input.type) : sub(value, own);
    const bound: [Value, Value][] = [
      [input, own],
      [offset, moved],
    ];
    return { variable: own, offset: value === own ? undefined : moved, bound };
  }

  /** Buffers that an earlier part has already moved on. */
  private currentBuffers(): [Value, Value][] {
    const { graph } = this.objective.loss;
    return [...this.buffers].map(([name, value]) => [graph.inputs.get(name)!, value]);
  }
}

/** The share of the elements of some tensors that are not those of others. */
function shareOfOthers(tensors: readonly Value[], others: readonly Value[]): Value {
  const { type } = tensors[0];
  const counts = tensors.map((tensor, index) => reduceSum(cast(not(equal(tensor, others[index])), type)));
  return mul(addAll(counts), 1 / tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0));
}

/** The mean of tensors of one shape, by scalar weights where there are any; 0 where these are all 0. */
export function average(values: readonly Value[], weights: readonly (Value | undefined)[]): Value {
  if (values.length === 1) return values[0];
  const given = weights.filter((weight) => weight !== undefined);
  if (given.length === 0) return mul(addAll(values), 1 / values.length);
  return divideOrZero(addAll(values.map((value, index) => mul(value, given[index]))), addAll(given));
}
