import type { Node, Value } from "../graph/graph.ts";
import { after } from "../ops/ordering.ts";

/** The order in which a gradient is computed: the same nodes, in less memory. */
export class GradientOrder {
  /** Forward values that depend on more than what is held. */
  private readonly ofData = new Set<Value>();
  private readonly hint: boolean;

  /**
   * @param nodes of the forward pass, in an order of execution
   * @param held values that the forward pass is given, such as weights
   * @param hint whether the order is of use only where it saves memory
   */
  constructor(nodes: readonly Node[], held: ReadonlyMap<Value, unknown>, hint: boolean) {
    this.hint = hint;
    const isOfData = (value: Value | undefined) =>
      value && !held.has(value) && (value.origin.kind === "input" || this.ofData.has(value));
    for (const { inputs, outputs } of nodes)
      if (inputs.some(isOfData)) for (const value of outputs) this.ofData.add(value);
  }

  /**
   * The gradients of a node's inputs, of which those that lead on wait for those that end there, which are of weights: these
   * read large values, which are then freed. Without, ONNX Runtime first goes all the way back and then computes them.
   * Gradients of vectors (biases, scales) are sums over what the one that leads on is computed from as well.
   */
  inOrder(inputs: readonly Value[], results: readonly (Value | undefined)[]): readonly (Value | undefined)[] {
    const { hint } = this;
    const ending = results.filter(
      (result, index) => result && result.shape.length > 1 && !this.ofData.has(inputs[index]),
    );
    return results.map((result, index) =>
      result && this.ofData.has(inputs[index])
        ? ending.reduce((made: Value, end) => (end ? after(made, end, { hint }) : made), result)
        : result,
    );
  }
}
