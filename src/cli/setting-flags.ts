import { type Command, Option } from "commander";
import { modelsWithOptions } from "../nn/models.ts";
import { figuresSchema } from "../paper/configuration.ts";
import { comparisonSchema, runSchema } from "../runs/configuration.ts";
import { importedModel } from "../runs/network-settings.ts";
import { type Flag, flagsOf } from "./flags.ts";
import type { Settings } from "./settings.ts";

// The flags that commands share.

/** Those of a run, of a comparison's runs alike, of the paper's figures, and of a model that comes as a file. */
export const runFlags = flagsOf(runSchema);
export const comparisonFlags = flagsOf(comparisonSchema);
export const figuresFlags = flagsOf(figuresSchema);
export const importFlags = flagsOf(importedModel, "Network");

/** How a file takes images, for commands that look at it as it is; and how it is trained. */
export const fileSettings = importedModel.pick({ normalization: true, output: true, dimensions: true });
export const loadSettings = importedModel.pick({
  frozen: true,
  trainable: true,
  batchNormalization: true,
  dropout: true,
  dimensions: true,
});

/** How picture files become images. */
export const imageFlags = flagsFor(runFlags, "images");

/** The flags of some settings of a document, by their paths, with dots, and of the settings in them. */
export function flagsFor(flags: readonly Flag[], ...settings: readonly string[]): Flag[] {
  return flags.filter(({ path }) =>
    settings.some((setting) => `${path.join(".")}.`.startsWith(`${setting}.`)),
  );
}

/** The flags of all but some of the settings at the top of a document. */
export function flagsBut(flags: readonly Flag[], ...settings: readonly string[]): Flag[] {
  return flags.filter(({ path: [setting] }) => !settings.includes(setting));
}

/** The flags whose names no others have: of two flags of one name a command can have one. */
export function flagsBeside(flags: readonly Flag[], others: readonly Flag[]): Flag[] {
  const taken = new Set(others.map(({ name }) => name));
  return flags.filter(({ name }) => !taken.has(name));
}

/** Flags as commander hands them over: those of settings with others beside them. */
export type SettingFlags = Settings;

/** What is no setting of a run: where things are read from and written to. */
export interface PlaceFlags {
  config?: string;
  dataDir?: string;
  out?: string;
  overwrite?: boolean;
  resume?: boolean;
  json?: boolean;
  dryRun?: boolean;
}

export function addPlaceFlags(command: Command): Command {
  return command
    .option("--config <file>", "JSON file with the settings; flags override it")
    .option("--data-dir <folder>", "folder with the named data set's files")
    .option("--out <folder>", "folder to write to (default: a new one below runs/)")
    .addOption(new Option("--overwrite", "replace what is in the folder").conflicts("resume"))
    .option("--resume", "continue the run in the folder from its last epoch")
    .option("--json", "print the summary as JSON and nothing else on standard output");
}

/** The flag of commands that can say what they would cost. */
export function dryRunFlag(): Option {
  return new Option(
    "--dry-run",
    "train and write nothing: measure three steps and print what it would take (steps, gradients, FLOPs, time, memory, disk)",
  ).conflicts("resume");
}

/** The options of networks, for the end of the help of commands that build one by its name. */
export function networkHelp(): string {
  const lines = modelsWithOptions().map((text) => `  ${text}`);
  return ["", "Networks with options, at their defaults:", ...lines].join("\n");
}
