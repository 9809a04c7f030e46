import { UserError } from "../common/errors.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { CocoId, CocoPerson } from "./sets/coco-keypoints.ts";
import { ChannelSums, type DataSource, type ImageClasses, type Sample } from "./source.ts";

// Persons with their joints as samples. Coordinates: the center of a pixel is a whole number.

/** A person: the part of a picture around it, and the truth about it in pixels of that part. */
export interface PersonSample extends Sample {
  /** [3, height, width], 0 … 255; each sample has its own size. */
  image: TensorData<"uint8">;
  /** [joints, 3]: x, y and visibility (0: not labelled, 1: hidden, 2: visible). */
  keypoints: TensorData<"float32">;
  /** [4]: left, top, width, height. */
  box: TensorData<"float32">;
  /** []: of the person's outline, in pixels of the part. */
  area: TensorData<"float32">;
  /** [3]: where the part's first pixel lies in the picture, x and y, and how many pixels of the picture one of it is. */
  place: TensorData<"float32">;
  /** []: which picture of the set. */
  picture: TensorData<"int32">;
}

/** Persons in pictures of one set. */
export interface Persons extends DataSource<PersonSample> {
  /** Height of the network's input that the parts have the resolution for. */
  readonly size: number;
  readonly joints: readonly string[];
  /** Joints that a drawing connects, by index. */
  readonly limbs: readonly (readonly [number, number])[];
  /** Of each channel, on the 0 … 1 scale: what normalization subtracts and divides by. */
  readonly mean: ImageClasses["mean"];
  readonly deviation: ImageClasses["deviation"];
  /** Labelled joints of a person, on average. */
  readonly labelled: number;
  /** What evaluation by COCO's rules has to know beside samples. Absent: samples are all there is. */
  readonly annotated?: AnnotatedPictures;
  /** How sure a detector was of each box. Absent: the boxes are annotated ones. */
  readonly scores?: readonly number[];
  /**
   * What a detector found in the same pictures: persons without labelled joints, one for each box, with `scores`.
   * @param file in COCO's format of results
   * @throws UserError for a file that cannot be read, and for boxes of other pictures
   */
  withBoxes?(file: string): Persons;
}

/** All that is annotated in the pictures of a set: crowds and persons without labelled joints too. */
export interface AnnotatedPictures {
  /** Id of the persons' category. */
  category: CocoId;
  /** Ids of pictures, by the numbers that samples have for them. */
  pictures: readonly CocoId[];
  persons: readonly CocoPerson[];
}

/** @throws UserError for data without joints */
export function personsOf(source: DataSource): Persons {
  if ("joints" in source && "labelled" in source) return source as Persons;
  throw new UserError(
    `${source.name} has no joints: pose estimation needs persons with joints, as people or a folder in COCO's format has`,
  );
}

/** How many persons the statistics of a set are measured on, at most. */
const measuredPersons = 500;

/** Mean and deviation of pixels, and the number of labelled joints, of the first persons of a set. */
export async function measuredPersonsOf({
  count,
  read,
}: Pick<DataSource<PersonSample>, "count" | "read">): Promise<
  Pick<Persons, "mean" | "deviation" | "labelled">
> {
  const sums = new ChannelSums(3);
  const measured = Math.min(count, measuredPersons);
  let labelled = 0;
  for (let index = 0; index < measured; index++) {
    const { image, keypoints } = await read(index);
    sums.add(image.data);
    labelled += keypoints.data.filter((value, at) => at % 3 === 2 && value > 0).length;
  }
  return { ...sums.normalization(255), labelled: labelled / measured };
}
