import type { Value } from "../graph/graph.ts";
import { type DataType, dataTypes } from "../onnx/types.ts";
import { add, sub } from "../ops/arithmetic.ts";
import { cast } from "../ops/elementwise.ts";
import { plainBitShift, plainConvInteger } from "../ops/integers.ts";
import { apply } from "../ops/operator.ts";
import type { LoweringRule } from "./rule.ts";

// Integers that ONNX has an operator for and ONNX Runtime no kernel: computed in a wider type and taken back, which
// gives the same numbers.

const below32 = ["int8", "uint8", "int16", "uint16"] as const;
const unsigned = ["uint32", "uint64"] as const;

/** The types that ONNX Runtime lacks, by operator. */
const lacking: Readonly<Record<string, readonly DataType[]>> = {
  Max: ["int16", "uint16"],
  Min: ["int16", "uint16"],
  Clip: ["int16", "uint16"],
  Pad: ["int16", "uint16"],
  Relu: ["int16"],
  Where: ["int8", "int16", "uint16", ...unsigned],
  Trilu: [...below32, ...unsigned],
  CumSum: unsigned,
  ReduceSum: unsigned,
  ReduceProd: unsigned,
  ReduceL1: unsigned,
  ReduceSumSquare: unsigned,
  ReduceMax: unsigned,
  ReduceMin: unsigned,
  ArgMax: ["int16", "uint16", ...unsigned],
  ArgMin: ["int16", "uint16", ...unsigned],
  TopK: ["uint16", ...unsigned],
};

/** Operators for which it matters which number is larger. */
const ordering = new Set(["ReduceMax", "ReduceMin", "ArgMax", "ArgMin", "TopK"]);

export const integerRules: Readonly<Record<string, LoweringRule>> = {
  ConvInteger: (inputs, { attributes }) =>
    (inputs[3]?.shape[0] ?? 1) > 1 ? [plainConvInteger(inputs, attributes)] : undefined,
  ...Object.fromEntries(
    Object.entries(lacking).map(([operator, types]): [string, LoweringRule] => [
      operator,
      (inputs, node) => {
        const type = inputs.map((input) => input?.type).find((one) => one && types.includes(one));
        if (!type) return undefined;
        const shifts = type === "uint64" && ordering.has(operator);
        const wide = inputs.map((input) => (input?.type === type ? widen(input, shifts) : input));
        return apply(operator, wide, node.attributes, node.outputs.length).map((output, index) =>
          node.outputs[index].type === type ? narrow(output, type, shifts) : output,
        );
      },
    ]),
  ),
  // A bool is the byte 0 or 1.
  BitCast: ([x], { outputs: [y] }) =>
    x.type === "bool" || y.type === "bool" ? [cast(x, y.type)] : undefined,
  BitShift: ([x, y], { attributes }) =>
    ["uint8", "uint32", "uint64"].includes(x.type) ? undefined : [plainBitShift(x, y, attributes)],
};

/** In a type with a kernel. The largest uint64 are negative as int64: where the order matters all are moved by 2⁶³. */
function widen(x: Value, shifts: boolean): Value {
  const wide = cast(x, dataTypes[x.type].bits < 32 ? "int32" : "int64");
  return shifts ? add(wide, -(2 ** 63)) : wide;
}

function narrow(x: Value, type: DataType, shifts: boolean): Value {
  return cast(shifts ? sub(x, -(2 ** 63)) : x, type);
}
