import { clone, create } from "@bufbuild/protobuf";
import { UserError } from "../common/errors.ts";
import { withoutFunctions } from "../import/functions.ts";
import { type AttributeValue, readAttributes, writeAttributes } from "../onnx/attributes.ts";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
} from "../onnx/onnx_pb.ts";
import { readTensor, type TensorData, writeTensor } from "../onnx/tensor.ts";
import type { NetworkView } from "./sites.ts";

/** The first operator set whose QuantizeLinear and DequantizeLinear have a scale for each channel. */
export const leastOpset = 13;

/** The version of ONNX's own operators that a model is of. */
export function opsetOf({ opsetImport }: ModelProto): number {
  return Number(opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx")?.version);
}

/**
 * A model whose graph is being rewritten: functions written out, constants among the weights. The model that it is made of
 * stays as it is.
 */
export class ModelEditor implements NetworkView {
  readonly model: ModelProto;
  readonly graph: GraphProto;
  private readonly weights = new Map<string, TensorData>();
  private readonly names = new Set<string>();

  /** @throws UserError for a model of operators from before opset 13 */
  constructor(given: ModelProto) {
    const opset = opsetOf(given);
    if (!(opset >= leastOpset))
      throw new UserError(
        `the model is of opset ${opset}; integers with a scale for each channel need opset ${leastOpset} or newer, so export it again`,
      );
    this.model = clone(ModelProtoSchema, given);
    this.graph = withoutFunctions(this.model);
    this.model.graph = this.graph;
    this.model.functions = [];
    for (const tensor of this.graph.initializer) this.weights.set(tensor.name, readTensor(tensor));
    for (const node of this.graph.node) {
      const { value } = node.opType === "Constant" ? readAttributes(node.attribute) : {};
      if (value && "tensor" in value) this.weights.set(node.output[0], value.tensor);
    }
    for (const { name } of [...this.graph.input, ...this.graph.initializer]) this.names.add(name);
    for (const { output } of this.graph.node) for (const name of output) this.names.add(name);
  }

  /** The inputs that are no weights. */
  get inputs(): string[] {
    return this.graph.input.map(({ name }) => name).filter((name) => !this.weights.has(name));
  }

  get outputs(): string[] {
    return this.graph.output.map(({ name }) => name);
  }

  /** A stored float32 tensor; undefined for others and for what the graph computes. */
  weight(name: string | undefined): TensorData<"float32"> | undefined {
    const tensor = name === undefined ? undefined : this.weights.get(name);
    return tensor?.type === "float32" ? (tensor as TensorData<"float32">) : undefined;
  }

  get nodes(): NodeProto[] {
    return this.graph.node;
  }

  isWeight(name: string | undefined): boolean {
    return this.weight(name) !== undefined;
  }

  numbersOf(name: string | undefined): ArrayLike<number> | undefined {
    return this.weight(name)?.data;
  }

  /** A stored tensor of whatever type. */
  stored(name: string): TensorData | undefined {
    return this.weights.get(name);
  }

  makerOf(name: string): NodeProto | undefined {
    return this.graph.node.find(({ output }) => output.includes(name));
  }

  /** Who reads a tensor: nodes of the graph, and undefined where branches, loops or the model's outputs do. */
  readersOf(name: string): (NodeProto | undefined)[] {
    const readers = this.graph.node.filter((node) => namesRead(node).includes(name));
    const isOutput = this.outputs.includes(name);
    return [
      ...readers.map((node) => (node.input.includes(name) ? node : undefined)),
      ...(isOutput ? [undefined] : []),
    ];
  }

  /** The only node that reads a tensor, if there is one. */
  onlyReaderOf(name: string): NodeProto | undefined {
    const readers = this.readersOf(name);
    return readers.length === 1 ? readers[0] : undefined;
  }

  /** Stores a tensor under a new name that begins with the given one, and returns the name. */
  store(name: string, tensor: TensorData): string {
    const own = this.fresh(name);
    this.weights.set(own, tensor);
    this.graph.initializer.push(writeTensor(own, tensor));
    return own;
  }

  /** Gives a node other weights: under the same name, where nothing else reads them. */
  replaceWeight(node: NodeProto, input: number, tensor: TensorData): void {
    const name = node.input[input];
    const isShared = this.readersOf(name).length > 1 || node.input.filter((one) => one === name).length > 1;
    const at = this.graph.initializer.findIndex((stored) => stored.name === name);
    if (isShared || at < 0) {
      node.input[input] = this.store(name, tensor);
    } else {
      this.weights.set(name, tensor);
      this.graph.initializer[at] = writeTensor(name, tensor);
    }
  }

  /** A node whose outputs are new; where it stands is decided in the end. */
  add(
    opType: string,
    input: readonly string[],
    output: string,
    attributes: Readonly<Record<string, AttributeValue>> = {},
  ): string {
    const own = this.fresh(output);
    const attribute = writeAttributes(attributes);
    this.graph.node.push(
      create(NodeProtoSchema, { opType, name: own, input: [...input], output: [own], attribute }),
    );
    return own;
  }

  /** A node that does the same to other tensors. */
  addLike(node: NodeProto, input: readonly string[], output: string): string {
    const own = this.fresh(output);
    this.graph.node.push({ ...clone(NodeProtoSchema, node), name: own, input: [...input], output: [own] });
    return own;
  }

  /** A name that nothing has yet. */
  fresh(name: string): string {
    let own = name;
    for (let count = 2; this.names.has(own); count++) own = `${name}_${count}`;
    this.names.add(own);
    return own;
  }

  remove(node: NodeProto): void {
    this.graph.node.splice(this.graph.node.indexOf(node), 1);
  }

  /** A copy of the model as it stands. */
  snapshot(): ModelProto {
    return clone(ModelProtoSchema, this.finish());
  }

  /** The model: nodes after what they read, without weights that nothing reads any more. */
  finish(): ModelProto {
    const { graph } = this;
    const ordered: NodeProto[] = [];
    let waiting = graph.node.map((node) => ({ node, reads: namesRead(node) }));
    while (waiting.length > 0) {
      const unmade = new Set(waiting.flatMap(({ node }) => node.output));
      const isReady = ({ reads }: { reads: readonly string[] }) => !reads.some((name) => unmade.has(name));
      ordered.push(...waiting.filter(isReady).map(({ node }) => node));
      const left = waiting.filter((one) => !isReady(one));
      if (left.length === waiting.length) throw new Error(`${left[0].node.name}: the graph has a circle`);
      waiting = left;
    }
    graph.node = ordered;
    const read = new Set([...ordered.flatMap(namesRead), ...this.outputs]);
    const isUnread = ({ name }: { name: string }) => this.weights.has(name) && !read.has(name);
    graph.initializer = graph.initializer.filter((tensor) => !isUnread(tensor));
    graph.input = graph.input.filter((input) => !isUnread(input));
    graph.valueInfo = [];
    return this.model;
  }
}

/** What a node reads, in its branches and bodies too; their own names do no harm. */
function namesRead(node: NodeProto): string[] {
  return [...node.input, ...node.attribute.flatMap(({ g }) => g?.node.flatMap(namesRead) ?? [])];
}
