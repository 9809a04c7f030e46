import { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { loadPeople, readPeople } from "../../data/people/people.ts";
import { writeCocoFolder } from "../../data/sets/coco-writer.ts";
import { interruptSignal } from "../interrupt.ts";
import { say } from "../progress.ts";

const examples = `
people: pictures of jointed figures with COCO's 17 joints, drawn by a seed. Options follow after a colon: train and test
(numbers of pictures), size (pixels), seed. The folder has annotations/*.json in COCO's format and PNG pictures.

Examples:
  $ lowland data people --out people
  $ lowland data people:train=500,test=100,size=192,seed=2 --out people
  $ lowland train --task pose --data people/`;

/** `lowland data`: a generated data set as files. */
export function dataCommand(): Command {
  return new Command("data")
    .description("write a generated data set as a folder of pictures and annotations")
    .argument("<name>", "people, with options after a colon")
    .requiredOption("--out <folder>", "folder to write")
    .addHelpText("after", examples)
    .action(async (name: string, { out }: { out: string }) => {
      const options = readPeople(name);
      if (!options) throw new UserError(`${name} is no generated data set; it has to be people`);
      const { train, test } = await loadPeople(options, name);
      let told = performance.now();
      await writeCocoFolder(
        out,
        { train, test },
        {
          signal: interruptSignal(),
          onProgress: (pictures, total) => {
            if (performance.now() - told < 1000) return;
            told = performance.now();
            say(`  ${pictures.toLocaleString("en")} of ${total.toLocaleString("en")} pictures written`);
          },
        },
      );
      process.stdout.write(
        `${out}: ${train.count.toLocaleString("en")} training and ${test.count.toLocaleString("en")} test pictures\n`,
      );
    });
}
