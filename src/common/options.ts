import { distance } from "fastest-levenshtein";
import { UserError } from "./errors.ts";

// Options of functions: an option that does not exist, or a value of the wrong kind, is refused instead of ignored.

/** The kind that an option's type makes it; a union, which the function checks itself, is `"any"`. */
type Kind<T> = [T] extends [boolean]
  ? "boolean"
  : [T] extends [number]
    ? "number"
    : [T] extends [string]
      ? string extends T
        ? "text"
        : readonly T[]
      : [T] extends [(...parameters: never) => unknown]
        ? "function"
        : [T] extends [readonly unknown[]]
          ? "list"
          : [T] extends [object]
            ? "object"
            : "any";

/** The kind of every option of a type. A choice of texts is the list of them. */
export type OptionKinds<Options> = {
  readonly [Name in keyof Options]-?: Kind<Exclude<Options[Name], undefined>>;
};

/**
 * Returns a function's options after checking them. `kinds` has to have exactly the names of the options' type, so an
 * option cannot be added to one of the two alone.
 *
 * ```ts
 * const { rho = 0.05 } = readOptions("sam", options, { rho: "any" });
 * ```
 * @throws UserError naming the function and the nearest known option, or the value and the kind it has to be
 */
export function readOptions<Options extends object>(
  of: string,
  options: Options,
  kinds: OptionKinds<NoInfer<Options>>,
): Options {
  requireKnownOptions(of, options, Object.keys(kinds));
  for (const [name, kind] of Object.entries(kinds) as [keyof Options & string, AnyKind][]) {
    const value = options[name];
    if (value === undefined || isOfKind(value, kind)) continue;
    throw new UserError(`${of}: ${name} is ${shown(value)}; ${wanted(kind)}`);
  }
  return options;
}

/**
 * Refuses options of other names, for functions whose options are not all in one type.
 * @throws UserError naming the function and the nearest known option
 */
export function requireKnownOptions(of: string, options: object, known: readonly string[]): void {
  if (!isOfKind(options, "object")) {
    throw new UserError(`${of}: the options are ${shown(options)}; they have to be one object`);
  }
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const near = nearest(unknown, known);
  const help = near === undefined ? `the options are ${known.join(", ")}` : `did you mean "${near}"?`;
  throw new UserError(`${of}: there is no option "${unknown}"; ${help}`);
}

/** The known name that a name is a misspelling of, if it resembles one. */
function nearest(name: string, known: readonly string[]): string | undefined {
  const given = name.toLowerCase();
  const [first] = known
    .map((one) => ({ one, cost: distance(one.toLowerCase(), given) }))
    .sort((a, b) => a.cost - b.cost);
  if (first === undefined) return undefined;
  const { one, cost } = first;
  const contained = Math.min(one.length, name.length) > 2 && cost === Math.abs(one.length - name.length);
  return contained || cost <= Math.max(one.length, name.length) / 2 ? one : undefined;
}

type AnyKind = "boolean" | "number" | "text" | "function" | "list" | "object" | "any" | readonly string[];

function isOfKind(value: unknown, kind: AnyKind): boolean {
  switch (kind) {
    case "any":
      return true;
    case "number":
      return typeof value === "number" && !Number.isNaN(value);
    case "boolean":
    case "function":
      return typeof value === kind;
    case "text":
      return typeof value === "string";
    case "list":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    default:
      kind satisfies readonly string[];
      return kind.includes(value as string);
  }
}

const kindNames: Record<Exclude<AnyKind, readonly string[]>, string> = {
  boolean: "true or false",
  number: "a number",
  text: "a text",
  function: "a function",
  list: "a list",
  object: "an object",
  any: "anything",
};

function wanted(kind: AnyKind): string {
  return typeof kind === "string" ? `it has to be ${kindNames[kind]}` : `choose one of ${kind.join(", ")}`;
}

/** A value in a few words. */
function shown(value: unknown): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "object":
      return value === null ? "null" : Array.isArray(value) ? "a list" : "an object";
    case "function":
      return "a function";
    default:
      return String(value);
  }
}
