import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { counted } from "../../common/text.ts";
import { DatasetUnavailable } from "../../data/sources.ts";
import { parseComparison, type RunConfiguration } from "../../runs/configuration.ts";
import { networkName } from "../../runs/network.ts";
import { taskNamed } from "../../tasks/index.ts";
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

pose trains a small network to find the joints of generated people, segmentation one to find the garments in generated
scenes and the outlines of them. Both end in a page with the best and the worst pictures.

Examples:
  $ npm start
  $ npm start -- --clean
  $ npm start -- --label-noise 0.6 --epochs 20 --seed 2
  $ npm start -- --data digits
  $ npm start -- pose
  $ npm start -- segmentation`;

interface Show {
  /** The name of its configuration. */
  configuration: string;
  /** How long it takes on two cores. */
  minutes: number;
}

/** What there is to be shown. */
const shows = {
  optimizers: { configuration: "noisy-labels", minutes: 2 },
  pose: { configuration: "pose", minutes: 11 },
  segmentation: { configuration: "segmentation", minutes: 17 },
} satisfies Record<string, Show>;

type ShowName = keyof typeof shows;

interface DemoFlags {
  clean?: boolean;
  only?: string;
  data?: string;
}

/** `lowland demo` (npm start): from nothing to a report, by default one network trained five ways. */
export function demoCommand(command: Command): Command {
  command.registeredArguments[0].choices(Object.keys(shows)).default("optimizers" satisfies ShowName);
  addPlaceFlags(command)
    .option("--clean", "clean labels and a small convolutional network")
    .option("--only <names>", "only these runs, separated by commas");
  addFlags(command, comparisonFlags, "unknown").addHelpText("after", `${networkHelp()}\n${examples}`);
  return command.action(async (what: ShowName, flags: SettingFlags & PlaceFlags & DemoFlags) => {
    if (flags.clean && what !== "optimizers")
      throw new UserError(`--clean has no meaning for ${what}, which has no wrong labels; leave it out`);
    const { configuration: own, minutes } = shows[what];
    const name = flags.clean ? "clean" : own;
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
    const isPlain = JSON.stringify(runs) === JSON.stringify(parseComparison(document));
    const examples = shared.limit ?? data.train.count;
    const { labelNoise = 0 } = shared;
    const noise = labelNoise > 0 ? `, ${Number((100 * labelNoise).toPrecision(3))} % noisy labels` : "";
    say(
      `${counted(runs.length, "run")} of ${counted(shared.epochs, "epoch")}: ${networkName(shared.model)} on ${examples.toLocaleString("en")} ${taskNamed(shared.task).examples} of ${used}${noise}${isPlain && name === own ? `; about ${minutes} minutes on two cores` : ""}`,
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
