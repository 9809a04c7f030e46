import { type Command, InvalidArgumentError } from "commander";
import { modelNames, modelsWithOptions } from "../nn/models.ts";

// Small things about flags and settings that are not checked yet.

/** Settings as a document holds them, not checked yet. */
export type Settings = Record<string, unknown>;

export const choices = (names: readonly string[]) => `one of ${names.join(", ")}`;

/** The flag for a network that is built by its name; the help has the options of networks at its end. */
export function addModelFlag(command: Command, byDefault?: string): Command {
  const otherwise = byDefault === undefined ? "" : ` (default: ${byDefault})`;
  return command
    .option("--model <name>", `network: ${choices(modelNames)}; options may follow a colon${otherwise}`)
    .addHelpText(
      "after",
      `\nNetworks with options, at their defaults:\n${modelsWithOptions()
        .map((text) => `  ${text}`)
        .join("\n")}`,
    );
}

/** Settings with others over them. What is no object of settings stays as it is, for the schema to say so. */
export function merged(settings: unknown, over: Settings): unknown {
  return settings === undefined || isObject(settings) ? { ...settings, ...over } : settings;
}

export function isObject(value: unknown): value is Settings {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The entries that have a value. */
export function defined(values: Settings): Settings {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

export function numberOption(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError("It has to be a number.");
  return value;
}
