import * as z from "zod";
import { type FlagInfo, flags } from "../common/flags.ts";
import { isObject } from "../common/objects.ts";
import { innerSchema } from "../common/schema.ts";

// A schema as the command line sees it: what is inside the layers that zod puts around it.

type Schema = z.core.$ZodType;

/** What a setting is. */
export type Kind =
  | { type: "number" | "text" | "switch" | "numbers-by-name" | "texts-by-name" }
  | { type: "choices"; values: readonly (string | number)[] }
  | { type: "list"; element: Schema }
  | { type: "settings"; shape: Readonly<Record<string, Schema>> }
  | { type: "alternatives"; discriminator: string; options: ReadonlyMap<string, Schema> }
  /** One value is possible. */
  | { type: "fixed"; value?: string | number }
  /** What a flag's value may be, the narrowest first. */
  | { type: "either"; kinds: readonly Kind[] }
  | { type: "other" };

export interface Setting {
  kind: Kind;
  info: FlagInfo;
  description?: string;
  /** What it is when it is left out, where the schema says so. */
  byDefault?: unknown;
}

/** What is known of a setting, whichever layer says it; an outer layer overrides an inner one. */
export function settingOf(schema: Schema, around: FlagInfo = {}): Setting {
  const info = { ...flags.get(schema), ...around };
  const description = z.globalRegistry.get(schema)?.description;
  const inner = innerSchema(schema);
  if (inner === undefined) return { kind: kindOf(schema, info), info, description };
  const setting = settingOf(inner, info);
  return {
    ...setting,
    description: description ?? setting.description,
    byDefault: defaultOf(schema) ?? setting.byDefault,
  };
}

function definition(schema: Schema) {
  return (schema as z.core.$ZodTypes)._zod.def;
}

function defaultOf(schema: Schema): unknown {
  const def = definition(schema);
  return def.type === "default" || def.type === "prefault" ? def.defaultValue : undefined;
}

function kindOf(schema: Schema, info: FlagInfo): Kind {
  const def = definition(schema);
  switch (def.type) {
    case "number":
      return { type: "number" };
    case "string":
      return { type: "text" };
    case "boolean":
      return { type: "switch" };
    case "record":
      return { type: definition(def.valueType).type === "string" ? "texts-by-name" : "numbers-by-name" };
    case "enum":
      return { type: "choices", values: Object.values(def.entries) };
    case "array":
      return { type: "list", element: def.element };
    case "object":
      return { type: "settings", shape: def.shape };
    case "literal":
      return { type: "fixed", value: literalsOf(schema)[0] };
    case "union":
      return unionKind(def, info);
    default:
      return { type: "other" };
  }
}

function unionKind(def: z.core.$ZodUnionDef | z.core.$ZodDiscriminatedUnionDef, info: FlagInfo): Kind {
  if ("discriminator" in def) {
    const { discriminator } = def;
    const options = def.options.flatMap((option) =>
      literalsOf(shapeOf(option)[discriminator]).map((name) => [String(name), option] as const),
    );
    return { type: "alternatives", discriminator, options: new Map(options) };
  }
  const kinds = def.options.map((option) => settingOf(option).kind);
  if (info.text !== undefined) return kinds.find(({ type }) => type === "settings") ?? { type: "other" };
  const values = kinds.flatMap((kind) =>
    kind.type === "choices" ? kind.values : kind.type === "fixed" ? (kind.value ?? []) : [],
  );
  const possible = [
    ...(values.length > 0 ? [{ type: "choices", values } as const] : []),
    ...narrowestFirst.flatMap((type) => kinds.filter((kind) => kind.type === type)),
  ];
  if (possible.length === 0) return { type: "other" };
  return possible.length === 1 ? possible[0] : { type: "either", kinds: possible };
}

/** Of kinds that a text may be, beside a choice. */
const narrowestFirst = ["number", "numbers-by-name", "switch", "list", "text"] as const;

function shapeOf(schema: Schema): Readonly<Record<string, Schema>> {
  const { kind } = settingOf(schema);
  return kind.type === "settings" ? kind.shape : {};
}

/** The values of a literal. */
function literalsOf(schema: Schema | undefined): (string | number)[] {
  if (schema === undefined) return [];
  const inner = innerSchema(schema);
  if (inner) return literalsOf(inner);
  const def = definition(schema);
  return def.type === "literal"
    ? def.values.filter((value) => typeof value === "string" || typeof value === "number")
    : [];
}

/** The name of the alternative that is in force: the document's, or the default one. */
export function chosenIn(setting: unknown, discriminator: string, byDefault: unknown): string | undefined {
  const named = isObject(setting) ? setting[discriminator] : undefined;
  const chosen = named ?? (isObject(byDefault) ? byDefault[discriminator] : undefined);
  return chosen === undefined ? undefined : String(chosen);
}
