import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { parseRun } from "../../runs/configuration.ts";
import { findStartingModel } from "../../runs/starting-model.ts";
import { withStatedPictures } from "../../runs/stated-pictures.ts";
import { addFlags } from "../add-flags.ts";
import { applyFlags, readConfiguration } from "../options.ts";
import { networkHelp, type PlaceFlags, runFlags, type SettingFlags } from "../setting-flags.ts";
import { numberOption } from "../settings.ts";

const examples = `
Times are ONNX Runtime's own of each operator, the median over --rounds steps on the first batch; frozen stages are
computed. Operators that ONNX Runtime fuses under a name of its own count as no layer's.

Examples:
  $ lowland profile --data fashion-mnist --model cnn --optimizer bilateral-sam
  $ lowland profile resnet20 --data cifar10 --threads 1
  $ lowland profile runs/mine --json > profile.json`;

interface ProfileFlags extends SettingFlags, Pick<PlaceFlags, "config" | "dataDir" | "out" | "json"> {
  rounds: number;
}

/** `lowland profile`: where the time of a training step goes. */
export function profileCommand(command: Command): Command {
  command
    .option("--config <file>", "JSON file with the settings; flags override it")
    .option("--data-dir <folder>", "folder with the named data set's files")
    .option("--rounds <n>", "steps that are counted", numberOption, 10)
    .option("--out <folder>", "folder for the results (default: the run's, or a new one below runs/)")
    .option("--json", "print the results as JSON and nothing else on standard output");
  addFlags(command, runFlags).addHelpText("after", `${networkHelp()}\n${examples}`);
  return command.action(async (place: string | undefined, flags: ProfileFlags) => {
    const { rounds, json } = flags;
    if (!(Number.isInteger(rounds) && rounds >= 1)) {
      throw new UserError(`--rounds is ${rounds}; choose a whole number of at least 1`);
    }
    const { document, folder } = await documentOf(place, flags.config);
    const configuration = parseRun(await withStatedPictures(applyFlags(document, flags)));
    const { interruptSignal } = await import("../interrupt.ts");
    const { loadWithProgress } = await import("../data.ts");
    const { profileStep } = await import("../../measure/profile.ts");
    const { networkName } = await import("../../runs/network.ts");
    const { makeFolder, writeJson } = await import("../../runs/run-folder.ts");
    const { freshFolder, outputStyle, printJson } = await import("../output.ts");
    const { withProgress } = await import("../progress.ts");
    const signal = interruptSignal();
    const { task, images, optimizer } = configuration;
    const data = await loadWithProgress(configuration.data, { ...flags, task, images, signal });
    const name = networkName(configuration.model);
    const record = await withProgress(`profiling ${name}`, (onProgress) =>
      profileStep({ name, configuration, data, rounds, signal, onProgress }),
    );
    const out =
      flags.out ??
      folder ??
      freshFolder(`profile-${basename(name).replace(/\.onnx$/, "")}-${optimizer.method}`);
    await makeFolder(out);
    const file = join(out, "profile.json");
    await writeJson(file, record);
    const { writeProfileFigures } = await import("../../report/figures/profile.ts");
    const { page } = await writeProfileFigures(out, record);
    const { profileTables } = await import("../../report/profile-table.ts");
    if (json) printJson(record);
    else
      process.stdout.write(`\n${profileTables(record, outputStyle())}\n\nData: ${file}\nPictures: ${page}\n`);
  });
}

/** The settings that the place or the file holds: of a run folder its own, of anything else the network it names. */
async function documentOf(place: string | undefined, config: string | undefined) {
  if (place !== undefined && config !== undefined) {
    throw new UserError("a run or model and --config were given; give one of them");
  }
  if (place === undefined) return { document: config ? await readConfiguration(config) : {} };
  const found = await stat(place).catch(() => undefined);
  if (!found?.isDirectory()) {
    const source = await findStartingModel(place);
    return { document: { model: "file" in source ? { file: source.file } : source.network } };
  }
  return { document: await readConfiguration(join(place, "run.json")), folder: place };
}
