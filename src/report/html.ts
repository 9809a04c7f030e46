/** The report: one HTML file that holds everything it needs and loads nothing. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { replaceFile } from "../common/files.ts";
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
  const page = renderPage(comparison, await chartLibrary());
  const path = join(folder, "report.html");
  await replaceFile(path, page);
  return path;
}

/** ECharts with line charts, tooltips and the SVG renderer ("simple" lacks the last two). */
function chartLibrary(): Promise<string> {
  const path = createRequire(import.meta.url).resolve("echarts/dist/echarts.common.min.js");
  return readFile(path, "utf8");
}
