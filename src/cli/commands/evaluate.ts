import { readFile } from "node:fs/promises";
import { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { datasetNames } from "../../data/dataset.ts";
import { evaluateModel } from "../../tasks/evaluate.ts";
import { datasetOf, findModel } from "../../tasks/trained-model.ts";
import { loadWithProgress } from "../data.ts";
import { printJson } from "../output.ts";
import { say } from "../progress.ts";
import { numberOption } from "../settings.ts";

const examples = `
Examples:
  $ lowland evaluate runs/noisy-labels/sam-0.1
  $ lowland evaluate classifier.onnx --data fashion-mnist --json`;

interface EvaluateFlags {
  data?: string;
  dataDir?: string;
  threads?: number;
  json?: boolean;
}

/** `lowland evaluate`: a run's model, or any ONNX classifier, on test images. */
export function evaluateCommand(): Command {
  return new Command("evaluate")
    .description("measure a run's model, or any ONNX classifier, on the test images of a data set")
    .argument("<run or model>", "a run folder, or an ONNX file")
    .option("--data <name>", `data set: one of ${datasetNames.join(", ")} (default: the run's)`)
    .option("--data-dir <folder>", "folder with the data set's files")
    .option("--threads <n>", "threads of one operator (default: one per core)", numberOption)
    .option("--json", "print the result as JSON and nothing else on standard output")
    .addHelpText("after", examples)
    .action(async (place: string, flags: EvaluateFlags) => {
      const found = await findModel(place);
      const { path } = found;
      const name = datasetOf(found, flags.data);
      const model = await readFile(path).catch((error: Error) => {
        throw new UserError(`the model ${path} cannot be read (${error.message})`);
      });
      const { test } = await loadWithProgress(name, flags);
      const result = await evaluateModel(model, test, { name: path, threads: flags.threads });
      if (flags.json) printJson({ model: path, data: name, ...result });
      else {
        process.stdout.write(
          `${path} on ${result.images.toLocaleString("en")} test images of ${name}: accuracy ${(100 * result.accuracy).toFixed(2)} %, loss ${result.loss.toFixed(4)}\n`,
        );
        say(`${Math.round(result.imagesPerSecond).toLocaleString("en")} images/s`);
      }
    });
}
