import { create } from "@bufbuild/protobuf";
import type { Value } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import type { Target } from "../lower/target.ts";
import { type AttributeValue, readAttributes, writeAttributes } from "../onnx/attributes.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import { type NodeProto, NodeProtoSchema, type TensorProto } from "../onnx/onnx_pb.ts";
import { writeTensor } from "../onnx/tensor.ts";
import { int, intAttribute, ints } from "../ops/operator.ts";
import type { Tensors } from "../runtime/engine.ts";
import { runProgram } from "./numeric.ts";

// ONNX Runtime's operators on blocks of channels, written in ONNX's own operators, after ONNX Runtime's documentation of
// the layout (NCHWc). Its kernels have the block of the processor at hand; with these a program for any block runs on
// any processor.

/** Domain of the operators on blocks. */
const blockedDomain = "com.microsoft.nchwc";

/** Blocks that tests cover: those of ONNX Runtime's kernels (8 with AVX2, 16 with AVX-512), and none. */
export const targets: Readonly<Record<"8" | "16" | "none", Target>> = {
  "8": { blockedChannels: 8, freesMemory: true },
  "16": { blockedChannels: 16, freesMemory: true },
  none: { freesMemory: true },
};

/** The number of nodes of a program that ONNX does not have. */
export function blockedNodes(model: Uint8Array): number {
  return readModel(model).graph!.node.filter(({ domain }) => domain === blockedDomain).length;
}

/**
 * The same program without operators on blocks.
 * @throws Error if an operator on blocks is none of those that programs use, or has an attribute that they do not
 */
export function withoutBlocks(bytes: Uint8Array, block: number): Uint8Array<ArrayBuffer> {
  const model = readModel(bytes);
  const graph = model.graph!;
  const writer = new Writer(block);
  graph.node = graph.node.flatMap((node) => (node.domain === blockedDomain ? writer.plain(node) : [node]));
  graph.initializer.push(...writer.constants.values());
  model.opsetImport = model.opsetImport.filter(({ domain }) => domain !== blockedDomain);
  return writeModel(model);
}

/** Runs named values of one graph once as they are compiled for a block, whatever the processor's. */
export async function evaluateInBlocks(values: Record<string, Value>, feeds: Tensors, block: number) {
  const { graph } = Object.values(values)[0];
  for (const [name, value] of Object.entries(values)) graph.output(name, value);
  const program = compile(graph, { target: { blockedChannels: block } });
  graph.outputs.clear();
  return runProgram(withoutBlocks(program, block), feeds);
}

/** Writes nodes. Shapes are computed in the program, as a model states only those of its inputs and outputs. */
class Writer {
  readonly constants = new Map<string, TensorProto>();
  private nodes: NodeProto[] = [];
  private readonly block: string;
  private count = 0;

  constructor(block: number) {
    this.block = this.constant(block);
  }

  plain({ opType, input, output, attribute }: NodeProto): NodeProto[] {
    this.nodes = [];
    const attributes = readAttributes(attribute);
    switch (opType) {
      case "ReorderInput":
        requireOnly(opType, attributes, []);
        this.toBlocks(input[0], output[0]);
        break;
      case "ReorderOutput": {
        requireOnly(opType, attributes, ["channels"]);
        const all = this.fromBlocks(input[0]);
        const ends = this.constant(intAttribute(attributes, "channels", 0));
        this.add("Slice", [all, this.constant(0), ends, this.constant(1)], {}, output[0]);
        break;
      }
      case "Conv": {
        const [x, weight, bias = "", sum] = input;
        requireOnly(opType, attributes, ["kernel_shape", "strides", "dilations", "pads", "group"]);
        const y = this.add("Conv", [this.fromBlocks(x), this.filters(weight), bias], attributes);
        this.toBlocks(sum ? this.add("Add", [y, this.fromBlocks(sum)]) : y, output[0]);
        break;
      }
      default:
        throw new Error(`programs do not use the operator ${opType} on blocks`);
    }
    return this.nodes;
  }

  /** [N, C, H, W] to [N, C/b, H, W, b], under the shape it had. */
  private toBlocks(x: string, output: string): void {
    const shape = this.add("Shape", [x]);
    const [n, c, ...size] = this.sizes(shape);
    const apart = this.reshape(x, [n, this.inBlocks(c), this.block, ...size]);
    this.add("Reshape", [this.transpose(apart, [0, 1, 3, 4, 2]), shape], {}, output);
  }

  /** [N, C/b, H, W, b], under the shape [N, C, H, W], to that shape. */
  private fromBlocks(x: string): string {
    const shape = this.add("Shape", [x]);
    const [n, c, ...size] = this.sizes(shape);
    const apart = this.reshape(x, [n, this.inBlocks(c), ...size, this.block]);
    return this.add("Reshape", [this.transpose(apart, [0, 1, 4, 2, 3]), shape]);
  }

  /** [O/b, I/b, kh, kw, b of I, b of O], under the shape [O, I, kh, kw], to that shape. */
  private filters(weight: string): string {
    const shape = this.add("Shape", [weight]);
    const [o, i, ...kernel] = this.sizes(shape);
    const apart = this.reshape(weight, [
      this.inBlocks(o),
      this.inBlocks(i),
      ...kernel,
      this.block,
      this.block,
    ]);
    return this.add("Reshape", [this.transpose(apart, [0, 5, 1, 4, 2, 3]), shape]);
  }

  private sizes(shape: string): string[] {
    return [0, 1, 2, 3].map((axis) =>
      this.add("Slice", [shape, this.constant(axis), this.constant(axis + 1), this.constant(0)]),
    );
  }

  /** Channels that are no whole blocks make a reshape that fails. */
  private inBlocks(channels: string): string {
    return this.add("Div", [channels, this.block]);
  }

  private reshape(x: string, sizes: readonly string[]): string {
    return this.add("Reshape", [x, this.add("Concat", sizes, { axis: int(0) })]);
  }

  private transpose(x: string, order: readonly number[]): string {
    return this.add("Transpose", [x], { perm: ints(order) });
  }

  private constant(value: number): string {
    const name = `without_blocks/${value}`;
    if (!this.constants.has(name)) {
      const data = BigInt64Array.of(BigInt(value));
      this.constants.set(name, writeTensor(name, { type: "int64", shape: [1], data }));
    }
    return name;
  }

  private add(
    opType: string,
    input: readonly string[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    output = `without_blocks/${opType}_${this.count++}`,
  ): string {
    const attribute = writeAttributes(attributes);
    this.nodes.push(create(NodeProtoSchema, { opType, input: [...input], output: [output], attribute }));
    return output;
  }
}

function requireOnly(
  operator: string,
  attributes: Readonly<Record<string, AttributeValue>>,
  known: readonly string[],
) {
  const other = Object.keys(attributes).find((name) => !known.includes(name));
  if (other) throw new Error(`programs do not use the attribute ${other} of ${operator} on blocks`);
}
