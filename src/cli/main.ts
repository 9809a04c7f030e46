#!/usr/bin/env node
import { createRequire } from "node:module";
import { Command } from "commander";
import { allCommands } from "./commands.ts";
import { explain, oneSentence } from "./explain.ts";
import { guardOutputs } from "./output.ts";
import { say } from "./progress.ts";

const examples = `
Examples:
  $ lowland train --data digits --model mlp
  $ lowland flatness runs/mine
  $ lowland train --help`;

const { version } = createRequire(import.meta.url)("../../package.json");

const lowland = new Command("lowland")
  .description("Train neural networks into flat minima, on ONNX Runtime.")
  .version(version)
  .addHelpText("after", examples);
for (const command of allCommands()) lowland.addCommand(command);
for (const command of [lowland, ...lowland.commands]) {
  command
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(oneSentence(text)) })
    .configureHelp({ minWidthToWrap: 24 });
}

guardOutputs();
try {
  await lowland.parseAsync();
} catch (error) {
  const { code, text } = explain(error);
  if (text !== undefined) say(`lowland: ${text}`);
  process.exitCode = code;
}
