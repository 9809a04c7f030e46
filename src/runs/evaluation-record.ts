import * as z from "zod";
import { encodePng } from "#image-file";
import { join, runFiles } from "#platform";
import { UserError } from "../common/errors.ts";
import { fileError } from "../common/file-errors.ts";
import { parse } from "../common/schema.ts";
import { type Details, type Picture, withPictures } from "../tasks/details.ts";
import { exists, makeFolder, readJson, writeJson } from "./run-folder.ts";

// `evaluation.json`: what the evaluation of the test set found beside its metrics. It holds no pixels: pictures are
// files beside it.

/** The form of the file. */
const format = 1;

const name = "evaluation.json";

/** The folder with its pictures, and how they are called. */
const pictureFolder = "pictures/evaluation";
const pictureFile = /^pictures\/evaluation\/[\w-]+\.png$/;

/** Pixels along the longer side of a picture, at most; of several beside each other as many for each. */
const pictureSize = 192;

const column = z.object({
  name: z.string(),
  label: z.string(),
  unit: z.enum(["%", ""]),
  meaning: z.string().optional(),
  better: z.enum(["higher", "lower"]).optional(),
});
const value = z.union([z.number(), z.string(), z.null()]);
const id = z.string().regex(/^[\w-]+$/);
const titled = { id, title: z.string(), note: z.string().optional() };

const schema = z.object({
  format: z.number(),
  /** The kind of problem, such as `classification`. */
  task: z.string(),
  /** What was evaluated on. */
  data: z.string(),
  samples: z.number().int(),
  details: z.object({
    tables: z.array(
      z
        .object({
          ...titled,
          rowsAre: z.string(),
          columns: z.array(column),
          rows: z.array(z.object({ name: z.string(), values: z.array(value) })),
          compared: z.string().optional(),
        })
        .refine(({ columns, rows }) => rows.every(({ values }) => values.length === columns.length), {
          message: "a row has more or fewer values than there are columns",
        }),
    ),
    matrices: z.array(
      z
        .object({
          ...titled,
          rowsAre: z.string(),
          columnsAre: z.string(),
          rows: z.array(z.string()),
          columns: z.array(z.string()),
          counts: z.array(z.array(z.number())),
        })
        .refine(
          ({ rows, columns, counts }) =>
            counts.length === rows.length && counts.every((row) => row.length === columns.length),
          { message: "counts has another size than rows and columns" },
        ),
    ),
    samples: z.array(
      z.object({
        ...titled,
        columns: z.array(column),
        panels: z.number().int().positive().optional(),
        legend: z
          .array(
            z.object({
              label: z.string(),
              color: z
                .string()
                .regex(/^#[0-9a-f]{6}$/)
                .optional(),
            }),
          )
          .optional(),
        items: z.array(
          z.object({
            index: z.number().int(),
            values: z.array(value),
            picture: z.string().regex(pictureFile, "it has to be a file in pictures/evaluation"),
          }),
        ),
      }),
    ),
  }),
});

/** What a run folder holds of its evaluation; pictures are paths from the folder. */
export type EvaluationRecord = z.infer<typeof schema>;

/** Writes an evaluation into a run folder, in place of an earlier one: pictures first, the record last. */
export async function writeEvaluation(
  folder: string,
  { details, ...evaluated }: Omit<EvaluationRecord, "format" | "details"> & { details: Details },
): Promise<void> {
  for (const earlier of [name, pictureFolder]) await runFiles.remove(join(folder, earlier));
  await makeFolder(join(folder, pictureFolder));
  const { stored, pictures } = await drawPictures(details);
  for (const { path, png } of pictures) await runFiles.replace(join(folder, path), png);
  const record = { format, ...evaluated, details: stored };
  await writeJson(join(folder, name), record);
}

/** What an evaluation found with its pictures as PNG files: their paths from the run folder stand in their places. */
export async function drawPictures(details: Details) {
  const panels = new Map(details.samples.map((set) => [set.id, set.panels ?? 1]));
  const found: { path: string; picture: Picture; longest: number }[] = [];
  const stored = withPictures(details, (picture, { id: set, index }) => {
    const path = `${pictureFolder}/${set}-${index}.png`;
    found.push({ path, picture, longest: pictureSize * (panels.get(set) ?? 1) });
    return path;
  });
  const pictures: { path: string; png: Uint8Array }[] = [];
  for (const { path, picture, longest } of found)
    pictures.push({ path, png: await encodePng(picture, longest) });
  return { stored, pictures };
}

/**
 * The evaluation in a run folder; nothing where it holds none.
 * @throws UserError for one that is damaged, or that a later version wrote
 */
export async function readEvaluation(folder: string): Promise<EvaluationRecord | undefined> {
  const path = join(folder, name);
  if (!(await exists(path))) return undefined;
  const written = await readJson<{ format?: unknown }>(path);
  if (typeof written.format === "number" && written.format > format)
    throw new UserError(
      `${path} is of format ${written.format}; this version of Lowland reads formats up to ${format}: use the version that wrote it`,
    );
  try {
    return parse(schema, written);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${path} is damaged: ${error.message}; restore it, or remove it to do without it`);
  }
}

/** A picture of an evaluation, as a PNG file; nothing where somebody has removed it. */
export async function readEvaluationPicture(
  folder: string,
  picture: string,
): Promise<Uint8Array | undefined> {
  const path = join(folder, picture);
  if (!(await exists(path))) return undefined;
  return runFiles.read(path).catch((error) => {
    throw fileError(error, `${path} could not be read`);
  });
}
