import { distance } from "fastest-levenshtein";
import * as z from "zod";
import { UserError } from "./errors.ts";
import { isObject } from "./objects.ts";

type Issue = z.core.$ZodIssue;

/**
 * Checks a document against a schema and returns it with every default filled in.
 * Throws `UserError` with one sentence about the first thing that is wrong: where, what was got, what was wanted.
 */
export function parse<T>(schema: z.ZodType<T>, document: unknown): T {
  const result = schema.safeParse(document, { reportInput: true });
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  // A misspelt key explains others that are missing, so it is reported first.
  const unknown = result.error.issues.find(({ code }) => code === "unrecognized_keys");
  throw new UserError(explain(unknown ?? issue, schema, document));
}

/** A schema that takes settings by earlier names too, unless a document has both. */
export function renamed<Schema extends z.ZodType>(
  schema: Schema,
  names: Readonly<Record<string, string>>,
): z.ZodType<z.output<Schema>, z.input<Schema>> {
  const current = (value: unknown) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    const taken = new Set(Object.keys(value));
    const nameOf = (key: string) => {
      const now = Object.hasOwn(names, key) ? names[key] : key;
      return taken.has(now) ? key : now;
    };
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [nameOf(key), one]));
  };
  return z.preprocess(current, schema) as z.ZodType<z.output<Schema>, z.input<Schema>>;
}

/**
 * A document with defaults for what it leaves out, at any depth of its settings. Of alternatives only the one that the
 * defaults choose has them.
 */
export function filledIn(schema: z.core.$ZodType, document: unknown, defaults: unknown): unknown {
  if (document === undefined) return defaults;
  const def = innermost(schema);
  const isChoice = def.type === "union" && "discriminator" in def;
  if (!isObject(document) || !isObject(defaults) || (def.type !== "object" && !isChoice)) return document;
  const chosen = isChoice ? String(def.discriminator) : undefined;
  if (chosen !== undefined && (document[chosen] ?? defaults[chosen]) !== defaults[chosen]) return document;
  const shape = def.type === "object" ? def.shape : {};
  const filled = Object.entries(defaults).map(([key, value]) => [
    key,
    key in shape ? filledIn(shape[key], document[key], value) : (document[key] ?? value),
  ]);
  return { ...document, ...Object.fromEntries(filled) };
}

/** The schema inside the layers that zod puts around it: of a pipe what a person writes. */
export function innerSchema(schema: z.core.$ZodType): z.core.$ZodType | undefined {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "default":
    case "prefault":
    case "optional":
    case "nullable":
      return def.innerType;
    case "pipe":
      // A preprocessed document is the output's.
      return (def.in as z.core.$ZodTypes)._zod.def.type === "transform" ? def.out : def.in;
    default:
      return undefined;
  }
}

function innermost(schema: z.core.$ZodType): z.core.$ZodTypes["_zod"]["def"] {
  const inner = innerSchema(schema);
  return inner ? innermost(inner) : (schema as z.core.$ZodTypes)._zod.def;
}

function explain(issue: Issue, schema: z.core.$ZodType, document: unknown): string {
  const what = issue.path.join(".") || "the configuration";
  // Of a setting by an earlier name the document has nothing at the path.
  const given = valueAt(document, issue.path) ?? (issue.code === "invalid_union" ? undefined : issue.input);
  const got = shown(given);
  switch (issue.code) {
    case "unrecognized_keys":
      return unknownKey(issue.keys[0], issue.path, schema, document);
    case "invalid_value":
      return `${what}: there is no ${got}; choose one of ${issue.values.join(", ")}`;
    case "invalid_union":
      return invalidUnion(issue, schema, document, what, got);
    case "too_small":
      if (issue.origin === "array") return `${what} is ${got}; it has to hold at least ${issue.minimum}`;
      return `${what} is ${got}; it has to be ${issue.inclusive ? "at least" : "more than"} ${issue.minimum}`;
    case "too_big":
      return `${what} is ${got}; it has to be ${issue.inclusive ? "at most" : "less than"} ${issue.maximum}`;
    case "invalid_type": {
      const wanted = `it has to be ${typeNames[issue.expected] ?? `of type ${issue.expected}`}`;
      return given === undefined ? `${what} is missing; ${wanted}` : `${what} is ${got}; ${wanted}`;
    }
    // What a schema's own check has to say is complete.
    case "custom":
      return `${what}: ${issue.message}`;
    default:
      return `${what} is ${got}: ${issue.message}`;
  }
}

const typeNames: Record<string, string> = {
  int: "a whole number",
  number: "a finite number",
  string: "a text",
  boolean: "true or false",
  object: "an object of settings",
  array: "a list",
};

function invalidUnion(
  issue: Extract<Issue, { code: "invalid_union" }>,
  schema: z.core.$ZodType,
  document: unknown,
  what: string,
  got: string,
): string {
  if (issue.discriminator !== undefined) {
    const choices = ("options" in issue ? (issue.options ?? []) : []).map(String).join(", ");
    return valueAt(document, issue.path) === undefined
      ? `${what} is missing; choose one of ${choices}`
      : `${what}: there is no ${got}; choose one of ${choices}`;
  }
  // Of the alternatives, the one that the value is of the right type for says best what is wrong with it.
  const fitting = issue.errors.find(([first]) => first.code !== "invalid_type" || first.path.length > 0);
  const nested = fitting?.find(({ code }) => code === "unrecognized_keys") ?? fitting?.[0];
  if (nested) return explain({ ...nested, path: [...issue.path, ...nested.path] } as Issue, schema, document);
  const wanted = issue.errors.flatMap(([first]) => ("expected" in first ? [typeNames[first.expected]] : []));
  const is = valueAt(document, issue.path) === undefined ? "is missing" : `is ${got}`;
  return `${what} ${is}; it has to be ${[...new Set(wanted)].join(" or ")}`;
}

function unknownKey(
  key: string,
  path: readonly PropertyKey[],
  schema: z.core.$ZodType,
  document: unknown,
): string {
  const known = [...new Set(keysAt(schema, path, document))];
  const [nearest] = [...known].sort((a, b) => distance(a, key) - distance(b, key));
  const place = path.length > 0 ? ` of ${path.join(".")}` : "";
  return `configuration key "${key}"${place} is not known; the nearest of the known ones (${known.join(", ")}) is "${nearest}"`;
}

/** The keys a schema knows at a path; of alternatives, those of the first the document's own name or method fits. */
function keysAt(schema: z.core.$ZodType, path: readonly PropertyKey[], value: unknown): string[] {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "default":
    case "prefault":
    case "optional":
      return keysAt(def.innerType, path, value);
    case "pipe":
      return keysAt(def.out, path, value);
    case "array":
      return keysAt(def.element, path.slice(1), valueAt(value, path.slice(0, 1)));
    case "object":
      if (path.length === 0) return Object.keys(def.shape);
      return keysAt(def.shape[String(path[0])], path.slice(1), valueAt(value, path.slice(0, 1)));
    case "union": {
      const fitting = def.options.find((option) => hasSameLiterals(option, value));
      return fitting
        ? keysAt(fitting, path, value)
        : def.options.flatMap((option) => keysAt(option, path, value));
    }
    default:
      return [];
  }
}

function hasSameLiterals(schema: z.core.$ZodType, value: unknown): boolean {
  const { def } = (schema as z.core.$ZodTypes)._zod;
  if (def.type !== "object") return false;
  const literals = Object.entries(def.shape).flatMap(([key, { _zod }]) => {
    const own = (_zod as z.core.$ZodTypes["_zod"]).def;
    return own.type === "literal" ? [[key, own.values] as const] : [];
  });
  return (
    literals.length > 0 && literals.every(([key, values]) => values.includes(valueAt(value, [key]) as string))
  );
}

/** A value as a reader would write it. JSON has no words for some numbers. */
function shown(value: unknown): string {
  return typeof value === "number" || typeof value === "bigint" ? String(value) : JSON.stringify(value);
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value);
}
