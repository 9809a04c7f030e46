import { statSync } from "node:fs";
import type { Command } from "commander";
import { addFlags } from "../add-flags.ts";
import { printJson } from "../output.ts";
import { settingsOf } from "../put-flags.ts";
import { flagsFor, importFlags, loadSettings, type SettingFlags } from "../setting-flags.ts";
import { numberOption } from "../settings.ts";

const examples = `
Examples:
  $ lowland inspect model.onnx
  $ lowland inspect detector.onnx --dimension height=64 --dimension width=64 --all
  $ lowland inspect model.onnx --frozen 'backbone.*'
  $ lowland inspect model.onnx --json | jq .totals`;

interface Flags extends SettingFlags {
  batchSize?: number;
  all?: boolean;
  json?: boolean;
}

/** `lowland inspect`: what is in an ONNX file, and what of it can be trained. */
export function inspectCommand(command: Command): Command {
  command
    .option("--all", "show long lists whole")
    .option("--batch-size <n>", "examples in the batch that cost is counted for (default: 1)", numberOption);
  return addFlags(command, flagsFor(importFlags, ...Object.keys(loadSettings.shape)))
    .option("--json", "print everything as JSON and nothing else on standard output")
    .addHelpText("after", examples)
    .action(async (path: string, { batchSize, all = false, json, ...flags }: Flags) => {
      const { inspectModel } = await import("../../model-files/inspect.ts");
      const model = await inspectModel(path, { ...settingsOf(loadSettings, flags), batchSize });
      if (json) {
        printJson({ file: path, ...model });
        return;
      }
      const { modelText } = await import("../model-text.ts");
      const { columns = 80, isTTY } = process.stdout;
      const color = isTTY === true && process.env.NO_COLOR === undefined;
      const text = modelText(model, {
        file: path,
        bytes: statSync(path).size,
        width: isTTY ? columns : 80,
        color,
        all,
      });
      process.stdout.write(`${text}\n`);
    });
}
