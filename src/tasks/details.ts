// What an evaluation found beside its metrics, as data: tables, counts of pairs, and samples to look at. A task fills
// these in; records, the command line and reports show them and know nothing of the task.

/** @typeParam P what stands for a picture: its pixels, or where they are */
export interface Details<P = Picture> {
  tables: readonly DetailTable[];
  matrices: readonly DetailMatrix[];
  samples: readonly DetailSamples<P>[];
}

/** Letters, digits and dashes, different in each part of an evaluation. */
type Id = string;

export interface DetailTable {
  id: Id;
  title: string;
  /** A sentence on how to read it. */
  note?: string;
  /** What a row is, such as `class`. */
  rowsAre: string;
  columns: readonly DetailColumn[];
  rows: readonly { name: string; values: readonly DetailValue[] }[];
  /** The name of the column that tells runs apart, where there are several. */
  compared?: string;
}

export interface DetailColumn {
  name: string;
  label: string;
  /** `%`: a share from 0 to 1, shown in percent. Of counts and texts `""`. */
  unit: "%" | "";
  /** What it is, where the label does not say it. */
  meaning?: string;
  better?: "higher" | "lower";
}

/** `null`: not defined, or not finite. */
export type DetailValue = number | string | null;

/** How often each thing of one kind met each of another. */
export interface DetailMatrix {
  id: Id;
  title: string;
  note?: string;
  /** What rows and columns are, such as `given class` and `predicted class`. */
  rowsAre: string;
  columnsAre: string;
  rows: readonly string[];
  columns: readonly string[];
  /** [rows][columns] */
  counts: readonly (readonly number[])[];
}

/** Single samples with what was found of each. */
export interface DetailSamples<P = Picture> {
  id: Id;
  title: string;
  note?: string;
  columns: readonly DetailColumn[];
  /** How many pictures of a sample each picture shows beside each other. Default 1. */
  panels?: number;
  /** What the colors in the pictures stand for. */
  legend?: readonly LegendEntry[];
  items: readonly {
    /** Its place in the data. */
    index: number;
    values: readonly DetailValue[];
    picture: P;
  }[];
}

/** What a color stands for, as `#rrggbb`; without one: what is left as it is. */
export interface LegendEntry {
  label: string;
  color?: string;
}

/** Pixels to look at. */
export interface Picture {
  /** 1: gray, 3: RGB. */
  channels: 1 | 3;
  height: number;
  width: number;
  /** [channels, height, width], 0 … 255. */
  data: Uint8Array;
}

/** The same details with something else for each picture. */
export function withPictures<P, Q>(
  { tables, matrices, samples }: Details<P>,
  of: (picture: P, place: { id: string; index: number }) => Q,
): Details<Q> {
  return {
    tables,
    matrices,
    samples: samples.map(({ items, ...set }) => ({
      ...set,
      items: items.map(({ index, values, picture }) => ({
        ...{ index, values },
        picture: of(picture, { id: set.id, index }),
      })),
    })),
  };
}
