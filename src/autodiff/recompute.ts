import { elementCount, type Node, type Value } from "../graph/graph.ts";
import { dataTypes } from "../onnx/types.ts";
import { after } from "../ops/ordering.ts";

// A gradient reads values of the forward pass: they stay in memory from there on. Here most of them are computed again where
// the gradient needs them, by the same operators from the same numbers, so that the gradient is the same to the last bit.
//
// What is expensive is kept, and what the gradient reads of it anyway is enough: in Conv, BatchNorm, Relu, Conv it reads what
// the first convolution gives for BatchNorm's gradient, and from that the input of the second one follows at little cost.

/** What takes longer to compute again than a pass over its result. */
const costly = /Conv|MatMul|Gemm|Reduce|Pool|Softmax|Scatter|Gather|ArgMax|Resize|Sort|TopK|Det|Loss|Einsum/;

/** A value of fewer elements than the largest one by this factor is left as it is. */
const smallShare = 1 / 64;

/** The most nodes that one value is computed again by. */
const longestChain = 24;

/** Bytes of the forward pass that a gradient may read before it computes values again by itself: 512 MiB. */
export const automaticBytes = 2 ** 29;

/** Decides for one gradient which forward values are kept, and builds what stands for each of them in the gradient. */
export class Recomputation {
  /** Bytes of the large forward values that the gradient reads, and keeps without recomputation. Inputs and weights do not count. */
  readonly readBytes: number;
  private readonly forward: ReadonlySet<Value>;
  private readonly read: ReadonlySet<Value>;
  private readonly kept = new Set<Value>();
  private readonly remade = new Set<Value>();
  /** Costly nodes on the longest path to a value. */
  private readonly depths = new Map<Value, number>();
  private readonly smallest: number;
  private readonly hint: boolean;
  /** What stands for a value in the gradient. */
  private readonly made = new Map<Value, Value>();
  private readonly known = new Map<Value, boolean>();

  /**
   * @param nodes of the forward pass, in an order of execution
   * @param options.read which of their results the gradient reads without recomputation
   * @param options.hint whether values are computed again only where that saves memory
   */
  constructor(nodes: readonly Node[], { read, hint }: { read: ReadonlySet<Value>; hint: boolean }) {
    this.read = read;
    this.hint = hint;
    const outputs = nodes.flatMap((node) => node.outputs);
    this.forward = new Set(outputs);
    this.smallest = smallShare * Math.max(...outputs.map(({ shape }) => elementCount(shape)));
    for (const node of nodes) {
      const depth = Math.max(0, ...node.inputs.map((input) => (input && this.depths.get(input)) ?? 0));
      for (const value of node.outputs) {
        this.depths.set(value, depth + (costly.test(node.operator) ? 1 : 0));
        if (!this.read.has(value) || !this.isLarge(value)) continue;
        (this.follows(value) ? this.remade : this.kept).add(value);
      }
    }
    this.readBytes = bytesOf([...this.kept, ...this.remade]);
  }

  /**
   * What the gradient of a node reads in place of a forward value, known only once that node's own incoming gradient is:
   * otherwise it could be computed, and kept, before the gradient begins.
   */
  standIn(value: Value, incoming: Value): Value {
    const known = this.made.get(value);
    if (known) return known;
    if (!this.read.has(value) || !this.isLarge(value) || !this.isComputed(incoming)) return value;
    return this.source(value, incoming);
  }

  /** A forward value, or what is left of it once it is freed: the same numbers again. */
  private source(value: Value, incoming: Value): Value {
    const { graph, origin } = value;
    const known = this.made.get(value);
    if (known) return known;
    if (!this.isLarge(value)) return value;
    const isMade = this.forward.has(value) && !this.kept.has(value);
    const build = () => {
      if (!isMade || origin.kind !== "node") return after(value, incoming, { hint: this.hint });
      const { operator, attributes, outputs, domain } = origin.node;
      const inputs = origin.node.inputs.map((input) => input && this.source(input, incoming));
      return graph.add(operator, inputs, attributes, outputs, domain)[origin.index];
    };
    const made = graph.scoped(origin.kind === "node" ? origin.node.scope : "", build);
    this.made.set(value, made);
    return made;
  }

  /** Whether a value follows by a few cheap nodes from what is kept. */
  private follows(value: Value): boolean {
    let nodes = 0;
    const depth = this.depths.get(value);
    // What was decided before is kept, or is computed again itself: then it has to be at hand at the same time.
    const isSource = (input: Value | undefined): boolean => {
      if (!input || !this.forward.has(input) || !this.isLarge(input) || this.kept.has(input)) return true;
      if (this.remade.has(input) && this.depths.get(input) !== depth) return false;
      return isCheap(input);
    };
    const isCheap = ({ origin }: Value): boolean =>
      origin.kind === "node" &&
      ++nodes <= longestChain &&
      !costly.test(origin.node.operator) &&
      origin.node.inputs.every(isSource);
    return isCheap(value);
  }

  private isLarge({ shape, origin }: Value): boolean {
    return origin.kind !== "constant" && shape.length > 0 && elementCount(shape) > this.smallest;
  }

  /** Whether a value depends on anything but constants, which are all there before a program runs. */
  private isComputed(value: Value): boolean {
    const { origin } = value;
    if (origin.kind !== "node") return origin.kind === "input";
    if (this.forward.has(value)) return true;
    const known = this.known.get(value);
    if (known !== undefined) return known;
    const computed = origin.node.inputs.some((input) => input !== undefined && this.isComputed(input));
    this.known.set(value, computed);
    return computed;
  }
}

export function bytesOf(values: readonly Value[]): number {
  return values.reduce((sum, { shape, type }) => sum + (elementCount(shape) * dataTypes[type].bits) / 8, 0);
}
