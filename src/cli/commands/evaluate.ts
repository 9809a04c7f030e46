import type { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { replaceFile } from "../../common/files.ts";
import { openTaskOf } from "../../measure/measured-model.ts";
import { evaluateFile } from "../../model-files/evaluate.ts";
import { detailTables } from "../../report/details-table.ts";
import { metricList } from "../../report/numbers.ts";
import { runSchema } from "../../runs/configuration.ts";
import { findModel, importedModelOf, type TrainedModel } from "../../runs/trained-model.ts";
import { withPictures } from "../../tasks/details.ts";
import { taskNamed, taskNames } from "../../tasks/index.ts";
import type { TaskKind } from "../../tasks/task.ts";
import { addFlags } from "../add-flags.ts";
import { camelCase } from "../flags.ts";
import { addDataFlags, addFileFlags, loadNamedData } from "../measuring-options.ts";
import { outputStyle, printJson } from "../output.ts";
import { say, withProgress } from "../progress.ts";
import { putFlags, settingsOf } from "../put-flags.ts";
import { fileSettings, flagsFor, runFlags, type SettingFlags } from "../setting-flags.ts";
import { numberOption } from "../settings.ts";

const examples = `
Examples:
  $ lowland evaluate runs/noisy-labels/sam-0.1
  $ lowland evaluate classifier.onnx --data fashion-mnist --json
  $ lowland evaluate resnet18.onnx --data fashion-mnist --normalization imagenet
  $ lowland evaluate runs/poses --pose-flip-test auto --pose-boxes detections.json --predictions poses.json

Images are made to fit the model: resized, repeated over its channels or made gray, and scaled.`;

interface EvaluateFlags extends SettingFlags {
  data?: string;
  dataDir?: string;
  threads?: number;
  predictions?: string;
  json?: boolean;
}

/** Of settings of tasks that decide evaluation alone. */
const evaluationFlags = flagsFor(
  runFlags,
  ...taskNames.flatMap((name) => taskNamed(name).evaluationSettings ?? []),
);

/** `lowland evaluate`: a run's model, or any ONNX classifier, on test data. */
export function evaluateCommand(command: Command): Command {
  return addFlags(addFileFlags(addDataFlags(command)), evaluationFlags, "unknown")
    .optionsGroup("Options:")
    .option("--threads <n>", "threads of one operator (default: one per core)", numberOption)
    .option(
      "--predictions <file>",
      "write the predictions for other tools, where the task has a format: for pose COCO's of results",
    )
    .option("--json", "print the result as JSON and nothing else on standard output")
    .addHelpText("after", examples)
    .action(async (place: string, flags: EvaluateFlags) => {
      const found = await findModel(place);
      const { path } = found;
      const { name, data, kind } = await loadNamedData(found, flags);
      const settings = evaluationSettings(found, kind, flags);
      const { opened } = await openTaskOf(found, data, { settings, kind });
      if (flags.predictions !== undefined && !opened.evaluations[0].metric().predictions)
        throw new UserError(
          `--predictions has no meaning for ${kind.name}, which has no format for them; leave it out`,
        );
      for (const note of opened.notes ?? []) say(note);
      const { normalization, output, dimensions } = {
        ...importedModelOf(found),
        ...settingsOf(fileSettings, flags),
      };
      const options = { normalization, output, dimensions, threads: flags.threads, onNote: say };
      const { details, predictions, ...result } = await withProgress(
        `evaluating ${found.name}`,
        (onProgress) => evaluateFile(path, opened, { ...options, onProgress }),
      );
      if (flags.predictions !== undefined && predictions !== undefined)
        await replaceFile(flags.predictions, predictions);
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

/**
 * Settings of the run's task with those of the flags in their place.
 * @throws UserError for a flag of another task
 */
function evaluationSettings(
  { run }: TrainedModel,
  { name, settings }: TaskKind,
  flags: EvaluateFlags,
): Record<string, unknown> {
  const own = evaluationFlags.filter(({ path }) => path[0] in settings);
  const stray = evaluationFlags.find(
    (flag) => !own.includes(flag) && flags[camelCase(flag.name)] !== undefined,
  );
  if (stray) {
    const others = taskNames.filter((other) =>
      taskNamed(other).evaluationSettings?.includes(stray.path.join(".")),
    );
    throw new UserError(`--${stray.name} is for ${others.join(", ")}, and the task is ${name}; leave it out`);
  }
  const document = putFlags(runSchema, { ...run?.configuration }, flags, own);
  return Object.fromEntries(Object.entries(document).filter(([setting]) => setting in settings));
}
