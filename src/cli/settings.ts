import { InvalidArgumentError } from "commander";
import { isObject } from "../common/objects.ts";

// Small things about flags and settings that are not checked yet.

/** Settings as a document holds them, not checked yet. */
export type Settings = Record<string, unknown>;

/** The entries that have a value. */
export function defined(values: Settings): Settings {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

export function numberOption(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError("It has to be a number.");
  return value;
}

/** `height=64` as an entry beside earlier ones. */
export function namedNumber(text: string, earlier: unknown): Settings {
  const [, name, number = ""] = /^(.+)=([^=]+)$/.exec(text) ?? [];
  if (name === undefined || number.trim() === "" || Number.isNaN(Number(number))) {
    throw new InvalidArgumentError("It has to be a name and a number, as in height=64.");
  }
  return { ...(isObject(earlier) ? earlier : {}), [name]: Number(number) };
}

/** `cat=#ff0000` as an entry beside earlier ones. */
export function namedText(text: string, earlier: unknown): Settings {
  const [, name, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined)
    throw new InvalidArgumentError("It has to be a name and a value, as in cat=#ff0000.");
  return { ...(isObject(earlier) ? earlier : {}), [name]: value };
}
