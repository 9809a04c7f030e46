import { InvalidArgumentError } from "commander";
import type * as z from "zod";
import type { DeclaredFlag, FlagInfo } from "../common/flags.ts";
import { isObject } from "../common/objects.ts";
import { type Kind, type Setting, settingOf } from "./setting.ts";
import { namedNumber, namedText, numberOption } from "./settings.ts";

// From a schema to flags: one for every setting that is not marked to have none.

/** A flag of the command line. */
export interface Flag extends Omit<DeclaredFlag, "read" | "value" | "example"> {
  read: NonNullable<DeclaredFlag["read"]>;
  /** Placeholder of its value; a switch has none. */
  value?: string;
  example?: string;
  /** Heading in the help. */
  group: string;
  /** Where its setting is in a document. */
  path: readonly string[];
  /** What it chooses from. */
  choices?: readonly (string | number)[];
  /** Whether it chooses one of the alternatives that its settings have. */
  chooses?: boolean;
  /** Whether it may be given several times. */
  repeated?: boolean;
  /** What its setting is when it is left out, as the help shows it. */
  byDefault?: string;
  /** Of a setting that only some alternatives have: these, with its default in each. */
  of: ReadonlyMap<string, string | undefined>;
  family?: FlagInfo["family"];
}

/** Where a setting is, and what it has of the settings around it. */
interface Place {
  path: readonly string[];
  name: string;
  group: string;
  /** Whether something else than flags chooses alternatives. */
  fixed: boolean;
}

/**
 * The flags of all settings of a schema, those that choose alternatives before those in them.
 * @throws Error for a setting that needs declared flags and has none, and for two flags of one name
 */
export function flagsOf(schema: z.core.$ZodType, group = "Settings"): Flag[] {
  const found = new Map<string, Flag>();
  for (const flag of walk(schema, { path: [], name: "", group, fixed: false })) {
    requireOneSetting(found.get(flag.name), flag);
    found.set(flag.name, flag);
  }
  // Settings go to the alternative that is chosen.
  const isChoice = ({ chooses = false }: Flag) => Number(chooses);
  return [...found.values()].sort((a, b) => isChoice(b) - isChoice(a));
}

function requireOneSetting(earlier: Flag | undefined, { name, path }: Flag): void {
  if (earlier) throw new Error(`--${name} is the flag of ${earlier.path.join(".")} and of ${path.join(".")}`);
}

function walk(schema: z.core.$ZodType, around: Place): Flag[] {
  const setting = settingOf(schema);
  const { info, kind } = setting;
  const place: Place = {
    path: around.path,
    name: info.name ?? around.name,
    group: info.group ?? around.group,
    fixed: around.fixed || info.only !== undefined,
  };
  if (info.flags === "none") return [];
  if (typeof info.flags === "object") {
    const { byDefault, ...plain } = plainFlag({ ...setting, description: undefined }, place);
    return info.flags.map((flag, index) => ({
      ...plain,
      ...(index === 0 && { byDefault }),
      read: numberOption,
      ...flag,
    }));
  }
  const inside = { ...place, name: info.prefix ?? place.name };
  switch (kind.type) {
    case "settings":
      return Object.entries(kind.shape).flatMap(([key, child]) => walk(child, within(inside, key)));
    case "alternatives": {
      const own = alternativeFlags(kind, inside, info.only);
      return place.fixed ? own : [choiceFlag(setting, kind, place), ...own];
    }
    case "fixed":
      return [];
    case "list":
      return info.flags === "each" ? walk(kind.element, inside) : [valueFlag(setting, place)];
    default:
      return [valueFlag(setting, place)];
  }
}

function within(place: Place, key: string): Place {
  const name = kebab(key);
  return {
    ...place,
    path: [...place.path, key],
    name: place.name === "" ? name : `${place.name}-${name}`,
  };
}

/** The flags of the settings that alternatives have, each once. */
function alternativeFlags(
  { discriminator, options }: Extract<Kind, { type: "alternatives" }>,
  place: Place,
  only: readonly string[] | undefined,
): Flag[] {
  const found = new Map<string, Flag>();
  for (const [alternative, option] of options) {
    const { kind } = settingOf(option);
    for (const [key, child] of Object.entries(kind.type === "settings" ? kind.shape : {})) {
      if (key === discriminator || only?.includes(key) === false) continue;
      for (const flag of walk(child, within(place, key))) {
        const earlier = found.get(flag.name);
        if (earlier?.path.join() !== flag.path.join()) requireOneSetting(earlier, flag);
        const of = flag.of.size > 0 ? flag.of : new Map([[alternative, flag.byDefault]]);
        const helps = new Set([...(earlier?.help.split("; ") ?? []), ...flag.help.split("; ")]);
        found.set(flag.name, {
          ...flag,
          help: [...helps].join("; "),
          of: new Map([...(earlier?.of ?? []), ...of]),
        });
      }
    }
  }
  return [...found.values()].map((flag) => {
    const defaults = new Set(flag.of.values());
    const isEverywhere = defaults.size === 1 && [...options.keys()].every((name) => flag.of.has(name));
    return isEverywhere ? { ...flag, byDefault: [...defaults][0], of: new Map() } : flag;
  });
}

/** The flag that chooses an alternative. */
function choiceFlag(
  setting: Setting,
  { discriminator, options }: Extract<Kind, { type: "alternatives" }>,
  place: Place,
): Flag {
  const { byDefault } = setting;
  return {
    ...plainFlag(setting, place),
    value: setting.info.value ?? "<name>",
    choices: [...options.keys()],
    chooses: true,
    byDefault: isObject(byDefault) ? shown(byDefault[discriminator], {}) : undefined,
  };
}

/** The flag of a setting that is one value. */
function valueFlag(setting: Setting, place: Place): Flag {
  const { value, ...form } = formOf(setting, place.path);
  return { ...plainFlag(setting, place), ...form, value: setting.info.value ?? value };
}

type Form = Pick<Flag, "read" | "value" | "choices" | "repeated">;

/** How a text becomes a value of a kind. */
function formOf({ kind, info, description = "" }: Setting, path: readonly string[]): Form {
  switch (kind.type) {
    case "switch":
      // A flag that is one has no text; an element of a list has.
      return { read: readSwitch };
    case "number":
      return { read: numberOption, value: "<n>" };
    case "text":
      return { read: asText, value: "<text>" };
    case "choices": {
      const { values: choices } = kind;
      const areNumbers = choices.every((choice) => typeof choice === "number");
      return {
        read: areNumbers ? numberOption : asText,
        value: areNumbers ? "<n>" : "<name>",
        // Unless the description names them all.
        ...(!choices.every((choice) => description.includes(`\`${choice}\``)) && { choices }),
      };
    }
    case "numbers-by-name":
      return { read: namedNumber, value: "<name=n>", repeated: true };
    case "texts-by-name":
      return { read: namedText, value: "<name=text>", repeated: true };
    case "list": {
      const element = settingOf(kind.element);
      const { read } = formOf(element, path);
      const list = info.list ?? (element.kind.type === "number" ? "commas" : "repeated");
      return list === "commas"
        ? { read: (text) => text.split(",").map((part) => read(part.trim(), undefined)), value: "<list>" }
        : {
            read: (text, earlier) => [...(Array.isArray(earlier) ? earlier : []), read(text, undefined)],
            value: "<text>",
            repeated: true,
          };
    }
    case "either": {
      const forms = kind.kinds.map((one) => formOf({ kind: one, info, description }, path));
      return {
        read: readEither(kind.kinds, forms),
        value: forms.find(({ value }) => value !== undefined)?.value ?? "<value>",
        choices: forms[0].choices,
        repeated: forms.some(({ repeated }) => repeated),
      };
    }
    case "fixed":
    case "settings":
    case "alternatives":
    case "other":
      throw new Error(
        `the setting ${path.join(".")} needs flags that are declared, or to be marked to have none`,
      );
    default:
      return kind satisfies never;
  }
}

const asText = (text: string) => text;

function readSwitch(text: string): boolean {
  if (text !== "true" && text !== "false") throw new InvalidArgumentError("It has to be true or false.");
  return text === "true";
}

/** A reader that takes what the first of several takes. */
function readEither(kinds: readonly Kind[], forms: readonly Form[]): Flag["read"] {
  return (text, earlier) => {
    const refusals: string[] = [];
    for (const [index, kind] of kinds.entries()) {
      if (kind.type === "choices" && !kind.values.map(String).includes(text)) {
        refusals.push(`one of ${kind.values.join(", ")}`);
        continue;
      }
      try {
        return forms[index].read(text, earlier);
      } catch (error) {
        if (!(error instanceof InvalidArgumentError)) throw error;
        refusals.push(error.message.replace(/^It has to be (.*)\.$/, "$1"));
      }
    }
    throw new InvalidArgumentError(`It has to be ${refusals.join(", or ")}.`);
  };
}

function plainFlag({ info, description, byDefault }: Setting, { name, path, group }: Place): Flag {
  return {
    name,
    path,
    group,
    help: info.help ?? helpOf(description),
    read: asText,
    put: info.setting ?? ((value) => value),
    byDefault: shown(byDefault, info) ?? leftOut.exec(description ?? "")?.[1].replaceAll("`", ""),
    of: new Map(),
    family: info.family,
  };
}

/** What a description says of a setting that is left out. */
const leftOut = / ?Left out: ([^.]+(?:\.\w[^.]*)*)\.?$/;

/** A description as a sentence fragment. */
function helpOf(description = ""): string {
  const text = description.replace(leftOut, "").replaceAll("`", "").replace(/\.$/, "");
  return /^[A-Z](?![A-Z])/.test(text) ? text[0].toLowerCase() + text.slice(1) : text;
}

/** A default as a person would write it; of settings their name. */
function shown(value: unknown, { shown: words }: FlagInfo): string | undefined {
  const plain = value === undefined || words === undefined ? value : words(value);
  if (Array.isArray(plain)) return plain.length > 0 ? plain.join(",") : undefined;
  if (isObject(plain)) return typeof plain.name === "string" ? plain.name : undefined;
  if (plain === true) return "on";
  return plain === undefined || plain === false ? undefined : String(plain);
}

function kebab(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The name that commander hands a flag's value over by. */
export function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}
