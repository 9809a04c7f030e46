import { tensorData } from "../graph/constants.ts";
import { intAttribute } from "../ops/operator.ts";
import type { ImportedNode } from "./adapter.ts";
import { without } from "./adapter.ts";

// What operators took as attributes before they took it as inputs, in one table. Opsets 6 and later.

/** The input an attribute became, and what it holds: int64 numbers, or one number of the first input's type. */
type Moved = readonly [attribute: string, input: number, kind: "ints" | "number"];

const reductionAxes: readonly Moved[] = [["axes", 1, "ints"]];

const moved: Readonly<Record<string, readonly Moved[]>> = {
  // opset 10
  Slice: [
    ["starts", 1, "ints"],
    ["ends", 2, "ints"],
    ["axes", 3, "ints"],
  ],
  TopK: [["k", 1, "ints"]],
  // opset 11
  Clip: [
    ["min", 1, "number"],
    ["max", 2, "number"],
  ],
  Pad: [
    ["pads", 1, "ints"],
    ["value", 2, "number"],
  ],
  // opset 12
  Dropout: [["ratio", 1, "number"]],
  // opset 13
  Split: [["split", 1, "ints"]],
  Squeeze: [["axes", 1, "ints"]],
  Unsqueeze: [["axes", 1, "ints"]],
  ReduceSum: reductionAxes,
  // opset 18
  ReduceL1: reductionAxes,
  ReduceL2: reductionAxes,
  ReduceLogSum: reductionAxes,
  ReduceLogSumExp: reductionAxes,
  ReduceMax: reductionAxes,
  ReduceMean: reductionAxes,
  ReduceMin: reductionAxes,
  ReduceProd: reductionAxes,
  ReduceSumSquare: reductionAxes,
};

/** The node in the newest of its forms as far as that is a matter of names and places. */
export function modernized(node: ImportedNode): ImportedNode {
  if (node.attributes.broadcast) {
    // Before opset 7. Without an axis it is the broadcasting of today.
    if (intAttribute(node.attributes, "broadcast", 0) === 1 && node.attributes.axis) {
      throw node.error(
        "broadcasting along an axis is from before opset 7; export the model with a newer one",
      );
    }
    return node.with({ attributes: without(node.attributes, "broadcast", "axis") });
  }
  if (node.operator === "Upsample" || (node.operator === "Resize" && node.opset < 11)) {
    const attributes = {
      ...without(node.attributes, "scales"),
      coordinate_transformation_mode: { string: "asymmetric" },
      nearest_mode: { string: "floor" },
    };
    // Opset 7 had the scales as an attribute.
    const stated = node.attributes.scales;
    const scales =
      stated && "floats" in stated
        ? node.graph.constant(tensorData(stated.floats, [stated.floats.length], "float32"))
        : node.inputs[1];
    return node.with({ operator: "Resize", inputs: [node.inputs[0], undefined, scales], attributes });
  }
  if (node.operator === "Scatter") return node.with({ operator: "ScatterElements" });
  const present = (moved[node.operator] ?? []).filter(
    ([attribute, input]) => node.attributes[attribute] !== undefined && node.inputs[input] === undefined,
  );
  if (present.length === 0) return node;
  const inputs = [...node.inputs];
  for (const [attribute, input, kind] of present) {
    const value = node.attributes[attribute];
    const values =
      "ints" in value ? value.ints : "int" in value ? [value.int] : "float" in value ? [value.float] : [];
    while (inputs.length < input) inputs.push(undefined);
    inputs[input] =
      kind === "ints" ? node.sizes(values) : node.graph.constant(tensorData(values, [], node.input(0).type));
  }
  return node.with({
    inputs,
    attributes: without(node.attributes, ...present.map(([attribute]) => attribute)),
  });
}
