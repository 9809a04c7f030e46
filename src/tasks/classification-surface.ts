import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { validateDataset, validateLogits } from "../data/validate.ts";
import type { LossSurface } from "../flatness/surface.ts";
import type { Value } from "../graph/graph.ts";
import type { TrainableModel } from "../import/load.ts";
import { buildModel } from "../nn/module.ts";
import { equal } from "../ops/comparison.ts";
import { cast } from "../ops/elementwise.ts";
import { type CrossEntropyOptions, smoothingOptions, softmaxCrossEntropy } from "../ops/losses.ts";
import { argMax, reduceMean } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import { type Classifier, feedsOf } from "./classification.ts";

export interface ClassificationSurfaceOptions extends Omit<CrossEntropyOptions, "reduction"> {
  /** How many images, from the front of the data set; all when left out. */
  images?: number;
  /** Images in one batch; the last one may hold fewer. Default 250. */
  batchSize?: number;
  /**
   * What BatchNorm normalises by: its running statistics (`"evaluation"`, the default), or those of each batch, in
   * which case the loss and its curvature are of batches of `batchSize` and depend on it.
   */
  batchNorm?: "evaluation" | "batch";
}

const surfaceOptions: OptionKinds<ClassificationSurfaceOptions> = {
  ...smoothingOptions,
  images: "number",
  batchSize: "number",
  batchNorm: ["evaluation", "batch"],
};

/** The network of one batch, as far as a loss is taken of it. */
interface Network {
  /** The graph's input of images. */
  input: string;
  logits: Value;
  parameters: ReadonlyMap<string, Value>;
}

/**
 * A classifier's mean cross entropy over a data set, with the metric `accuracy`, as something flatness is measured of.
 * Throws `UserError` when `images` is no whole number from 1 to what the data set has.
 */
export function classificationSurface(
  { layer, inputShape }: Classifier,
  tensors: Tensors,
  dataset: ImageDataset,
  options: ClassificationSurfaceOptions = {},
): LossSurface {
  readOptions("classificationSurface", options, surfaceOptions);
  const images = checkedImages(dataset, options.images);
  const build = (batchSize: number, training: boolean): Network => {
    const { graph, logits, parameters } = buildModel(layer, { inputShape, batchSize, training });
    return {
      input: "input",
      logits,
      parameters: new Map(parameters.map(({ name }) => [name, graph.inputs.get(name)!])),
    };
  };
  return surfaceOf(build, tensors, dataset, { ...options, images });
}

/**
 * The same of an imported ONNX classifier: one float32 input [batch, C, H, W] of the data's image shape, one output
 * [batch, classes]; a Softmax at its end is left out. Load it with `dropout: false`.
 *
 * Throws `UserError` naming what does not fit. A model made for one batch size is measured in batches of that size;
 * images that fill none are left out, so there have to be at least so many.
 */
export function importedSurface(
  model: TrainableModel,
  dataset: ImageDataset,
  given: ClassificationSurfaceOptions & { name?: string } = {},
): LossSurface {
  const kinds = { ...surfaceOptions, name: "text" } as const;
  const { name = "the model", ...options } = readOptions("importedSurface", given, kinds);
  const images = checkedImages(dataset, options.images);
  const build = (batchSize: number, training: boolean): Network => {
    const { inputs, logits, parameters } = model.build({ training, batchSize });
    return { input: [...inputs.keys()][0], logits: [...logits.values()][0], parameters };
  };
  const asked = Math.min(options.batchSize ?? defaultBatchSize, images);
  const { inputs, logits, parameters } = model.build({ training: false, batchSize: asked });
  if (inputs.size !== 1 || logits.size !== 1) {
    throw new UserError(
      `${name} has ${inputs.size} inputs and ${logits.size} outputs; a classifier has one of each`,
    );
  }
  const [[inputName, input]] = inputs;
  const [output] = logits.values();
  const wanted = [dataset.channels, dataset.height, dataset.width];
  if (input.type !== "float32" || input.shape.slice(1).join() !== wanted.join()) {
    throw new UserError(
      `${name} takes ${input.type} [${input.shape.join(", ")}] as "${inputName}"; images of ${dataset.name} are float32 [batch, ${wanted.join(", ")}]`,
    );
  }
  const [batchSize] = input.shape;
  const classes = dataset.classNames.length;
  if (output.shape.join() !== [batchSize, classes].join()) {
    throw new UserError(
      `${name} gives [${output.shape.join(", ")}] for ${batchSize} images; the cross entropy of the ${classes} classes of ${dataset.name} wants [${batchSize}, ${classes}]`,
    );
  }
  if (parameters.size === 0) {
    throw new UserError(`${name} has no parameters that train: there is nothing to be flat in`);
  }
  const isFixed =
    batchSize !== asked ||
    model.build({ training: false, batchSize: 1 }).inputs.get(inputName)!.shape[0] !== 1;
  if (isFixed && images < batchSize) {
    throw new UserError(
      `${name} is made for batches of ${batchSize} images, but the subset has ${images}; choose a subset of at least ${batchSize}`,
    );
  }
  return surfaceOf(build, model.tensors, dataset, {
    ...options,
    batchSize,
    images: isFixed ? images - (images % batchSize) : images,
  });
}

const defaultBatchSize = 250;

function surfaceOf(
  network: (batchSize: number, training: boolean) => Network,
  tensors: Tensors,
  dataset: ImageDataset,
  {
    images,
    batchSize = defaultBatchSize,
    batchNorm = "evaluation",
    ...loss
  }: ClassificationSurfaceOptions & { images: number },
): LossSurface {
  const { input, logits: checked } = network(Math.min(batchSize, images), false);
  validateLogits(checked.shape, dataset);
  const batches = [...evaluationBatches(dataset, { batchSize, limit: images })].map((batch) => {
    const values = batch.input.subarray(0, (batch.input.length / batchSize) * batch.count);
    const labels = batch.target.subarray(0, batch.count);
    const feeds = () => {
      const { input: pixels, target } = feedsOf(dataset, values.slice(), labels.slice());
      return { [input]: pixels, [targetName]: target };
    };
    return { size: batch.count, feeds };
  });
  return {
    tensors,
    batches,
    build: (size) => {
      const { logits, parameters } = network(size, batchNorm === "batch");
      const target = logits.graph.input(targetName, "int32", [size]);
      const isRight = equal(cast(argMax(logits, 1), "int32"), target);
      return {
        loss: softmaxCrossEntropy(logits, target, loss),
        parameters,
        output: logits,
        metrics: new Map([["accuracy", reduceMean(cast(isRight, logits.type))]]),
      };
    },
    description: { data: dataset.name, batchSize: Math.min(batchSize, images), batchNorm, ...loss },
  };
}

/** Not a name that a file is likely to have for something else. */
const targetName = "target class";

function checkedImages(dataset: ImageDataset, images = dataset.count): number {
  validateDataset(dataset);
  if (Number.isInteger(images) && images >= 1 && images <= dataset.count) return images;
  throw new UserError(
    `a subset of ${images} images was asked for, but ${dataset.name} has ${dataset.count}; choose from 1 to ${dataset.count}`,
  );
}
