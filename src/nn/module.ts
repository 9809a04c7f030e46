import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { type Random, randomStream } from "../common/random.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import type { ParameterKind } from "../optim/parameter-groups.ts";
import type { Tensors } from "../runtime/engine.ts";
import { type Initializer, initialTensor } from "./initializers.ts";

export interface ParameterInfo {
  name: string;
  shape: Shape;
  kind: ParameterKind;
  initializer: Initializer;
}

export interface BufferInfo {
  name: string;
  shape: Shape;
  /** What every element starts as, or each of them. */
  initial: number | ArrayLike<number>;
}

/** Builds its part of the network: from an input to an output, asking `scope` for what it needs. */
export type Layer = (input: Value, scope: Scope) => Value;

/** What a layer builds in: a place in the network, with its parameters and buffers under PyTorch's names. */
export class Scope {
  readonly path: string;
  private readonly model: ModelBuilder;
  private readonly frozen: ReadonlySet<string>;

  constructor(model: ModelBuilder, path = "", frozen: ReadonlySet<string> = new Set()) {
    this.model = model;
    this.path = path;
    this.frozen = frozen;
  }

  /** Whether batch statistics are used and updated. */
  get training(): boolean {
    return this.model.training;
  }

  /** Whether something of this layer is in training mode: the network is, and it is not frozen. */
  trains(name: string): boolean {
    return this.training && !this.frozen.has(this.full(name));
  }

  /** The same place, with things frozen by their full names. */
  freezing(names: ReadonlySet<string>): Scope {
    return new Scope(this.model, this.path, new Set([...this.frozen, ...names]));
  }

  /** The momentum that replaces a BatchNorm layer's own. */
  get batchNormMomentum(): number | undefined {
    return this.model.batchNormMomentum;
  }

  parameter(name: string, shape: Shape, kind: ParameterKind, initializer: Initializer): Value {
    const full = this.full(name);
    if (this.frozen.has(full)) this.model.frozen.add(full);
    return this.model.parameter({ name: full, shape, kind, initializer });
  }

  /** State of the layer that is not trained, such as running statistics. */
  buffer(name: string, shape: Shape, initial: BufferInfo["initial"]): Value {
    return this.model.buffer({ name: this.full(name), shape, initial });
  }

  /** Numbers from [0, 1) that are redrawn for every step, and are the same in all passes of it. */
  random(name: string, shape: Shape): Value {
    return this.model.random(this.full(name), shape);
  }

  /** What a buffer becomes after this pass. */
  updateBuffer(name: string, next: Value): void {
    this.model.bufferUpdates.set(this.full(name), next);
  }

  /** Whether a parameter or buffer of this full name is built already. */
  isStored(fullName: string): boolean {
    return this.model.parameters.has(fullName) || this.model.buffers.has(fullName);
  }

  /**
   * An input that is added to what a parameter becomes when it is quantized: perturbations of the parameter are bound to it.
   * Nothing where the network is not built for them.
   */
  offset(parameter: string, shape: Shape): Value | undefined {
    return this.model.hasOffsets ? this.model.offset(this.full(parameter), shape) : undefined;
  }

  /** States which integers a quantized weight is: a float tensor of its shape. */
  rounds(integers: Value): void {
    this.model.integers.push(integers);
  }

  /** Builds a layer here, and gives what it makes, its output and its buffers' next values, another form. */
  rewriting(layer: Layer, input: Value, rewrite: (ends: readonly Value[]) => Value[]): Value {
    const { bufferUpdates } = this.model;
    const before = new Map(bufferUpdates);
    const output = layer(input, this);
    const updates = [...bufferUpdates].filter(([name, next]) => before.get(name) !== next);
    const [rewritten, ...next] = rewrite([output, ...updates.map(([, value]) => value)]);
    for (const [index, [name]] of updates.entries()) bufferUpdates.set(name, next[index]);
    return rewritten;
  }

  /** Builds a part one level down: its parameters are called `name.…`. */
  within(name: string, layer: Layer, input: Value): Value {
    return input.graph.scoped(name, () => layer(input, new Scope(this.model, this.full(name), this.frozen)));
  }

  private full(name: string): string {
    return this.path ? `${this.path}.${name}` : name;
  }
}

/** A network as a graph from `input` [N, C, H, W] to `logits` [N, classes], with what it keeps. */
export interface Model {
  graph: Graph;
  input: Value;
  logits: Value;
  parameters: readonly ParameterInfo[];
  /** Names of the parameters that keep their values. */
  frozen: ReadonlySet<string>;
  buffers: readonly BufferInfo[];
  /** In training mode: what the buffers become, by name. */
  bufferUpdates: ReadonlyMap<string, Value>;
  /** Inputs to fill with random numbers from [0, 1) at every step. */
  randomInputs: readonly Value[];
  /** Inputs that perturbations of quantized parameters are bound to, by the parameter's name. */
  offsets: ReadonlyMap<string, Value>;
  /** The integers that quantized weights are, each as a float tensor. */
  integers: readonly Value[];
}

export interface BuildOptions {
  /** Without the batch axis: [C, H, W]. */
  inputShape: Shape;
  batchSize: number;
  training: boolean;
  type?: "float32" | "float64";
  /** In place of the momentum of every BatchNorm layer. */
  batchNormMomentum?: number;
  /** Whether perturbations of quantized parameters have inputs of their own. Default: false. */
  offsets?: boolean;
}

/** Builds a network for one batch size. Throws `UserError` naming the layer whose shapes do not fit. */
export function buildModel(layer: Layer, options: BuildOptions): Model {
  readOptions("buildModel", options, {
    inputShape: "list",
    batchSize: "number",
    training: "boolean",
    type: ["float32", "float64"],
    batchNormMomentum: "number",
    offsets: "boolean",
  });
  const { inputShape, batchSize, training, type = "float32", batchNormMomentum, offsets = false } = options;
  const graph = new Graph();
  const builder = new ModelBuilder(graph, { training, type, batchNormMomentum, hasOffsets: offsets });
  const input = graph.input("input", type, [batchSize, ...inputShape]);
  const logits = layer(input, new Scope(builder));
  return {
    graph,
    input,
    logits,
    parameters: [...builder.parameters.values()],
    frozen: builder.frozen,
    buffers: [...builder.buffers.values()],
    bufferUpdates: builder.bufferUpdates,
    randomInputs: builder.randomInputs,
    offsets: builder.offsets,
    integers: builder.integers,
  };
}

/**
 * The tensors a network starts from: parameters drawn by their initializers, each from a stream of its own name, so
 * that one seed gives one network whatever else is drawn; buffers at their initial numbers.
 */
export function initialTensors(
  model: Pick<Model, "parameters" | "buffers" | "input">,
  seed: number,
): Tensors {
  const type = model.input.type === "float64" ? "float64" : "float32";
  return Object.fromEntries([
    ...model.parameters.map(({ name, shape, initializer }) => [
      name,
      // The purpose keeps its first spelling: it decides the weights that a seed gives.
      initialTensor(initializer, shape, randomStream(seed, `initialisation of ${name}`), type),
    ]),
    ...model.buffers.map(({ name, shape, initial }) => [
      name,
      tensorData(
        typeof initial === "number" ? new Float64Array(elementCount(shape)).fill(initial) : initial,
        shape,
        type,
      ),
    ]),
  ]);
}

/**
 * The random numbers of one step. `parts` is the number of micro-batches the network is built for one of: there are as
 * many times the numbers along the first axis.
 */
export function drawRandomInputs(model: Pick<Model, "randomInputs">, random: Random, parts = 1): Tensors {
  return Object.fromEntries(
    model.randomInputs.map(({ origin, type, shape: [size, ...rest] }) => {
      const shape = [size * parts, ...rest];
      const values = Float64Array.from({ length: elementCount(shape) }, () => random.uniform());
      return [origin.kind === "input" ? origin.name : "", tensorData(values, shape, type)];
    }),
  );
}

/** Number of elements of the parameters that train. */
export function parameterCount({ parameters, frozen }: Pick<Model, "parameters" | "frozen">): number {
  return parameters.reduce((sum, { name, shape }) => sum + (frozen.has(name) ? 0 : elementCount(shape)), 0);
}

/**
 * A layer of which parts keep their values and are as in inference.
 * @param names full names of parameters, of buffers (a BatchNorm with them normalizes by its running statistics) and of
 *   random inputs (a Dropout with them drops nothing)
 */
export function freezing(layer: Layer, names: ReadonlySet<string>): Layer {
  return (input, scope) => layer(input, scope.freezing(names));
}

class ModelBuilder {
  readonly parameters = new Map<string, ParameterInfo>();
  readonly frozen = new Set<string>();
  readonly buffers = new Map<string, BufferInfo>();
  readonly bufferUpdates = new Map<string, Value>();
  readonly randomInputs: Value[] = [];
  readonly offsets = new Map<string, Value>();
  readonly integers: Value[] = [];
  readonly graph: Graph;
  readonly training: boolean;
  readonly batchNormMomentum: number | undefined;
  readonly hasOffsets: boolean;
  private readonly type: "float32" | "float64";

  constructor(
    graph: Graph,
    {
      training,
      type,
      batchNormMomentum,
      hasOffsets,
    }: Pick<BuildOptions, "training" | "batchNormMomentum"> & {
      type: "float32" | "float64";
      hasOffsets: boolean;
    },
  ) {
    this.graph = graph;
    this.training = training;
    this.type = type;
    this.batchNormMomentum = batchNormMomentum;
    this.hasOffsets = hasOffsets;
  }

  parameter(info: ParameterInfo): Value {
    this.claim(info.name);
    this.parameters.set(info.name, info);
    return this.graph.input(info.name, this.type, info.shape);
  }

  buffer(info: BufferInfo): Value {
    this.claim(info.name);
    this.buffers.set(info.name, info);
    return this.graph.input(info.name, this.type, info.shape);
  }

  random(name: string, shape: Shape): Value {
    this.claim(name);
    const input = this.graph.input(name, this.type, shape);
    this.randomInputs.push(input);
    return input;
  }

  offset(parameter: string, shape: Shape): Value {
    const name = `${parameter}.offset`;
    this.claim(name);
    const input = this.graph.input(name, this.type, shape);
    this.offsets.set(parameter, input);
    return input;
  }

  private claim(name: string): void {
    if (this.graph.inputs.has(name)) {
      throw new UserError(
        `two tensors of the network are called "${name}"; give their layers different names`,
      );
    }
  }
}
