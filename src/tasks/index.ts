import { classification } from "./classification/classification.ts";

/** Every kind of problem, by the name that documents, records and written models know it by. */
export const tasks = { classification } as const;

type Kind = (typeof tasks)[keyof typeof tasks];
type Intersection<Union> = (Union extends unknown ? (each: Union) => void : never) extends (
  all: infer All,
) => void
  ? All
  : never;

export const taskNames = Object.keys(tasks) as [keyof typeof tasks];

/** The settings of all tasks. Tasks that share a name share the setting. */
export const taskSettings: Intersection<Kind["settings"]> = Object.assign(
  {},
  ...Object.values(tasks).map(({ settings }) => settings),
);
