import { replaceFile } from "../../common/files.ts";
import { type Figure, pageDocument, pageScripts } from "./page-document.ts";

export interface FigurePage {
  title: string;
  /** One or two sentences: what was measured of what. */
  lead: string;
  figures: readonly Figure[];
  /** What else the JSON download holds. */
  data?: unknown;
}

/** Writes one HTML file that holds all it needs: charts with hover values, surfaces one can turn, data to download. */
export async function writeFigurePage(path: string, page: FigurePage): Promise<void> {
  await replaceFile(path, renderFigurePage(page, await pageScripts()));
}

export function renderFigurePage(
  { title, lead, figures, data }: FigurePage,
  code: readonly string[],
): string {
  const charts = figures.flatMap((figure) => figure.charts);
  return pageDocument(
    { kind: "Lowland", title, lead, figures, after: download, data: { title, charts, data } },
    code,
  );
}

const download = `<section aria-labelledby="data">
<h2 id="data">Data</h2>
<p class="downloads"><button type="button" data-download="json">All numbers of this page (JSON)</button></p>
</section>`;
