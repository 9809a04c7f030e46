import { type DecodedImage, type ImageForm, UnreadableImage } from "../data/image-form.ts";
import { elementCount } from "../graph/graph.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { TaskData } from "../runs/model-file.ts";
import type { Engine } from "../runtime/engine.ts";
import { statedInput } from "../tasks/model-metadata.ts";
import { type FileToRun, type FileValues, loadToRun, openToRun, type RunFileOptions } from "./file-to-run.ts";

// Picture files one after the other through a model, whatever it is for.

/** What is found in a picture file, or why the file cannot be read. */
export type InPicture<Found> = ({ file: string } & Found) | { file: string; error: string };

/**
 * Reads picture files and looks at them, some at a time. A file that is not a picture has the reason in its place.
 * @param read reads one file
 * @param look finds something in each of the pictures
 */
export async function overPictures<Picture, Found>(
  files: readonly string[],
  {
    atOnce,
    read,
    look,
    onProgress,
  }: {
    atOnce: number;
    read: (file: string) => Promise<Picture>;
    look: (pictures: readonly Picture[]) => Promise<readonly Found[]>;
    onProgress?: (pictures: number, total: number) => void;
  },
): Promise<InPicture<Found>[]> {
  const found: InPicture<Found>[] = [];
  for (let start = 0; start < files.length; start += atOnce) {
    const batch = files.slice(start, start + atOnce);
    const pictures = await Promise.all(batch.map((file) => pictureOrReason(file, read)));
    const readable = pictures.flatMap((each) => ("picture" in each ? [each.picture] : []));
    const seen = (readable.length > 0 ? await look(readable) : []).values();
    for (const [index, file] of batch.entries()) {
      const own = pictures[index];
      if ("error" in own) found.push({ file, error: own.error });
      else found.push({ file, ...(seen.next().value as Found) });
    }
    onProgress?.(found.length, files.length);
  }
  return found;
}

async function pictureOrReason<Picture>(
  file: string,
  read: (file: string) => Promise<Picture>,
): Promise<{ picture: Picture } | { error: string }> {
  try {
    return { picture: await read(file) };
  } catch (error) {
    if (error instanceof UnreadableImage) return { error: error.message };
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return { error: code === "ENOENT" ? "there is no such file" : message };
  }
}

/** What a model gives for some pictures: a row for each. */
export interface PictureValues extends FileValues {
  pictures: number;
}

/**
 * Loads a file that takes pictures into an engine. They are scaled as its metadata say, or else as `normalization` does
 * (default: `imagenet` for color, `unit` for gray).
 * @param data what is opened for: a task on pictures of the form
 * @returns the file, and what gives its values, for as many pictures at a time as it takes
 */
export async function loadForPictures(
  engine: Engine,
  model: string | Uint8Array,
  proto: ModelProto,
  {
    data,
    form,
    name,
    onNote,
    normalization,
    dimensions,
    output,
  }: RunFileOptions & { data: TaskData; form: ImageForm; name: string },
): Promise<{
  file: FileToRun;
  valuesOf: (pictures: readonly DecodedImage[]) => AsyncGenerator<PictureValues>;
}> {
  const own = statedInput(proto) ? undefined : form.channels === 3 ? "imagenet" : "unit";
  const file = openToRun(proto, data, { dimensions, output, onNote, normalization: normalization ?? own });
  const give = await loadToRun(engine, model, file, { name, stored: data.task.input, onNote });
  const [size] = file.input.shape;
  async function* valuesOf(pictures: readonly DecodedImage[]) {
    for (let start = 0; start < pictures.length; start += size) {
      const batch = pictures.slice(start, start + size);
      const shape = [batch.length, form.channels, form.height, form.width];
      const pixels = new Float32Array(elementCount(shape));
      for (const [index, picture] of batch.entries()) pixels.set(picture.data, index * picture.data.length);
      yield { ...(await give({ type: "float32", shape, data: pixels })), pictures: batch.length };
    }
  }
  return { file, valuesOf };
}
