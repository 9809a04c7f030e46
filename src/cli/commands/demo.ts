import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { DatasetUnavailable } from "../../data/sources.ts";
import { parseComparison, type RunConfiguration } from "../../runs/configuration.ts";
import { networkName } from "../../runs/network.ts";
import type { DataPair } from "../../tasks/task.ts";
import { addFlags } from "../add-flags.ts";
import { loadWithProgress } from "../data.ts";
import { interruptSignal } from "../interrupt.ts";
import { applyFlags, readConfiguration } from "../options.ts";
import { freshFolder } from "../output.ts";
import { say } from "../progress.ts";
import {
  addPlaceFlags,
  comparisonFlags,
  networkHelp,
  type PlaceFlags,
  type SettingFlags,
} from "../setting-flags.ts";
import type { Settings } from "../settings.ts";
import { chooseRuns, compareAndPresent } from "./compare.ts";

const examples = `
Fashion-MNIST with 40 % noisy labels shows what flat minima are for: sharp ones learn the noise by heart. On clean
labels and in few epochs the order is the other way round: try --clean.

Examples:
  $ npm start
  $ npm start -- --clean
  $ npm start -- --label-noise 0.6 --epochs 20 --seed 2
  $ npm start -- --data digits`;

interface DemoFlags {
  clean?: boolean;
  only?: string;
  data?: string;
}

/** `lowland demo` (npm start): one network trained five ways, from nothing to a report. */
export function demoCommand(): Command {
  const command = new Command("demo").description("train one network five ways on Fashion-MNIST and compare");
  addPlaceFlags(command)
    .option("--clean", "clean labels and a small convolutional network")
    .option("--only <names>", "only these runs, separated by commas");
  addFlags(command, comparisonFlags, "unknown").addHelpText("after", `${networkHelp()}\n${examples}`);
  return command.action(async (flags: SettingFlags & PlaceFlags & DemoFlags) => {
    const name = flags.clean ? "clean" : "noisy-labels";
    const path =
      flags.config ?? fileURLToPath(new URL(`../../../assets/configurations/${name}.json`, import.meta.url));
    const document = await readConfiguration(path);
    // Checked before data is fetched.
    const wanted = parseComparison(applyFlags(forData(document, flags.data), flags))[0].configuration;
    const signal = interruptSignal();
    const { data, used } = await loadOrDigits(wanted, flags, signal);
    const runs = chooseRuns(
      parseComparison(applyFlags(forData(document, used), { ...flags, data: used })),
      flags.only,
    );
    const [{ configuration: shared }] = runs;
    const images = shared.limit ?? data.train.count;
    const { labelNoise = 0 } = shared;
    const noise = labelNoise > 0 ? `, ${Number((100 * labelNoise).toPrecision(3))} % noisy labels` : "";
    say(
      `${runs.length} runs of ${shared.epochs} epochs: ${networkName(shared.model)} on ${images.toLocaleString("en")} ${used} images${noise}`,
    );
    const out = flags.out ?? freshFolder(name);
    process.exitCode = await compareAndPresent({ runs, data, out, flags, signal });
  });
}

async function loadOrDigits(
  { task, data: name, images }: RunConfiguration,
  flags: PlaceFlags,
  signal: AbortSignal,
): Promise<{ data: DataPair; used: string }> {
  try {
    return { data: await loadWithProgress(name, { ...flags, task, images, signal }), used: name };
  } catch (error) {
    if (!(error instanceof DatasetUnavailable)) throw error;
    say(`${name} is not available here; using digits instead, which come with Lowland.`);
    return { data: await loadWithProgress("digits"), used: "digits" };
  }
}

/** The demonstration's settings for a data set: digits are few, and a flipped digit is another one. */
function forData(document: Settings, data: string | undefined): Settings {
  if (data !== "digits") return document;
  const { limit: _, ...rest } = document;
  return { ...rest, augmentation: {}, batchSize: 64 };
}
