import type { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { readGenerated } from "../../data/generated-options.ts";
import { loadPeople } from "../../data/people/people.ts";
import { writeCocoFolder } from "../../data/sets/coco-writer.ts";
import { writeVocFolder } from "../../data/sets/voc-writer.ts";
import { loadWardrobe } from "../../data/wardrobe/wardrobe.ts";
import type { DataPair } from "../../tasks/task.ts";
import { interruptSignal } from "../interrupt.ts";
import { say } from "../progress.ts";

const examples = `
people: pictures of jointed figures with COCO's 17 joints, drawn by a seed. The folder has annotations/*.json in COCO's
format and PNG pictures.
wardrobe: scenes of Fashion-MNIST's garments with masks, drawn by a seed. The folder is in Pascal VOC's format: JPEGImages/ (with
PNG files), SegmentationClass/, ImageSets/Segmentation/train.txt and val.txt, and classes.txt. Fashion-MNIST comes from the
cache, --data-dir or the network.

Options follow after a colon: train and test (numbers of pictures), size (pixels), seed. wardrobe also takes garments
(most in a scene), turn (degrees), smallest and largest (percent of the scene's side).

Examples:
  $ lowland data people --out people
  $ lowland data people:train=500,test=100,size=192,seed=2 --out people
  $ lowland train --task pose --data people/
  $ lowland data wardrobe --out wardrobe
  $ lowland train --task segmentation --data wardrobe/`;

/** `lowland data`: a generated data set as files. */
export function dataCommand(command: Command): Command {
  return command
    .requiredOption("--out <folder>", "folder to write")
    .option("--data-dir <folder>", "folder with Fashion-MNIST's files, for wardrobe")
    .addHelpText("after", examples)
    .action(async (name: string, { out, dataDir }: { out: string; dataDir?: string }) => {
      const { train, test } = await writeGenerated(name, out, dataDir);
      process.stdout.write(
        `${out}: ${train.count.toLocaleString("en")} training and ${test.count.toLocaleString("en")} test pictures\n`,
      );
    });
}

/** Writes the generated set of a name in the format of its kind. */
async function writeGenerated(name: string, out: string, dataDir?: string): Promise<DataPair> {
  const following = { signal: interruptSignal("Stopping after this picture."), onProgress: sayWritten() };
  const [people, wardrobe] = [readGenerated(name, "people"), readGenerated(name, "wardrobe")];
  if (people) {
    if (dataDir !== undefined)
      throw new UserError(`--data-dir has no meaning for ${name}, which needs no files; leave it out`);
    const parts = await loadPeople(people, name);
    await writeCocoFolder(out, parts, following);
    return parts;
  }
  if (wardrobe) {
    const { signal } = following;
    const parts = await loadWardrobe(wardrobe, name, { dataDirectory: dataDir, log: say, signal });
    await writeVocFolder(out, parts, following);
    return parts;
  }
  throw new UserError(`${name} is no generated data set; it has to be people or wardrobe`);
}

/** Says every second how many pictures are written. */
function sayWritten() {
  let told = performance.now();
  return (pictures: number, total: number) => {
    if (performance.now() - told < 1000) return;
    told = performance.now();
    say(`  ${pictures.toLocaleString("en")} of ${total.toLocaleString("en")} pictures written`);
  };
}
