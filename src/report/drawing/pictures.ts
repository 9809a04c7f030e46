import { join } from "node:path";
import { replaceFile } from "../../common/files.ts";
import { makeFolder } from "../../runs/run-folder.ts";
import type { Chart } from "./chart.ts";
import { schemes } from "./colors.ts";
import { svgToPng } from "./png.ts";
import { chartSvg, surfacePicture } from "./svg.ts";

/**
 * Writes each chart as `<id>.light.svg`, `<id>.light.png` and the same in dark, a plane also as a surface in space
 * (`<id>-surface`). Returns the paths. Throws `UserError` when the folder cannot be written to.
 */
export async function writePictures(folder: string, charts: readonly Chart[]): Promise<string[]> {
  await makeFolder(folder);
  const paths: string[] = [];
  for (const chart of charts) {
    for (const scheme of schemes) {
      const pictures = [[chart.id, chartSvg(chart, scheme)]];
      if (chart.kind === "plane") pictures.push([`${chart.id}-surface`, surfacePicture(chart, scheme)]);
      for (const [name, svg] of pictures) {
        const path = join(folder, `${name}.${scheme}`);
        await replaceFile(`${path}.svg`, svg);
        await replaceFile(`${path}.png`, await svgToPng(svg));
        paths.push(`${path}.svg`, `${path}.png`);
      }
    }
  }
  return paths;
}
