/** The report: one HTML file that holds everything it needs and loads nothing. */
import { join } from "node:path";
import { replaceFile } from "../common/files.ts";
import { pageScripts } from "./drawing/page-document.ts";
import { renderPage } from "./page.ts";
import { readComparison } from "./read.ts";

/**
 * Writes `report.html` into a run folder or a comparison folder, replacing an older one only when the new one is
 * complete, and returns its path.
 * @throws UserError when the folder is neither, or when a file in it is damaged
 * @throws FileError when it cannot be written
 */
export async function writeReport(folder: string): Promise<string> {
  const comparison = await readComparison(folder);
  const page = renderPage(comparison, await pageScripts());
  const path = join(folder, "report.html");
  await replaceFile(path, page);
  return path;
}
