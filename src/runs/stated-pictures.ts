import { basename } from "#platform";
import { isObject } from "../common/objects.ts";

/**
 * The settings of a run whose network is an ONNX file, with the form of pictures that the file states. What the settings
 * say of pictures themselves counts; settings of other networks stay as they are.
 * @param bytes of the file, where they are not read from its path
 * @throws UserError when the file cannot be read
 */
export async function withStatedPictures<Settings extends { model?: unknown; images?: unknown }>(
  settings: Settings,
  bytes?: Uint8Array,
): Promise<Settings> {
  const { model, images } = settings;
  if (!isObject(model) || typeof model.file !== "string") return settings;
  const { readModelFile } = await import("../import/load.ts");
  const { statedPictures } = await import("../tasks/picture-form.ts");
  const stated = statedPictures(await readModelFile(bytes ?? model.file, basename(model.file)));
  if (images !== undefined && !isObject(images)) return settings;
  return { ...settings, images: { ...stated, ...images } };
}
