import { join } from "node:path";
import type { FlatnessRecord, LandscapeRecord } from "../../flatness/index.ts";
import type { Figure } from "../drawing/page-document.ts";
import { fixed, metricList, significant } from "../numbers.ts";
import { measuredNote, quantizedNote } from "./measured.ts";

/** Where the pictures of a measurement are. */
export interface WrittenFigures {
  /** The interactive page. */
  page: string;
  /** The SVG and PNG files, in light and dark. */
  pictures: string[];
}

/**
 * Draws what `flatness.json` or `landscape.json` holds: `flatness.html` (or `landscape.html`) in the folder, and a
 * picture of each chart as SVG and PNG, light and dark, in its folder `pictures`.
 * Throws `UserError` when the folder cannot be written to.
 */
export async function writeMeasurementFigures(
  folder: string,
  record: FlatnessRecord | LandscapeRecord,
): Promise<WrittenFigures> {
  const figures = await figuresOf(record);
  const title =
    record.type === "flatness" ? `Flatness of ${record.name}` : `Loss landscape of ${record.name}`;
  const metrics = metricList(record.metrics, record.task.metrics);
  const measured = `${measuredNote(record)} ${fixed(record.parameters, 0)} parameters; loss ${significant(record.loss, 4)}, ${metrics}.`;
  const lead = [measured, quantizedNote(record)].filter((text) => text !== undefined).join(" ");
  return writeFigures(folder, record.type, { title, lead, figures, data: record });
}

/** Writes a page `<name>.html` and the pictures of its charts. */
export async function writeFigures(
  folder: string,
  name: string,
  content: { title: string; lead: string; figures: readonly Figure[]; data?: unknown },
): Promise<WrittenFigures> {
  const { writePictures } = await import("../drawing/pictures.ts");
  const { writeFigurePage } = await import("../drawing/figure-page.ts");
  const pictures = await writePictures(
    join(folder, "pictures"),
    content.figures.flatMap(({ charts }) => charts),
  );
  const page = join(folder, `${name}.html`);
  await writeFigurePage(page, content);
  return { page, pictures };
}

async function figuresOf(record: FlatnessRecord | LandscapeRecord): Promise<Figure[]> {
  if (record.type === "flatness") return (await import("./flatness.ts")).flatnessFigures(record);
  return (await import("./landscape.ts")).landscapeFigures(record);
}
