import { create } from "@bufbuild/protobuf";
import type { Node, Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { writeAttributes } from "../onnx/attributes.ts";
import { type NodeProto, NodeProtoSchema } from "../onnx/onnx_pb.ts";
import { isFloat } from "../onnx/types.ts";
import { folds } from "./fold-batch-norm.ts";
import { outputAxis } from "./layers.ts";
import type { NetworkView } from "./sites.ts";

// A network that is trained, in the form that its file has: BatchNorm, in training or not, is a part of the layer before it,
// and Dropout hands its input on. So layers and sites are those of the file that is written.

/** How BatchNorm is called in training mode. */
const trainingNorm = "BatchNormTraining";

export class GraphView implements NetworkView {
  readonly nodes: readonly NodeProto[];
  readonly inputs: readonly string[];
  /** Nodes of the graph by those of this view. */
  readonly nodeOf = new Map<NodeProto, Node>();
  /** The BatchNorm behind a layer, by the layer's node. */
  readonly normOf = new Map<Node, Node>();
  private readonly output: Value;
  private readonly input: Value;
  private readonly isStored: (name: string) => boolean;
  private readonly values = new Map<string, Value>();
  private readonly readers = new Map<string, NodeProto[]>();

  /**
   * @param output of a network that reads `input`
   * @param isStored whether a graph input is a parameter or a buffer
   */
  constructor(output: Value, input: Value, isStored: (name: string) => boolean) {
    this.output = output;
    this.input = input;
    this.isStored = isStored;
    this.inputs = [this.nameOf(input)];
    const drawn = new Set<Value>();
    const all = nodesOf([output], new Map([[input, input]])).map((node) => this.protoOf(node, drawn));
    for (const proto of all)
      for (const name of proto.input) this.readers.set(name, [...(this.readers.get(name) ?? []), proto]);
    this.nodes = this.withoutNorms(all);
  }

  /** The value of a name; undefined for absent inputs. */
  valueOf(name: string): Value | undefined {
    return this.values.get(name);
  }

  isWeight(name: string | undefined): boolean {
    const value = name === undefined ? undefined : this.values.get(name);
    if (!value || value === this.input || !isFloat(value.type)) return false;
    return value.origin.kind === "constant" || this.isParameter(value);
  }

  numbersOf(name: string | undefined): ArrayLike<number> | undefined {
    const origin = name === undefined ? undefined : this.values.get(name)?.origin;
    return origin?.kind === "constant" ? (origin.data.data as ArrayLike<number>) : undefined;
  }

  onlyReaderOf(name: string): NodeProto | undefined {
    const readers = this.readers.get(name) ?? [];
    return readers.length === 1 && this.values.get(name) !== this.output ? readers[0] : undefined;
  }

  /** Whether a value is a parameter or a buffer of the network. */
  isParameter({ origin }: Value): boolean {
    return origin.kind === "input" && this.isStored(origin.name);
  }

  private nameOf(value: Value | undefined): string {
    if (!value) return "";
    const name =
      this.isParameter(value) && value.origin.kind === "input" ? value.origin.name : `%${value.id}`;
    this.values.set(name, value);
    return name;
  }

  /** @param drawn values that only random numbers decide, so far */
  private protoOf(node: Node, drawn: Set<Value>): NodeProto {
    const given = node.inputs.filter((value) => value !== undefined);
    const isDrawn = (value: Value) =>
      drawn.has(value) || (value.origin.kind === "input" && value !== this.input && !this.isParameter(value));
    const random = given.filter(isDrawn);
    const isAllDrawn =
      random.length > 0 && given.every((value) => isDrawn(value) || value.origin.kind === "constant");
    if (isAllDrawn) for (const output of node.outputs) drawn.add(output);
    const isDropout = node.operator === "Mul" && random.length === 1 && !isAllDrawn;
    const read = isDropout ? given.filter((value) => !isDrawn(value)) : node.inputs;
    const isNorm = node.operator === trainingNorm;
    const proto = create(NodeProtoSchema, {
      opType: isDropout ? "Identity" : isNorm ? "BatchNormalization" : node.operator,
      domain: isNorm ? "" : node.domain,
      input: read.map((value) => this.nameOf(value)),
      output: node.outputs.map((value) => this.nameOf(value)),
      attribute: writeAttributes(node.attributes),
    });
    this.nodeOf.set(proto, node);
    return proto;
  }

  private withoutNorms(all: readonly NodeProto[]): NodeProto[] {
    const makers = new Map(all.map((proto) => [proto.output[0], proto]));
    return all.filter((norm) => {
      if (norm.opType !== "BatchNormalization") return true;
      const layer = makers.get(norm.input[0]);
      if (!layer || outputAxis(layer) === undefined || !folds(this, layer, norm)) return true;
      this.normOf.set(this.nodeOf.get(layer)!, this.nodeOf.get(norm)!);
      layer.output = [norm.output[0]];
      return false;
    });
  }
}
