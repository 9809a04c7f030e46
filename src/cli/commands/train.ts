import type { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { parseRun } from "../../runs/configuration.ts";
import { withStatedPictures } from "../../runs/stated-pictures.ts";
import { addFlags } from "../add-flags.ts";
import { applyFlags, readConfiguration } from "../options.ts";
import {
  addPlaceFlags,
  dryRunFlag,
  networkHelp,
  type PlaceFlags,
  runFlags,
  type SettingFlags,
} from "../setting-flags.ts";

const examples = `
Examples:
  $ lowland train --data digits --model mlp --epochs 20
  $ lowland train --model cnn --optimizer sam --rho 0.1 --limit 10000 --flip
  $ lowland train --model wide-resnet-28-10:units=5,width=2 --micro-batches 4
  $ lowland train --model resnet18 --weights cifar.safetensors --weights-except "conv1.*,linear.*"
  $ lowland train --data cifar10 --model resnet18 --epochs 200 --dry-run
  $ lowland train --config run.json --seed 2 --out runs/second
  $ lowland train --config run.json --out runs/second --resume`;

/** `lowland train`: one run. */
export function trainCommand(command: Command): Command {
  addFlags(addPlaceFlags(command).addOption(dryRunFlag()), runFlags).addHelpText(
    "after",
    `${networkHelp()}\n${examples}`,
  );
  return command.action(async (flags: SettingFlags & PlaceFlags) => {
    const document = flags.config ? await readConfiguration(flags.config) : {};
    if ("runs" in document) {
      throw new UserError(
        `${flags.config} holds the runs of a comparison; train them with lowland compare --config ${flags.config}`,
      );
    }
    const configuration = parseRun(await withStatedPictures(applyFlags(document, flags)));
    const { trainAndPresent } = await import("../train-run.ts");
    process.exitCode = await trainAndPresent(configuration, flags);
  });
}
