import { Command } from "commander";

/** A command as the list of all shows it. Its flags and its work are loaded when it is called. */
interface ListedCommand {
  description: string;
  /** Each argument as the usage writes it, and what it is. */
  arguments?: Readonly<Record<string, string>>;
  /** Loads what gives the command its flags, the rest of its help and its action. */
  load: () => Promise<(command: Command) => Command>;
}

/** All commands, in the order of the help. */
export const commands = {
  train: {
    description: "train one network and write its run folder",
    load: async () => (await import("./commands/train.ts")).trainCommand,
  },
  compare: {
    description: "train one network with several optimizers and compare them",
    load: async () => (await import("./commands/compare.ts")).compareCommand,
  },
  evaluate: {
    description: "measure a run's model, or any ONNX classifier, on the test set of some data",
    arguments: { "<run or model>": "a run folder, or an ONNX file" },
    load: async () => (await import("./commands/evaluate.ts")).evaluateCommand,
  },
  predict: {
    description: "say what a run's model, or any ONNX classifier, sees in pictures",
    arguments: { "<run or model>": "a run folder, or an ONNX file", "<pictures...>": "picture files" },
    load: async () => (await import("./commands/predict.ts")).predictCommand,
  },
  flatness: {
    description: "measure how flat the loss is around a model's weights: sharpness and curvature",
    arguments: { "<run or model>": "a run folder, or an ONNX file of a classifier" },
    load: async () => (await import("./commands/flatness.ts")).flatnessCommand,
  },
  landscape: {
    description: "see the loss on a line or a plane through a model's weights",
    arguments: { "<run or model>": "a run folder, or an ONNX file of a classifier" },
    load: async () => (await import("./commands/landscape.ts")).landscapeCommand,
  },
  profile: {
    description: "show where the time of a training step goes, by part, layer and operator",
    arguments: { "[run or model]": "a run folder, a network by its name, or an ONNX file" },
    load: async () => (await import("./commands/profile.ts")).profileCommand,
  },
  inspect: {
    description: "list an ONNX model: what goes in and out, operators, parameters, cost, what can be trained",
    arguments: { "<model>": "an ONNX file" },
    load: async () => (await import("./commands/inspect.ts")).inspectCommand,
  },
  finetune: {
    description: "train an image classifier on from its weights",
    arguments: { "<model>": "an ONNX file, a run folder, or a network by name with its --weights" },
    load: async () => (await import("./commands/finetune.ts")).finetuneCommand,
  },
  quantize: {
    description: "make a model of small integers, and measure what that costs",
    arguments: { "<run or model>": "a run folder, or an ONNX file" },
    load: async () => (await import("./commands/quantize.ts")).quantizeCommand,
  },
  "export-step": {
    description: "write a model's whole training step as one ONNX file, for programs in any language",
    arguments: { "<model>": "an ONNX file" },
    load: async () => (await import("./commands/export-step.ts")).exportStepCommand,
  },
  figures: {
    description: "train what is missing and draw the paper's figures 2 to 5 for a network and data",
    load: async () => (await import("./commands/figures.ts")).figuresCommand,
  },
  theorem: {
    description: "the quantities of the paper's theorem 1 on problems of known constants, or in runs",
    arguments: { "[runs...]": "run folders, or folders of a comparison, to read ς from instead" },
    load: async () => (await import("./commands/theorem.ts")).theoremCommand,
  },
  optimizers: {
    description: "list the optimizers with what a step of each costs on this machine",
    load: async () => (await import("./commands/optimizers.ts")).optimizersCommand,
  },
  data: {
    description: "write a generated data set as a folder of pictures and annotations",
    arguments: { "<name>": "people or wardrobe, with options after a colon" },
    load: async () => (await import("./commands/data.ts")).dataCommand,
  },
  demo: {
    description:
      "train one network five ways on Fashion-MNIST and compare, or a network for poses or for segmentation",
    arguments: { "[what]": "what to show" },
    load: async () => (await import("./commands/demo.ts")).demoCommand,
  },
  playground: {
    description: "show the page that trains in the browser and compares optimizers",
    load: async () => (await import("./commands/playground.ts")).playgroundCommand,
  },
} satisfies Readonly<Record<string, ListedCommand>>;

export type CommandName = keyof typeof commands;

export const commandNames = Object.keys(commands) as CommandName[];

/** The command without its flags and its action: all that the list shows. */
export function listedCommand(name: CommandName): Command {
  const { description, arguments: described = {} }: ListedCommand = commands[name];
  const command = new Command(name).description(description);
  for (const [argument, what] of Object.entries(described)) command.argument(argument, what);
  return command;
}

/** The command with everything that it has. */
export async function loadedCommand(name: CommandName): Promise<Command> {
  const complete = await commands[name].load();
  return complete(listedCommand(name));
}
