import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { evaluationBatches, trainingBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { sharpnessGraph, sharpnessRecord } from "../flatness/sharpness.ts";
import { scalarData } from "../graph/constants.ts";
import { elementCount, Graph, type Value } from "../graph/graph.ts";
import { copyInto, nodesOf } from "../graph/walk.ts";
import { compile } from "../lower/compile.ts";
import { buildModel, drawRandomInputs, type Layer, type Model } from "../nn/module.ts";
import { type CrossEntropyOptions, softmaxCrossEntropy } from "../ops/losses.ts";
import { argMax } from "../ops/reduction.ts";
import type { Objective } from "../optim/training-step.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import type { SharpnessRecord } from "../train/records.ts";

// What makes a training run one of image classification: logits of classes, softmax cross entropy, accuracy.

/** A network for images of one shape. */
export interface Classifier {
  layer: Layer;
  /** [C, H, W] */
  inputShape: readonly number[];
  /** Images that it takes at a time, where it takes no other number. */
  ownBatch?: number;
  /** How it is written with trained numbers. Default: built for inference. */
  write?: (tensors: Tensors) => Uint8Array;
  /** What a person should know of how it is used, once it was built. */
  notes?: readonly string[];
}

/** The loss of one batch as the classifier is trained on it: in training mode or, to look at its flatness, inference. */
export function classificationObjective(
  { layer, inputShape }: Classifier,
  { batchSize, training, ...loss }: { batchSize: number; training: boolean } & CrossEntropyOptions,
): { objective: Objective; model: Model } {
  const model = buildModel(layer, { inputShape, batchSize, training });
  const target = model.graph.input("target", "int32", [batchSize]);
  const input = (name: string) => model.graph.inputs.get(name)!;
  return {
    model,
    objective: {
      loss: softmaxCrossEntropy(model.logits, target, loss),
      parameters: new Map(model.parameters.map(({ name }) => [name, input(name)])),
      // In inference mode they stay what they are.
      buffers: new Map(model.buffers.map(({ name }) => [name, model.bufferUpdates.get(name) ?? input(name)])),
    },
  };
}

/**
 * The micro-batches of a mini-batch: as many as asked for, or each as large as the only batch that the network takes.
 * @throws UserError for a batch size that they do not divide
 */
export function microBatchCount(
  { batchSize, microBatches }: { batchSize: number; microBatches: number },
  ownBatch: number | undefined,
): number {
  if (ownBatch === undefined && batchSize % microBatches !== 0) {
    throw new UserError(
      `microBatches is ${microBatches}; it has to divide the batch size, which is ${batchSize}`,
    );
  }
  if (ownBatch === undefined) return microBatches;
  const count = batchSize / ownBatch;
  if (!Number.isInteger(count)) {
    throw new UserError(
      `the model takes ${ownBatch} examples at a time, which does not divide the batch size ${batchSize}; choose a multiple of ${ownBatch}, or export the model with a dynamic batch`,
    );
  }
  if (microBatches !== 1 && microBatches !== count) {
    throw new UserError(
      `microBatches is ${microBatches}; the model takes ${ownBatch} examples at a time, so a batch of ${batchSize} has ${count} micro-batches`,
    );
  }
  return count;
}

/** The feeds of each training step of an epoch: images, classes, and what the network wants drawn at random. */
export function* trainingFeeds(
  dataset: ImageDataset,
  model: Model,
  { microBatches, ...options }: Parameters<typeof trainingBatches>[1] & { microBatches: number },
): Generator<Tensors> {
  const random = randomStream(options.seed, "network", options.epoch);
  for (const { input, target } of trainingBatches(dataset, options)) {
    yield { ...feedsOf(dataset, input, target), ...drawRandomInputs(model, random, microBatches) };
  }
}

/** Images that are evaluated at a time, at most, and the bytes that all results of all layers may have then. */
const evaluationBatch = { images: 250, bytes: 2 ** 30 };

/**
 * How many images to evaluate at a time: the network's own batch; or as many as there are up to 250, or for a large
 * network, whose gradient keeps the results of all layers, an equal part of 250 that fits in memory.
 */
export function evaluationBatchSize({ layer, inputShape, ownBatch }: Classifier, available: number): number {
  if (ownBatch !== undefined) return ownBatch;
  const most = Math.min(evaluationBatch.images, available);
  const { logits } = buildModel(layer, { inputShape, batchSize: most, training: false });
  const results = nodesOf([logits]).flatMap((node) => node.outputs);
  const bytes = results.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
  return Math.max(1, Math.floor(most / Math.ceil(bytes / evaluationBatch.bytes)));
}

/** Measures a classifier whose parameters are stored in an engine, on data sets of its image shape. */
export class ClassifierEvaluation {
  private readonly engine: Engine;
  private readonly batchSize: number;
  private readonly dataset: ImageDataset;
  private readonly program: string;

  private constructor(engine: Engine, dataset: ImageDataset, program: string, batchSize: number) {
    this.engine = engine;
    this.dataset = dataset;
    this.program = program;
    this.batchSize = batchSize;
  }

  static async prepare(engine: Engine, classifier: Classifier, dataset: ImageDataset, program: string) {
    const batchSize = evaluationBatchSize(classifier, dataset.count);
    const model = buildModel(classifier.layer, {
      inputShape: classifier.inputShape,
      batchSize,
      training: false,
    });
    outputEvaluation(model.logits);
    await engine.load(program, compile(model.graph, { target: await engine.target() }));
    return new ClassifierEvaluation(engine, dataset, program, batchSize);
  }

  /** Mean plain cross entropy, and the share of right answers, over all images or those where `among` is not 0. */
  measure(among?: Uint8Array): Promise<{ loss: number; accuracy: number }> {
    const run = async (feeds: Tensors) => (await this.engine.run(this.program, feeds)).outputs;
    return measureBatches(this.dataset, this.batchSize, run, { among });
  }
}

/** Ends a graph of logits with what {@link measureBatches} reads: each image's loss and class. Its input is `target`. */
export function outputEvaluation(logits: Value): void {
  const target = logits.graph.input("target", "int32", [logits.shape[0]]);
  logits.graph.output("loss", softmaxCrossEntropy(logits, target, { reduction: "none" }));
  logits.graph.output("predicted", argMax(logits, 1));
}

/** Mean loss and accuracy over a data set, of what `run` gives for `input` and `target` of each batch. */
export async function measureBatches(
  dataset: ImageDataset,
  batchSize: number,
  run: (feeds: Tensors) => Promise<Tensors>,
  { among, onProgress }: { among?: Uint8Array; onProgress?: (images: number, total: number) => void } = {},
): Promise<{ loss: number; accuracy: number }> {
  let [loss, right, counted, seen] = [0, 0, 0, 0];
  for (const { input, target, indices, count } of evaluationBatches(dataset, { batchSize })) {
    const labels = target.slice();
    const outputs = await run(feedsOf(dataset, input, target));
    for (let index = 0; index < count; index++) {
      if (among && among[indices[index]] === 0) continue;
      loss += Number(outputs.loss.data[index]);
      right += Number(outputs.predicted.data[index]) === labels[index] ? 1 : 0;
      counted++;
    }
    seen += count;
    onProgress?.(seen, dataset.count);
  }
  return { loss: loss / counted, accuracy: right / counted };
}

/** Batches of its own that the sharpness of a network is measured on, at most: each is a part of the graph. */
const mostOwnBatches = 32;

/**
 * The one-step sharpness of the training loss (smoothed labels, no augmentation, BatchNorm in inference mode) on the
 * first images of a data set (a whole number of evaluation batches), for a classifier whose parameters are stored in an engine.
 */
export class SharpnessMeasurement {
  private readonly engine: Engine;
  private readonly feeds: () => Tensors;
  private readonly setting: { rho: number; images: number };

  private constructor(engine: Engine, feeds: () => Tensors, setting: { rho: number; images: number }) {
    this.engine = engine;
    this.feeds = feeds;
    this.setting = setting;
  }

  static async prepare(
    engine: Engine,
    classifier: Classifier,
    dataset: ImageDataset,
    { rho, images, ...loss }: { rho: number; images: number } & CrossEntropyOptions,
  ) {
    const batchSize = evaluationBatchSize(classifier, Math.min(images, dataset.count));
    const available = Math.floor(Math.min(images, dataset.count) / batchSize);
    if (available === 0) {
      throw new UserError(
        `the model takes ${batchSize} images at a time, and its sharpness is measured on ${Math.min(images, dataset.count)}; measure it on ${batchSize} or more`,
      );
    }
    const parts = classifier.ownBatch === undefined ? available : Math.min(available, mostOwnBatches);
    const { objective } = classificationObjective(classifier, { batchSize, training: false, ...loss });
    const graph = sharpnessGraph(objective, { parts });
    await engine.load("sharpness", compile(graph, { target: await engine.target() }));
    const measured = parts * batchSize;
    const [{ input, target }] = evaluationBatches(dataset, { batchSize: measured, limit: measured });
    const feeds = () => ({
      ...feedsOf(dataset, input.slice(), target.slice()),
      rho: scalarData(rho, "float32"),
    });
    return new SharpnessMeasurement(engine, feeds, { rho, images: measured });
  }

  async measure(): Promise<SharpnessRecord> {
    const { outputs } = await this.engine.run("sharpness", this.feeds());
    return sharpnessRecord(outputs, this.setting);
  }
}

/**
 * The trained network as an ONNX file for inference: input `input` [batch, C, H, W], output `logits`
 * [batch, classes], no softmax, BatchNorm with its running statistics, weights inside under their own names. A network
 * that came as a file is that file with its new weights.
 */
export function inferenceModel({ layer, inputShape, write }: Classifier, tensors: Tensors): Uint8Array {
  if (write) return write(tensors);
  const build = (batchSize: number) => {
    const { graph, logits } = buildModel(layer, { inputShape, batchSize, training: false });
    graph.output("logits", logits);
    return graph;
  };
  const weights = new Map(Object.entries(tensors));
  const symbolicBatch = dependsOnBatchSize(build(1), build(2)) ? undefined : "batch";
  return compile(build(1), { weights, symbolicBatch, name: "classifier" });
}

/** Whether two graphs of one network for different batch sizes hold different constants or attributes. */
function dependsOnBatchSize(one: Graph, other: Graph): boolean {
  // Copied into one graph, equal nodes on equal inputs become the same node.
  const joined = new Graph();
  const [a] = copyInto(joined, [...one.outputs.values()]);
  const inputs = new Map([...other.inputs].map(([name, input]) => [input, joined.inputs.get(name)!]));
  const [b] = copyInto(joined, [...other.outputs.values()], inputs);
  return a !== b;
}

/** Images and class numbers as the inputs of a classifier. */
export function feedsOf(
  dataset: ImageDataset,
  input: Float32Array<ArrayBuffer>,
  target: Int32Array<ArrayBuffer>,
): Tensors {
  return {
    ...imageFeed(dataset, input),
    target: { type: "int32", shape: [target.length], data: target },
  };
}

/** The feed of a network's images alone. */
export function imageFeed(
  { channels, height, width }: ImageDataset,
  input: Float32Array<ArrayBuffer>,
): Tensors {
  const size = channels * height * width;
  return {
    input: { type: "float32", shape: [input.length / size, channels, height, width], data: input },
  };
}
