import * as z from "zod";

// What the command line needs to know of a setting beside its schema. A setting without an entry has the flag that its
// path, type, default and description make.

/** A flag whose value is not simply the setting. */
export interface DeclaredFlag {
  /** Without the dashes. */
  name: string;
  /** Placeholder of its value, as `<epochs>`; in brackets when it may be left out, which reads as `true`. */
  value: string;
  /** A sentence fragment. */
  help: string;
  /**
   * The value of a text. Default: a number.
   * @param earlier what the same flag gave before, of a flag that is repeated
   * @throws UserError that begins with "it has to be"
   */
  read?: (text: string, earlier: unknown) => unknown;
  /** The setting, as a document has it, after the flag. Nothing: the setting is left out. */
  put: (value: unknown, setting: unknown) => unknown;
  /** Flags that it cannot be together with. */
  conflicts?: readonly string[];
  /** A value that the schema accepts, for tests and readers. */
  example: string;
}

export interface FlagInfo {
  /** `none`: set in documents only; `each`: a list whose objects all get the flags; or flags in place of the derived one. */
  flags?: "none" | "each" | readonly DeclaredFlag[];
  /** Default: the names of the settings around it and its own, with dashes. */
  name?: string;
  /** Of a setting with settings in it: what their flags' names begin with, `""` for nothing. Default: its own name. */
  prefix?: string;
  /** Placeholder of the value. */
  value?: string;
  /** Heading in the help. Default: that of the settings around it. */
  group?: string;
  /** What the help says in place of the description. */
  help?: string;
  /** The setting that a flag's value makes. Default: the value itself. */
  setting?: (value: unknown) => unknown;
  /** The value that the help shows for a default. */
  shown?: (setting: unknown) => unknown;
  /** Of a list: whether the flag is repeated or its value holds commas. Default: texts are repeated, numbers have commas. */
  list?: "repeated" | "commas";
  /** Of settings for which a text stands too: the setting that the text is. */
  text?: string;
  /** Of alternatives that flags do not choose from: those settings in them that have flags. */
  only?: readonly string[];
  /** Stays in the document when a flag chooses another alternative. */
  kept?: boolean;
  /** Singular and plural of what several alternatives have under different names, for refusals. */
  family?: readonly [one: string, several: string];
}

/**
 * The entries: `schema.register(flags, { … })`. An entry belongs to the object it is registered on, so register last,
 * after `.describe()` and `.default()` have made the schema the setting's own.
 */
export const flags = z.registry<FlagInfo>();
