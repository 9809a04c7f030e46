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

type Option = keyof GeneratedOptions;

const least: Readonly<Record<Option, number>> = { train: 1, test: 1, size: 32, seed: 0 };

/**
 * The options of a generated set, if a text names it, with options or without.
 * @throws UserError for an unknown option, or a value that is not a whole number or too small
 */
export function readGenerated(text: string, set: string): GeneratedOptions | undefined {
  const { name, options } = readNamedOptions(text);
  if (name !== set) return undefined;
  const read = ([option, value]: [string, string]) => {
    if (!isOption(option))
      throw new UserError(`${set} has no option "${option}"; it has ${Object.keys(least).join(", ")}`);
    const number = Number(value);
    if (value.trim() === "" || !Number.isSafeInteger(number) || number < least[option])
      throw new UserError(
        `${set}: ${option} is ${value === "" ? "missing its value" : value}; it has to be a whole number of at least ${least[option]}`,
      );
    return [option, number];
  };
  return Object.fromEntries(Object.entries(options).map(read));
}

/** Options with the defaults of a set for those that are absent or undefined. */
export function withDefaults(
  options: GeneratedOptions,
  defaults: Required<GeneratedOptions>,
): Required<GeneratedOptions> {
  const {
    train = defaults.train,
    test = defaults.test,
    size = defaults.size,
    seed = defaults.seed,
  } = options;
  return { train, test, size, seed };
}

function isOption(text: string): text is Option {
  return Object.hasOwn(least, text);
}
