import * as z from "zod";
import { flags } from "../common/flags.ts";
import { datasetNames } from "../data/data-options.ts";
import { firstTask, taskNames } from "../tasks/index.ts";

// The part of a run's document about its data, before what the task makes of them.

const count = z.number().int().positive();

export const dataSettings = {
  task: z
    .enum(taskNames)
    .default(firstTask)
    .describe("The kind of problem.")
    .register(flags, { group: "Data" }),
  data: z
    .string()
    .default("fashion-mnist")
    .describe(
      `A data set's name (${datasetNames.map((name) => `\`${name}\``).join(", ")}), or the path of a folder of pictures with a folder per class, a list of pictures (.csv, .json), an .npz file, or a folder of .npy or IDX files; for segmentation a folder with \`images/\` and \`masks/\` or one in Pascal VOC's format, for pose one in COCO's format.`,
    )
    .register(flags, { group: "Data", value: "<name>" }),
  images: z
    .strictObject({
      size: count
        .default(64)
        .describe("Height and width that pictures are scaled to.")
        .register(flags, { name: "image-size", value: "<pixels>" }),
      channels: z
        .union([z.literal(1), z.literal(3)])
        .default(3)
        .describe("Channels of pictures; 1: gray, 3: RGB."),
      fit: z
        .enum(["crop", "stretch", "pad"])
        .default("crop")
        .describe(
          "How pictures become images of that size. `crop`: scaled to cover it, the rest cut off; `stretch`: along each axis; `pad`: scaled to fit inside, the rest black.",
        ),
      testShare: z
        .number()
        .gt(0)
        .lt(1)
        .default(0.2)
        .describe("Share of each class of pictures that is for testing, unless a folder or list says so."),
      onBadImage: z
        .enum(["refuse", "skip"])
        .default("refuse")
        .describe("What to do about files that are no pictures."),
      maskColors: z
        .record(z.string(), z.string())
        .optional()
        .describe(
          'Segmentation with masks that hold colors: the color of each class, such as `{ "background": "#000000", "cat": "#ff0000" }`. Classes are numbered in this order. Left out: masks hold class numbers.',
        )
        .register(flags, { name: "mask-color", value: "<class=color>" }),
      ignoredColor: z
        .string()
        .optional()
        .describe("Segmentation with masks that hold colors: the color of pixels of no class.")
        .register(flags, { value: "<color>" }),
    })
    .prefault({})
    .register(flags, { group: "Data", prefix: "" }),
  limit: count
    .optional()
    .describe("Number of training images, drawn by the seed. Left out: all.")
    .register(flags, { group: "Data" }),
};
