import { resolve } from "#platform";
import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { decodeImage } from "../data/image-file.ts";
import type { DecodedImage } from "../data/image-form.ts";
import type { Box } from "../data/sets/coco-keypoints.ts";
import { partAround } from "../data/sets/coco-parts.ts";
import { readModelFile } from "../import/load.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { openEngine } from "../runtime/remote.ts";
import { warped } from "../tasks/pose/affine.ts";
import { decodeHeatMaps, jointsInPicture, tapsFor } from "../tasks/pose/decoding.ts";
import { mapToPicture, placementMatrix, regionOf, type Size } from "../tasks/pose/region.ts";
import { withSkeleton } from "../tasks/pose/skeleton-drawing.ts";
import { type StatedPose, statedPose } from "../tasks/pose/stated-pose.ts";
import { type InPicture, overPictures } from "./picture-files.ts";

/** A joint that a model sees in a picture. */
export interface FoundJoint {
  joint: string;
  /** In pixels of the picture as it is shown; the center of a pixel is a whole number. */
  x: number;
  y: number;
  /** The maximum of its heat map: near 1 where the network is sure. */
  score: number;
}

/** What a model sees of a person in a picture file, or why the file cannot be read. */
export type PosePrediction = InPicture<{ joints: readonly FoundJoint[]; drawn: DecodedImage }>;

export interface PredictPosesOptions {
  /** How messages name the model. Default: its path. */
  name?: string;
  /** Where the person is: left, top, width, height in pixels. Default: all of the picture. */
  box?: Box;
  threads?: number;
  onProgress?: (pictures: number, total: number) => void;
}

/** Joints that are drawn, by the maximum of their maps. */
const leastScore = 0.2;

/**
 * The joints of the person in each picture file, by a model for poses that Lowland wrote. A file that is not a picture has
 * its reason in its place.
 * @param model path of the file, or its bytes
 * @throws UserError if it is no such model
 */
export async function predictPoses(
  model: string | Uint8Array,
  files: readonly string[],
  options: PredictPosesOptions = {},
): Promise<PosePrediction[]> {
  readOptions("predictPoses", options, {
    ...{ name: "text", box: "list", threads: "number", onProgress: "function" },
  });
  const { name = typeof model === "string" ? model : "the model", box, threads, onProgress } = options;
  const proto = await readModelFile(model, name);
  const form = statedPose(proto);
  if (!form)
    throw new UserError(`${name} does not state its joints: it is no model for poses that Lowland wrote`);
  const input = inputSize(proto, name);
  const engine = openEngine({ threads });
  try {
    await engine.load("model", typeof model === "string" ? resolve(model) : model);
    const mapsOf = async (pixels: Uint8Array) => {
      const data = new Float32Array(pixels);
      const { outputs } = await engine.run("model", {
        input: { type: "float32", shape: [1, 3, input[1], input[0]], data },
      });
      return outputs.heatmaps.data as Float32Array;
    };
    return await overPictures(files, {
      ...{ atOnce: 1, onProgress },
      read: (file) => decodeImage(file),
      look: async ([picture]) => [await personIn(picture, box, { form, input, mapsOf })],
    });
  } finally {
    await engine.close();
  }
}

async function personIn(
  picture: DecodedImage,
  given: Box | undefined,
  {
    form,
    input,
    mapsOf,
  }: { form: StatedPose; input: Size; mapsOf: (pixels: Uint8Array) => Promise<Float32Array> },
): Promise<{ joints: readonly FoundJoint[]; drawn: DecodedImage }> {
  const { alignment, stride, refinement, sigma, padding } = form;
  const box: Box = given ?? [0, 0, picture.width - 1, picture.height - 1];
  const { image, place } = partAround(picture, box, input[1]);
  const [first, above, factor] = place.data;
  const inPart: Box = [
    (box[0] - first + 0.5) / factor - 0.5,
    (box[1] - above + 0.5) / factor - 0.5,
    box[2] / factor,
    box[3] / factor,
  ];
  // A picture is taken with some room around the person already.
  const region = regionOf(inPart, input, given ? padding : 1);
  const [channels, height, width] = image.shape;
  const matrix = placementMatrix({ ...region, rotation: 0, mirrored: false }, input, alignment);
  const maps = await mapsOf(warped({ channels, height, width, data: image.data }, matrix, input));
  const map: Size = [input[0] / stride, input[1] / stride];
  const decoded = decodeHeatMaps(maps, map, { refinement, taps: tapsFor(sigma) });
  const inPicture = jointsInPicture(decoded, mapToPicture(region, map, alignment)).map((value, at) =>
    at % 3 === 2 ? value : (value + 0.5) * factor - 0.5 + [first, above][at % 3],
  );
  const joints = form.joints.map((joint, index) => {
    const [x, y, score] = inPicture.slice(3 * index, 3 * index + 3);
    return { joint, x, y, score };
  });
  const enlarged = Math.max(1, Math.ceil(300 / Math.max(picture.height, picture.width)));
  const drawn = withSkeleton(picture, inPicture, form, {
    factor: enlarged,
    isShown: (joint) => joints[joint].score >= leastScore,
  });
  return { joints, drawn };
}

/** [width, height] of the input. */
function inputSize({ graph }: ModelProto, name: string): Size {
  const value = graph?.input.find((each) => each.name === "input")?.type?.value;
  const dims = value?.case === "tensorType" ? (value.value.shape?.dim ?? []) : [];
  const [height, width] = dims
    .slice(2)
    .map((dim) => (dim.value.case === "dimValue" ? Number(dim.value.value) : 0));
  if (dims.length === 4 && height > 0 && width > 0) return [width, height];
  throw new UserError(`${name} has no input [batch, 3, height, width] called "input"`);
}
