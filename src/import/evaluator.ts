import type { Attributes } from "../graph/graph.ts";
import type { SmallTensor } from "./small-tensor.ts";

/** How an operator in the newest of its forms is computed here. */
export interface Evaluator {
  /** How many inputs it reads, and how many of them have to be given. */
  readonly inputs: readonly [least: number, most: number];
  /** The attributes that it heeds. A node with another one is not computed here. */
  readonly attributes: readonly string[];
  /**
   * The outputs, element for element what ONNX Runtime computes; undefined where they are not certain.
   * @throws UserError for what no runtime computes, such as an integer over zero
   */
  readonly evaluate: (
    inputs: readonly SmallTensor[],
    attributes: Attributes,
  ) => readonly SmallTensor[] | undefined;
}
