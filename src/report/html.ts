/** The report: one HTML file that holds everything it needs and loads nothing. */
import { join } from "node:path";
import { replaceFile } from "../common/files.ts";
import { readEvaluationPicture } from "../runs/evaluation-record.ts";
import { pictureKey, shownPictures } from "./details-section.ts";
import { pageScripts } from "./drawing/page-document.ts";
import { renderPage } from "./page.ts";
import { type Comparison, readComparison } from "./read.ts";

/**
 * Writes `report.html` into a run folder or a comparison folder, replacing an older one only when the new one is
 * complete, and returns its path.
 * @throws UserError when the folder is neither, or when a file in it is damaged
 * @throws FileError when it cannot be written
 */
export async function writeReport(folder: string): Promise<string> {
  const comparison = await readComparison(folder);
  const page = renderPage(comparison, await pageScripts(), await readPictures(comparison));
  const path = join(folder, "report.html");
  await replaceFile(path, page);
  return path;
}

/** The pictures of samples as data URIs. */
async function readPictures({ runs }: Comparison): Promise<Map<string, string>> {
  const pictures = new Map<string, string>();
  for (const { run, picture } of shownPictures(runs)) {
    const file = await readEvaluationPicture(run.folder, picture);
    if (file)
      pictures.set(pictureKey(run, picture), `data:image/png;base64,${Buffer.from(file).toString("base64")}`);
  }
  return pictures;
}
