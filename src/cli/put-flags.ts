import type * as z from "zod";
import { UserError } from "../common/errors.ts";
import { isObject } from "../common/objects.ts";
import { parse } from "../common/schema.ts";
import { camelCase, type Flag, flagsOf } from "./flags.ts";
import { chosenIn, type Kind, type Setting, settingOf } from "./setting.ts";
import { defined, type Settings } from "./settings.ts";

type Schema = z.core.$ZodType;
type Alternatives = Extract<Kind, { type: "alternatives" }>;

/**
 * A document with the flags' settings in place of its own. What is no object of settings stays as it is, for the schema
 * to refuse.
 * @throws UserError for a flag that the chosen alternative has no setting for
 */
export function putFlags(
  schema: Schema,
  document: Settings,
  given: Settings,
  flags: readonly Flag[] = flagsOf(schema),
): Settings {
  return flags.reduce<Settings>((settings, flag) => {
    const value = given[camelCase(flag.name)];
    if (value === undefined) return settings;
    return put({ schema, path: flag.path, setting: settings }, { flag, value, flags }) as Settings;
  }, document);
}

/** What flags alone say, each checked by its own setting. */
export function settingsOf<Shape extends z.ZodRawShape>(
  schema: z.ZodObject<Shape, z.core.$strict>,
  given: Settings,
): Partial<z.infer<z.ZodObject<Shape>>> {
  const settings = putFlags(schema, {}, given);
  const mask = Object.fromEntries(Object.keys(settings).map((key) => [key, true]));
  return parse(schema.pick(mask as never), settings) as Partial<z.infer<z.ZodObject<Shape>>>;
}

interface At {
  schema: Schema;
  /** The way left to go. */
  path: readonly string[];
  /** What the document has here. */
  setting: unknown;
}

interface Given {
  flag: Flag;
  value: unknown;
  /** The flags it may be confused with. */
  flags: readonly Flag[];
}

function put({ schema, path, setting }: At, given: Given): unknown {
  const here = settingOf(schema);
  const { kind, info } = here;
  if (path.length === 0) {
    return given.flag.chooses ? choose(here, setting, given.value) : given.flag.put(given.value, setting);
  }
  if (kind.type === "list") {
    if (!Array.isArray(setting)) return setting;
    return setting.map((element) => put({ schema: kind.element, path, setting: element }, given));
  }
  const settings =
    info.text !== undefined && typeof setting === "string" ? { [info.text]: setting } : setting;
  if (settings !== undefined && !isObject(settings)) return settings;
  if (kind.type === "settings") return putInside(kind.shape, path, settings, given);
  if (kind.type !== "alternatives") throw new Error(`there is no setting ${given.flag.path.join(".")}`);
  const chosen = chosenIn(settings, kind.discriminator, here.byDefault);
  // Settings of no alternative, or of one that is not there, are the schema's to refuse.
  if (chosen === undefined) return { ...settings, [path[0]]: given.value };
  const alternative = kind.options.get(chosen);
  if (alternative === undefined) return settings;
  if (!has(alternative, path, given.flag)) throw refusal(kind, chosen, path, given);
  const inside = putInside(shapeOf(alternative), path, settings, given);
  return { [kind.discriminator]: chosen, ...inside };
}

function putInside(
  shape: Readonly<Record<string, Schema>>,
  [key, ...path]: readonly string[],
  settings: Settings | undefined,
  given: Given,
): Settings {
  return defined({
    ...settings,
    [key]: put({ schema: shape[key], path, setting: settings?.[key] }, given),
  });
}

/** Settings of another alternative: only what is marked as kept stays. */
function choose({ kind, byDefault }: Setting, setting: unknown, value: unknown): unknown {
  if (kind.type !== "alternatives" || (setting !== undefined && !isObject(setting))) return setting;
  const { discriminator, options } = kind;
  const alternative = options.get(String(value));
  const isSame = value === chosenIn(setting, discriminator, byDefault);
  const shape = alternative ? shapeOf(alternative) : {};
  const kept = Object.entries(setting ?? {}).filter(
    ([key]) => isSame || (Object.hasOwn(shape, key) && settingOf(shape[key]).info.kept),
  );
  return { ...Object.fromEntries(kept), [discriminator]: value };
}

function shapeOf(schema: Schema): Readonly<Record<string, Schema>> {
  const { kind } = settingOf(schema);
  return kind.type === "settings" ? kind.shape : {};
}

/** Whether a schema has a flag's setting at the end of a path. */
function has(schema: Schema, [key, ...path]: readonly string[], flag: Flag): boolean {
  const { kind } = settingOf(schema);
  if (key === undefined) return !flag.chooses || kind.type === "alternatives";
  switch (kind.type) {
    case "settings":
      return Object.hasOwn(kind.shape, key) && has(kind.shape[key], path, flag);
    case "alternatives":
      return [...kind.options.values()].some((option) => has(option, [key, ...path], flag));
    default:
      return false;
  }
}

function refusal(
  { options }: Alternatives,
  chosen: string,
  path: readonly string[],
  given: Given,
): UserError {
  const { flag, flags } = given;
  const namesWith = (one: Flag, way: readonly string[]) =>
    [...options].filter(([, option]) => has(option, way, one)).map(([name]) => name);
  const others = namesWith(flag, path);
  // Where these settings begin in a document.
  const depth = flag.path.length - path.length;
  const siblings = flags.filter(
    (one) => one.family === flag.family && namesWith(one, one.path.slice(depth)).includes(chosen),
  );
  if (flag.family && siblings.length > 0) {
    const [one, several] = flag.family;
    const names = siblings.map(({ name }) => `--${name}`).join(" and ");
    const own = siblings.length > 1 ? `the ${several} are ${names}` : `the ${one} is ${names}`;
    return new UserError(`${chosen}: ${own}; --${flag.name} is for ${others.join(", ")}`);
  }
  const choice = flags.find(
    ({ chooses, path: place }) => chooses && place.length === depth && startsWith(flag.path, place),
  );
  const advice = choice ? `choose --${choice.name} ${others.join(" or ")}` : `it is for ${others.join(", ")}`;
  return new UserError(`--${flag.name} has no meaning for ${chosen}; ${advice}`);
}

function startsWith(path: readonly string[], place: readonly string[]): boolean {
  return place.every((key, index) => path[index] === key);
}
