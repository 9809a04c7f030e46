import { UserError } from "../common/errors.ts";
import { readNamedOptions } from "../common/named-options.ts";

// Options of generated sets, which follow the name: `people:train=100000,seed=2`. All are whole numbers.

/** How many samples a generated set has, of which size, and which ones. */
export interface GeneratedOptions {
  /** Training samples. */
  train?: number;
  /** Test samples. */
  test?: number;
  /** Height and width of a picture in pixels. */
  size?: number;
  /** Other seeds give other pictures. */
  seed?: number;
}

const common = { train: 1, test: 1, size: 32, seed: 0 } as const satisfies Record<
  keyof GeneratedOptions,
  number
>;

/** The options of each generated set, with their least values. */
const leastValues = {
  people: common,
  wardrobe: { ...common, garments: 1, turn: 0, smallest: 1, largest: 1 },
} as const;

type GeneratedSet = keyof typeof leastValues;

/**
 * The options of a generated set, if a text names it, with options or without: `people:train=100000,seed=2`.
 * @throws UserError for an unknown option, or a value that is not a whole number or too small
 */
export function readGenerated<Name extends GeneratedSet>(
  text: string,
  set: Name,
): { [Option in keyof (typeof leastValues)[Name]]?: number } | undefined {
  const { name, options } = readNamedOptions(text);
  if (name !== set) return undefined;
  const least: Readonly<Record<string, number>> = leastValues[set];
  const read = ([option, value]: [string, string]) => {
    if (!Object.hasOwn(least, option))
      throw new UserError(`${set} has no option "${option}"; it has ${Object.keys(least).join(", ")}`);
    const number = Number(value);
    if (value.trim() === "" || !Number.isSafeInteger(number) || number < least[option])
      throw new UserError(
        `${set}: ${option} is ${value === "" ? "missing its value" : value}; it has to be a whole number of at least ${least[option]}`,
      );
    return [option, number];
  };
  return Object.fromEntries(Object.entries(options).map(read)) as ReturnType<typeof readGenerated<Name>>;
}

/** Options with the defaults of a set for those that are absent or undefined. */
export function withDefaults<All extends Readonly<Record<string, number>>>(
  options: { [Option in keyof All]?: number },
  defaults: All,
): Record<keyof All, number> {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaults, ...Object.fromEntries(given) };
}
