/** The report: one HTML file that holds everything it needs and loads nothing. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { UserError } from "../common/errors.ts";
import { replaceFile } from "../common/files.ts";
import { renderPage } from "./page.ts";
import { readComparison } from "./read.ts";

/**
 * Writes `report.html` into a run folder or a comparison folder, replacing an older one only when the new one is
 * complete, and returns its path.
 * @throws UserError when the folder is neither, when a file in it is damaged, or when it cannot be written to.
 */
export async function writeReport(folder: string): Promise<string> {
  const comparison = await readComparison(folder);
  const page = renderPage(comparison, await chartLibrary());
  const path = join(folder, "report.html");
  try {
    await replaceFile(path, page);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError(
      `${path} could not be written (${reason}); make the folder writable or free some space.`,
    );
  }
  return path;
}

/** ECharts with line charts, tooltips and the SVG renderer ("simple" lacks the last two). */
function chartLibrary(): Promise<string> {
  const path = createRequire(import.meta.url).resolve("echarts/dist/echarts.common.min.js");
  return readFile(path, "utf8");
}
