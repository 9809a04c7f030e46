import { type Command, InvalidArgumentError, Option } from "commander";
import type { LoadModelOptions } from "../import/load.ts";
import type { FileSettings } from "../runs/network.ts";
import { type Normalization, normalizations } from "../tasks/image-input.ts";
import { defined, type Settings } from "./settings.ts";

// The flags about a model that comes as a file.

export interface ImportFlags {
  dimension?: Record<string, number>;
  trainable?: string[];
  frozen?: string[];
  batchNorm?: "batch" | "frozen";
  dropout?: boolean;
  output?: string;
}

export function addImportFlags(command: Command): Command {
  return command
    .option(
      "--frozen <pattern>",
      "parameters that keep their values, e.g. 'backbone.*'; may be repeated",
      collect,
    )
    .option(
      "--trainable <pattern>",
      "tensors that train, in place of all that lowland inspect lists as trained; may be repeated",
      collect,
    )
    .option(
      "--batch-norm <mode>",
      "batch: normalise by each batch and update the running statistics; frozen: as in inference (default: batch)",
      batchNormMode,
    )
    .option("--no-dropout", "let Dropout drop nothing")
    .option("--output <name>", "output with the logits, where the model has several")
    .addOption(dimensionOption());
}

/** The flags about how a file takes images, for commands that look at it as it is. */
export interface FileFlags {
  normalization?: Normalization;
  output?: string;
  dimension?: Record<string, number>;
}

export function addFileFlags(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--normalization <name>",
        "scale of the pixels (default: the run's, or as the file's metadata say, or dataset, by its mean and deviation)",
      ).choices(normalizations),
    )
    .option("--output <name>", "output with the logits, where the model has several")
    .addOption(dimensionOption());
}

export function fileSettings({ normalization, output, dimension: dimensions }: FileFlags): FileSettings {
  return defined({ normalization, output, dimensions });
}

function dimensionOption(): Option {
  return new Option(
    "--dimension <name=size>",
    "size of an axis that the file leaves open, e.g. height=64; may be repeated",
  ).argParser(dimension);
}

export function importOptions(flags: ImportFlags): LoadModelOptions {
  const { dimension: dimensions, trainable, frozen, batchNorm: batchNormalization, dropout } = flags;
  return { dimensions, trainable, frozen, batchNormalization, dropout };
}

/** The same as settings of a run's model. */
export function importSettings(flags: ImportFlags): Settings {
  // commander sets the flag without --no-dropout too, which is no reason to override a document.
  const dropout = flags.dropout === false ? false : undefined;
  return { ...importOptions(flags), dropout, output: flags.output };
}

function collect(pattern: string, earlier: string[] = []): string[] {
  return [...earlier, pattern];
}

function dimension(text: string, earlier: Record<string, number> = {}): Record<string, number> {
  const [, name, size] = /^(.+)=(\d+)$/.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("It has to be a name and a size, as in height=64.");
  return { ...earlier, [name]: Number(size) };
}

function batchNormMode(text: string): string {
  if (text === "batch" || text === "frozen") return text;
  throw new InvalidArgumentError("It has to be batch or frozen.");
}
