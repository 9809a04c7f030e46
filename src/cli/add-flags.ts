import { type Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../common/errors.ts";
import { isObject } from "../common/objects.ts";
import type { Flag } from "./flags.ts";
import type { Settings } from "./settings.ts";

/**
 * Adds flags to a command.
 * @param defaults settings of the command's own, which the help shows in place of the schema's; `unknown`: a document
 *   that the command reads has them, so the help shows none
 */
export function addFlags(
  command: Command,
  flags: readonly Flag[],
  defaults: Settings | "unknown" = {},
): Command {
  for (const flag of [...flags].sort((a, b) => rank(a) - rank(b))) {
    const { name, value, group, conflicts } = flag;
    const help = `${flag.help}${aside(defaults === "unknown" ? withoutDefaults(flag) : withDefaults(flag, defaults))}`;
    const option = new Option(value === undefined ? `--${name}` : `--${name} ${value}`, help)
      .helpGroup(`${group}:`)
      .conflicts([...(conflicts ?? [])]);
    if (value === undefined) {
      // In this order there is no value without either.
      command.addOption(option).addOption(new Option(`--no-${name}`).hideHelp());
      option.flags = `--[no-]${name}`;
    } else command.addOption(option.argParser(reading(flag)));
  }
  return command;
}

/** The order of what the help shows. */
const groups = ["Network", "Data", "Training", "Training step", "Optimizer"];

function rank({ group }: Flag): number {
  return groups.includes(group) ? groups.indexOf(group) : groups.length;
}

/** commander wants its own error, and sentences. */
function reading({ read }: Flag) {
  return (text: string, earlier: unknown) => {
    try {
      return read(text, earlier);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new InvalidArgumentError(`${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
    }
  };
}

function withDefaults(flag: Flag, defaults: Settings): Flag {
  const own = flag.path.reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), defaults);
  return own === undefined ? flag : { ...flag, byDefault: String(own) };
}

function withoutDefaults(flag: Flag): Flag {
  return { ...flag, byDefault: undefined, of: new Map([...flag.of.keys()].map((name) => [name, undefined])) };
}

/** What it chooses from, which alternatives have it, and what it is when it is left out. */
function aside({ choices, repeated, of, byDefault }: Flag): string {
  const defaults = [...of].filter(([, value]) => value !== undefined);
  const first = of.size > 0 ? defaults[0]?.[1] : byDefault;
  const alike = defaults.length === of.size && defaults.every(([, value]) => value === first);
  const parts = [
    ...(of.size > 0 && (alike || defaults.length === 0) ? [[...of.keys()].join(", ")] : []),
    ...(choices ? [`one of ${choices.join(", ")}`] : []),
    ...(repeated ? ["may be repeated"] : []),
    ...(alike && first !== undefined ? [`default: ${first}`] : []),
    ...(!alike && defaults.length > 0
      ? [`default: ${defaults.map((pair) => pair.join(" ")).join(", ")}`]
      : []),
  ];
  return parts.length > 0 ? ` (${parts.join("; ")})` : "";
}
