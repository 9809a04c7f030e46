#!/usr/bin/env node
import { createRequire } from "node:module";
import { Command } from "commander";
import { commandNames, listedCommand, loadedCommand } from "./commands.ts";
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
const called = calledCommand();
for (const name of commandNames) {
  lowland.addCommand(name === called ? await loadedCommand(name) : listedCommand(name));
}
for (const command of [lowland, ...lowland.commands]) {
  command
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(oneSentence(text)) })
    .configureHelp({ minWidthToWrap: 24, subcommandTerm: (listed) => `${listed.name()} ${listed.usage()}` });
}

guardOutputs();
try {
  await lowland.parseAsync();
} catch (error) {
  const { code, text } = explain(error);
  if (text !== undefined) say(`lowland: ${text}`);
  process.exitCode = code;
}

/** The command that the command line or its `help` names, if it is one. The program itself has no flags with values. */
function calledCommand(): string | undefined {
  const [first, second] = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
  return first === "help" ? second : first;
}
