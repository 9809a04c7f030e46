import { readFile } from "node:fs/promises";
import { dirname, extname, isAbsolute, join } from "node:path";
import { CsvError, parse } from "csv-parse/sync";
import * as z from "zod";
import { UserError } from "../../common/errors.ts";
import { whyUnreadable } from "../../common/file-errors.ts";
import {
  byCodePoint,
  checkClassNames,
  type ImageList,
  type ListedImage,
  type SplitOptions,
  stratifiedSplit,
} from "./class-parts.ts";

// A list of picture files with their labels, as CSV or JSON.

const row = z.strictObject({
  file: z.string().min(1),
  label: z.union([z.string().min(1), z.number().int()]).transform(String),
  split: z.enum(["train", "val", "validation", "test"]).optional(),
});

/**
 * Reads a list of pictures: a CSV file whose first line names its columns, or a JSON array of objects. Columns `file`
 * (relative to the list) and `label`; `split` (train, val or test) where the list says what is for what. Labels are names;
 * classes are sorted by code point, and by number where all are whole numbers.
 *
 * @throws UserError naming the list and the row: a column that is missing, a picture that is listed twice, labels of one class
 */
export async function listFromFile(path: string, options: SplitOptions = {}): Promise<ImageList> {
  const rows = await readRows(path);
  const labels = [...new Set(rows.map(({ label }) => label))];
  const areNumbers = labels.every((label) => /^-?\d+$/.test(label));
  const classNames = labels.toSorted(areNumbers ? (a, b) => Number(a) - Number(b) : byCodePoint);
  if (classNames.length < 2)
    throw new UserError(
      `${path} has ${classNames.length === 0 ? "no rows" : `one label, ${classNames[0]}`}; a data set needs two classes or more`,
    );
  checkClassNames(classNames, path);
  const numbers = new Map(classNames.map((name, number) => [name, number]));
  const parts = new Map<string, ListedImage[]>();
  const places = new Map<string, string>();
  for (const { file, label, split = "", place } of rows) {
    const picture = isAbsolute(file) ? file : join(dirname(path), file);
    const before = places.get(picture);
    if (before !== undefined)
      throw new UserError(
        `${path}, ${place}: ${file} is already listed in ${before}; list each picture once, or it is learned and tested`,
      );
    places.set(picture, place);
    const part = split === "val" ? "validation" : split;
    const images = parts.get(part) ?? [];
    images.push({ path: picture, class: numbers.get(label)! });
    parts.set(part, images);
  }
  if (parts.has("") && parts.size > 1)
    throw new UserError(`${path}: some rows have a split and others have none; give every row one, or none`);
  const all = parts.get("");
  if (all) return { classNames, validation: [], ...stratifiedSplit(all, classNames, options) };
  const { train = [], validation = [], test = [] } = Object.fromEntries(parts);
  if (train.length === 0) throw new UserError(`${path}: no row has the split "train"`);
  for (const [number, name] of classNames.entries())
    if (!train.some((image) => image.class === number))
      throw new UserError(`${path}: the label "${name}" has no row with the split "train"`);
  if (test.length > 0) return { classNames, train, validation, test };
  if (validation.length > 0) return { classNames, train, validation: [], test: validation };
  return { classNames, validation, ...stratifiedSplit(train, classNames, options) };
}

/** @returns with each row what a message calls its place */
async function readRows(path: string): Promise<(z.infer<typeof row> & { place: string })[]> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      error.code === "ENOENT"
        ? `there is no file ${path}`
        : `${path} cannot be read: ${whyUnreadable(error)}`,
    );
  });
  const isJson = extname(path).toLowerCase() === ".json";
  const records = isJson ? parseJson(text, path) : parseCsv(text, path);
  return records.map(({ record, place }) => {
    const { success, data, error } = row.safeParse(record);
    if (success) return { ...data, place };
    const [issue] = error.issues;
    throw new UserError(
      `${path}, ${place}: ${[...issue.path, issue.message].join(": ")}; the columns are file, label and, if wanted, split`,
    );
  });
}

/** A row as it was read, and where. */
interface Placed {
  record: unknown;
  place: string;
}

function parseJson(text: string, path: string): readonly Placed[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new UserError(`${path} is not JSON: ${(error as Error).message}`);
  }
  if (Array.isArray(document))
    return document.map((record: unknown, index) => ({ record, place: `element ${index}` }));
  throw new UserError(`${path} has to hold an array of { "file": …, "label": … }`);
}

function parseCsv(text: string, path: string): readonly Placed[] {
  try {
    const rows: { record: unknown; info: { lines: number } }[] = parse(text, {
      info: true,
      bom: true,
      columns: (names: string[]) => names.map((name) => name.trim().toLowerCase()),
      skip_empty_lines: true,
      trim: true,
      delimiter: [",", ";", "\t"],
      cast: (value, { header, column }) => (header || value !== "" || column !== "split" ? value : undefined),
    });
    return rows.map(({ record, info }) => ({ record, place: `line ${info.lines}` }));
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    throw new UserError(`${path} is not CSV: ${error.message}`);
  }
}
