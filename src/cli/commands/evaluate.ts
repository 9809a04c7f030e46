import type { Command } from "commander";
import { openTaskOf } from "../../measure/measured-model.ts";
import { evaluateFile } from "../../model-files/evaluate.ts";
import { detailTables } from "../../report/details-table.ts";
import { metricList } from "../../report/numbers.ts";
import { findModel, importedModelOf } from "../../runs/trained-model.ts";
import { withPictures } from "../../tasks/details.ts";
import { addDataFlags, addFileFlags, loadNamedData } from "../measuring-options.ts";
import { outputStyle, printJson } from "../output.ts";
import { say } from "../progress.ts";
import { settingsOf } from "../put-flags.ts";
import { fileSettings, type SettingFlags } from "../setting-flags.ts";
import { numberOption } from "../settings.ts";

const examples = `
Examples:
  $ lowland evaluate runs/noisy-labels/sam-0.1
  $ lowland evaluate classifier.onnx --data fashion-mnist --json
  $ lowland evaluate resnet18.onnx --data fashion-mnist --normalization imagenet

Images are made to fit the model: resized, repeated over its channels or made gray, and scaled.`;

interface EvaluateFlags extends SettingFlags {
  data?: string;
  dataDir?: string;
  threads?: number;
  json?: boolean;
}

/** `lowland evaluate`: a run's model, or any ONNX classifier, on test data. */
export function evaluateCommand(command: Command): Command {
  return addFileFlags(addDataFlags(command))
    .optionsGroup("Options:")
    .option("--threads <n>", "threads of one operator (default: one per core)", numberOption)
    .option("--json", "print the result as JSON and nothing else on standard output")
    .addHelpText("after", examples)
    .action(async (place: string, flags: EvaluateFlags) => {
      const found = await findModel(place);
      const { path } = found;
      const { name, data } = await loadNamedData(found, flags);
      const { opened, kind } = openTaskOf(found, data);
      const { normalization, output, dimensions } = {
        ...importedModelOf(found),
        ...settingsOf(fileSettings, flags),
      };
      const { details, ...result } = await evaluateFile(path, opened, {
        ...{ normalization, output, dimensions },
        threads: flags.threads,
        onNote: say,
      });
      if (flags.json) {
        // Pictures are left out.
        const told = details && withPictures(details, () => undefined);
        printJson({
          ...{ model: path, data: name, task: kind.name, ...result },
          ...(told && { details: told }),
        });
      } else {
        const metrics = metricList(result.metrics, kind.metrics, 1);
        process.stdout.write(
          `${path} on ${result.examples.toLocaleString("en")} test ${kind.examples} of ${name}: ${metrics}, loss ${result.loss.toFixed(4)}\n`,
        );
        if (details) process.stdout.write(`\n${detailTables(details, outputStyle())}\n`);
        say(`${Math.round(result.examplesPerSecond).toLocaleString("en")} ${kind.examples}/s`);
      }
    });
}
