import { UserError } from "../common/errors.ts";
import type { DeclaredFlag } from "../common/flags.ts";
import { readNamedOptions } from "../common/named-options.ts";

// Flags that say a setting in fewer words than a document does.

/** `step:epochs=30,gamma=0.2`, and a warm-up before it. */
export function scheduleFlags(names: readonly string[]): readonly DeclaredFlag[] {
  return [
    {
      name: "schedule",
      value: "<name>",
      help: `how the learning rate changes: one of ${names.join(", ")}; settings follow a colon, as in step:epochs=30,gamma=0.2`,
      read: namedNumbers,
      put: (schedule) => schedule,
      example: "step:epochs=3,gamma=0.2",
    },
    {
      name: "warm-up",
      value: "<epochs>",
      help: "increase the learning rate linearly from almost 0 first; 0: no warm-up",
      put: (epochs, schedule) => {
        const after = isWarmUp(schedule) ? schedule.after : schedule;
        if (epochs === 0) return after;
        return { name: "warm-up", epochs, ...(after !== undefined && { after }) };
      },
      example: "2",
    },
  ];
}

function isWarmUp(schedule: unknown): schedule is { after?: unknown } {
  return (
    typeof schedule === "object" && schedule !== null && "name" in schedule && schedule.name === "warm-up"
  );
}

export const averagingFlags: readonly DeclaredFlag[] = [
  {
    name: "ema",
    value: "[decay]",
    help: "keep a second network, the exponential moving average of the weights (decay: 0.999)",
    put: (decay) => ({ name: "exponential", ...(decay !== true && { decay }) }),
    conflicts: ["swa"],
    example: "0.9",
  },
  {
    name: "swa",
    value: "[share]",
    help: "keep a second network, the mean of the weights of every epoch after this share of training (0.75)",
    put: (startingAt) => ({ name: "stochastic", ...(startingAt !== true && { startingAt }) }),
    example: "0.5",
  },
];

export const groupFlags: readonly DeclaredFlag[] = [
  {
    name: "learning-rate-factor",
    value: "<names=factor>",
    help: "multiply the learning rate of some parameters, e.g. 'backbone.*=0.1' (may be repeated)",
    read: (text, earlier) => {
      const [, names, factor] = /^(.+)=([^=]+)$/.exec(text) ?? [];
      const learningRate = Number(factor);
      if (names === undefined || Number.isNaN(learningRate)) {
        throw new UserError("it has to be a pattern and a factor, as in backbone.*=0.1");
      }
      return [...(Array.isArray(earlier) ? earlier : []), { names, learningRate }];
    },
    // What is no list is the schema's to refuse.
    put: (added, groups = []) =>
      Array.isArray(groups) && Array.isArray(added) ? [...groups, ...added] : groups,
    example: "fc.*=0.1",
  },
  {
    name: "frozen",
    value: "<pattern>",
    help: "parameters that keep their values, e.g. 'backbone.*' (may be repeated)",
    read: (text, earlier) => [...(Array.isArray(earlier) ? earlier : []), text],
    put: (patterns, groups = []) =>
      Array.isArray(groups)
        ? [...groups, ...[patterns].flat().map((names) => ({ names, frozen: true }))]
        : groups,
    example: "fc.*",
  },
];

function namedNumbers(text: string): Record<string, unknown> {
  const { name, options } = readNamedOptions(text);
  const numbers = Object.entries(options).map(([key, value]) => [key, Number(value || Number.NaN)] as const);
  if (numbers.some(([, value]) => Number.isNaN(value))) {
    throw new UserError("it has to be a name and numbers, as in step:epochs=30,gamma=0.2");
  }
  return { name, ...Object.fromEntries(numbers) };
}
