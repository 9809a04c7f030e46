import { UserError } from "../common/errors.ts";
import type { PictureOptions } from "../data/data-options.ts";
import type { ImageForm } from "../data/image-form.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { statedInput } from "./model-metadata.ts";

// The pictures that an ONNX file takes, by its input [N, C, H, W] or [N, H, W, C] and its metadata.

/**
 * The form that picture files are decoded to for a model.
 * @param imageSize [height, width] where the file leaves them open
 * @throws UserError if its input is no picture, or its size is open and not given
 */
export function pictureForm(
  model: ModelProto,
  {
    imageSize,
    fit = statedInput(model)?.fit ?? "crop",
  }: { imageSize?: readonly [number, number]; fit?: ImageForm["fit"] },
): ImageForm {
  const { name, sizes, channels, height, width } = inputOf(model);
  if (sizes.length !== 4)
    throw new UserError(
      `the model's input "${name}" has ${sizes.length} axes; a model of pictures takes [batch, channels, height, width] or [batch, height, width, channels]`,
    );
  if (!isColor(channels))
    throw new UserError(
      `the model takes images of ${channels ?? "an open number of"} channels; pictures have 1 or 3`,
    );
  const size = [height ?? imageSize?.[0], width ?? imageSize?.[1]];
  if (size[0] === undefined || size[1] === undefined)
    throw new UserError(
      `the model's file leaves the size of its images open; say it (imageSize, --image-size), such as 224`,
    );
  return { channels, height: size[0], width: size[1], fit };
}

/** What a model states of the pictures it takes, as settings of data. Nothing of other inputs and of open sizes. */
export function statedPictures(model: ModelProto): PictureOptions {
  const { sizes, channels, height, width } = inputOf(model);
  if (sizes.length !== 4) return {};
  const fit = statedInput(model)?.fit;
  return {
    ...(isColor(channels) && { channels }),
    // Data are squares; others are resized from the larger side in the graph.
    ...(height !== undefined && width !== undefined && { size: Math.max(height, width) }),
    ...(fit !== undefined && { fit }),
  };
}

function inputOf(model: ModelProto) {
  const { graph } = model;
  const weights = new Set(graph?.initializer.map((tensor) => tensor.name));
  const input = graph?.input.find((value) => !weights.has(value.name));
  const dims = input?.type?.value.case === "tensorType" ? (input.type.value.value.shape?.dim ?? []) : [];
  const sizes = dims.map(({ value }) =>
    value.case === "dimValue" && value.value > 0n ? Number(value.value) : undefined,
  );
  const [, first, second, last] = sizes;
  const isLast = isColor(last) && !isColor(first);
  const [height, width] = isLast ? [first, second] : [second, last];
  return { name: input?.name, sizes, channels: isLast ? last : first, height, width };
}

function isColor(size: number | undefined): size is 1 | 3 {
  return size === 1 || size === 3;
}
