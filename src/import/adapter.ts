import { UserError } from "../common/errors.ts";
import type { OptionKinds } from "../common/options.ts";
import { constantNumbers, int64Vector } from "../graph/constants.ts";
import type { Attributes, Graph, Value } from "../graph/graph.ts";
import type { DataType } from "../onnx/tensor.ts";
import { wideType } from "../onnx/types.ts";
import { apply } from "../ops/operator.ts";

/** How a graph made for inference is to be trained. */
export interface TrainingMode {
  /**
   * `"batch"`: normalize by the batch's statistics and update the running ones, where scale or shift train; layers
   * whose scale and shift are frozen stay as in inference. `"frozen"`: all are as in inference.
   */
  batchNormalization: "batch" | "frozen";
  /** Whether Dropout drops. */
  dropout: boolean;
  /** Names of the random inputs of single Dropout nodes that drop nothing regardless. */
  frozenDropout?: ReadonlySet<string>;
  /** The share of the new statistics in the running ones, in place of what the file says. */
  statisticsMomentum?: number;
}

/** Of the settings that hold for a file, whatever is built of it. */
export const trainingMode: OptionKinds<Omit<TrainingMode, "statisticsMomentum">> = {
  batchNormalization: ["batch", "frozen"],
  dropout: "boolean",
  frozenDropout: "object",
};

/** What a graph in training mode has beside its outputs. */
export interface TrainingParts {
  mode: TrainingMode;
  /** What the running statistics become, by their names. */
  bufferUpdates: Map<string, Value>;
  /** Inputs to fill with random numbers from [0, 1) at every step. */
  randomInputs: Value[];
}

/** A node of a file, as it is built into a graph. */
export class ImportedNode {
  readonly graph: Graph;
  readonly operator: string;
  /** Version of ONNX's operator set that the file uses. */
  readonly opset: number;
  readonly inputs: readonly (Value | undefined)[];
  /** The types that the file states for the inputs, where it does: those here may be wider. */
  readonly statedTypes: readonly (DataType | undefined)[];
  readonly attributes: Attributes;
  /** How many of the outputs are read, or stand before one that is. */
  readonly outputCount: number;
  /** How many outputs the node lists, those without a name included. */
  readonly listedOutputs: number;
  /** Name of the first output: unique in the file. */
  readonly name: string;
  /** Undefined in inference. */
  readonly training: TrainingParts | undefined;

  constructor(
    node: Omit<ImportedNode, "input" | "statedType" | "numbers" | "sizes" | "build" | "with" | "error">,
  ) {
    this.graph = node.graph;
    this.operator = node.operator;
    this.opset = node.opset;
    this.inputs = node.inputs;
    this.statedTypes = node.statedTypes;
    this.attributes = node.attributes;
    this.outputCount = node.outputCount;
    this.listedOutputs = node.listedOutputs;
    this.name = node.name;
    this.training = node.training;
  }

  /** An input that has to be there. */
  input(index: number): Value {
    const value = this.inputs[index];
    if (!value) throw this.error(`input ${index} is missing`);
    return value;
  }

  /** The type of an input that has to be there, as the file has it. */
  statedType(index: number): DataType {
    const { type } = this.input(index);
    const stated = this.statedTypes[index];
    return stated !== undefined && wideType(stated) === type ? stated : type;
  }

  /** The numbers of an input that has to be known while the graph is built; undefined when it is left out. */
  numbers(index: number, what: string): number[] | undefined {
    const value = this.inputs[index];
    if (!value) return undefined;
    const numbers = constantNumbers(value);
    if (numbers) return numbers;
    throw this.error(`its ${what} are computed while running; they have to be known before`);
  }

  /** A vector of int64. */
  sizes(values: readonly number[]): Value {
    return int64Vector(this.graph, values);
  }

  /** The same operator on other inputs or with other attributes. */
  build(
    inputs: readonly (Value | undefined)[] = this.inputs,
    attributes: Attributes = this.attributes,
  ): readonly Value[] {
    return apply(this.operator, inputs, attributes, this.outputCount);
  }

  /** This node with some things changed. */
  with(changes: Partial<Pick<ImportedNode, "operator" | "inputs" | "attributes">>): ImportedNode {
    return new ImportedNode({ ...this, ...changes });
  }

  error(message: string): UserError {
    return new UserError(`${this.operator}: ${message}`);
  }
}

/** Builds a node in the form that the operators here have, from whatever form the file has. */
export type Adapter = (node: ImportedNode) => readonly Value[];

/** The attributes but those named. */
export function without(attributes: Attributes, ...names: readonly string[]): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => !names.includes(name)));
}
