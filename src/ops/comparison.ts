import { describe, type TensorType, type Value } from "../graph/graph.ts";
import { binary, inferBroadcast, type Operand, sumToShape } from "./arithmetic.ts";
import { apply, broadcastShape, defineOperator, operatorError } from "./operator.ts";

for (const [operator, since] of [
  ["Greater", 13],
  ["GreaterOrEqual", 16],
  ["Less", 13],
  ["LessOrEqual", 16],
  ["Equal", 13],
  ["And", 7],
  ["Or", 7],
  ["Xor", 7],
] as const) {
  defineOperator(operator, { since, infer: inferBroadcast(operator, "bool"), gradient: "zero" });
}

defineOperator("Not", {
  since: 1,
  infer: ([x]) => [{ type: "bool", shape: x!.shape }],
  gradient: "zero",
});

for (const operator of ["IsNaN", "IsInf"]) {
  defineOperator(operator, {
    since: operator === "IsNaN" ? 13 : 10,
    infer: ([x]) => [{ type: "bool", shape: x!.shape }],
    gradient: "zero",
  });
}

defineOperator("Where", {
  since: 16,
  infer: ([condition, a, b]): TensorType[] => {
    if (condition!.type !== "bool") {
      throw operatorError("Where", condition!, `the condition has to be bool, got ${describe(condition!)}`);
    }
    if (a!.type !== b!.type) {
      throw operatorError("Where", a!, `the two sides differ in type: ${describe(a!)} and ${describe(b!)}`);
    }
    const shape = broadcastShape("Where", a!, b!);
    return [{ type: a!.type, shape: broadcastShape("Where", condition!, { ...a!, shape }) }];
  },
  gradient: ({ inputs: [condition, a, b], gradient, wanted }) => [
    undefined,
    wanted[1] ? sumToShape(where(condition, gradient, 0), a.shape) : undefined,
    wanted[2] ? sumToShape(where(condition, 0, gradient), b.shape) : undefined,
  ],
});

export const greater = (a: Operand, b: Operand): Value => binary("Greater", a, b);
export const greaterOrEqual = (a: Operand, b: Operand): Value => binary("GreaterOrEqual", a, b);
export const less = (a: Operand, b: Operand): Value => binary("Less", a, b);
export const lessOrEqual = (a: Operand, b: Operand): Value => binary("LessOrEqual", a, b);
export const equal = (a: Operand, b: Operand): Value => binary("Equal", a, b);
export const and = (a: Value, b: Value): Value => binary("And", a, b);
export const or = (a: Value, b: Value): Value => binary("Or", a, b);
export const xor = (a: Value, b: Value): Value => binary("Xor", a, b);
export const not = (x: Value): Value => apply("Not", [x])[0];

export const isNan = (x: Value): Value => apply("IsNaN", [x])[0];
/** Whether a number is infinite, of either sign. */
export const isInf = (x: Value): Value => apply("IsInf", [x])[0];

/** `a` where the condition holds, `b` elsewhere; all three are broadcast. At least one side is a tensor. */
export function where(condition: Value, a: Operand, b: Operand): Value {
  const some = typeof a === "number" ? b : a;
  if (typeof some === "number") throw new Error("where: one side has to be a tensor");
  const [left, right] = [a, b].map((side) =>
    typeof side === "number" ? some.graph.scalar(side, some.type) : side,
  );
  return apply("Where", [condition, left, right])[0];
}
