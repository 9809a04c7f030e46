import type { TrainOptions } from "../index.web.ts";

/** The optimizers that the page compares, in the order of its table and colors. */
export const methods = [
  { name: "sgd", label: "SGD", note: "1 gradient a step", optimizer: { method: "sgd" } },
  {
    name: "sam-0.05",
    label: "SAM, ρ 0.05",
    note: "2 gradients a step",
    optimizer: { method: "sam", rho: 0.05 },
  },
  {
    name: "sam-0.1",
    label: "SAM, ρ 0.1",
    note: "2 gradients, bilateral SAM's total radius",
    optimizer: { method: "sam", rho: 0.1 },
  },
  {
    name: "bilateral-sam",
    label: "bilateral SAM",
    note: "3 gradients a step",
    optimizer: { method: "bilateral-sam" },
  },
] as const satisfies readonly {
  name: string;
  label: string;
  note: string;
  optimizer: TrainOptions["optimizer"];
}[];

export type MethodName = (typeof methods)[number]["name"];
