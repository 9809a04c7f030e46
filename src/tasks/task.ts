import type { z } from "zod";
import type { Random } from "../common/random.ts";
import type { EpochOrder } from "../data/rows.ts";
import type { DataSource, Sample } from "../data/source.ts";
import type { Shape, TensorType, Value } from "../graph/graph.ts";
import type { Tensors } from "../onnx/tensor.ts";

// What differs between kinds of problem, and nothing else. Runs, measurements, reports and the command line know tasks
// through these types alone.

/** A number that says how good predictions are, and how people read it. */
export interface MetricInfo {
  /** Its key in records. */
  name: string;
  /** What people call it. */
  label: string;
  /** `%`: a share from 0 to 1, shown in percent. */
  unit: "%" | "";
  better: "higher" | "lower";
  /** What it is, as a sentence fragment, where the label does not say it. */
  meaning?: string;
}

/** What a task minimizes, as people read it. */
export interface LossInfo {
  name: string;
  unit: string;
}

/** Gathers predictions batch by batch. */
export interface Metric<S extends Sample = Sample> {
  /** @param predicted what `Task.predict` gives, a row for each sample */
  add(predicted: Tensors, samples: readonly S[]): void;
  /** By names of the task's metrics. Those that do not apply are left out. */
  result(): Record<string, number>;
}

/** A problem on certain data: how samples become inputs, what is minimized, and what is looked at. */
export interface Task<S extends Sample = Sample> {
  /** The network's input for one example, as it is stored: `[channels, height, width]`. */
  readonly input: Shape;
  /** What the network gives for one example: `[classes]`, `[joints, height, width]`, … */
  readonly output: Shape;
  /** What a row has beside `input`, each without the batch axis. */
  readonly targets: Readonly<Record<string, TensorType>>;
  readonly inputDescription: InputDescription;
  /** What a written model says of itself beside its input: `lowland.<name>` in its metadata, as JSON. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Makes the stored input what the network's first layer takes. Part of every graph and of the written model. */
  prepare(input: Value): Value;
  /** A sample in the inputs of a step: `input` and the targets. With a random stream it is augmented. */
  row(sample: S, random?: () => Random): Tensors;
  /** Mean loss of a batch: a scalar. */
  loss(output: Value, targets: Targets, purpose: LossPurpose): Value;
  /** What metrics read of the network's output. */
  predict(output: Value): Readonly<Record<string, Value>>;
  /** Means over the batch that flatness and landscapes show beside the loss, by names of the task's metrics. */
  batchMetrics(output: Value, targets: Targets): Readonly<Record<string, Value>>;
}

/** Inputs of a graph by the names in {@link Task.targets}, with the batch axis. */
export type Targets = Readonly<Record<string, Value>>;

/** `test`: without what only regularizes training, such as label smoothing. */
export type LossPurpose = "training" | "test";

/** What the pixels of an input are, for the metadata of a written model. */
export interface InputDescription {
  layout: "NCHW" | "NHWC" | "flat";
  channels: "gray" | "RGB" | "other";
  /** The values that stand for black and white. */
  range: readonly [low: number, high: number];
  /** Of an input that is normalized outside the model: what is done to values of that range, channel by channel. */
  normalization?: { mean: readonly number[]; deviation: readonly number[] };
}

/** Something to measure at the end of an epoch: predictions on a source, and what metrics make of them. */
export interface Evaluation<S extends Sample = Sample> {
  source: DataSource<S>;
  metric: () => Metric<S>;
}

/** A task with the data it is trained and tested on. */
export interface OpenedTask<S extends Sample = Sample> {
  task: Task<S>;
  train: DataSource<S>;
  /** Default: every sample once, shuffled. */
  order?: EpochOrder;
  /** The first is of the test set, and its loss is the test loss. */
  evaluations: readonly [Evaluation<S>, ...Evaluation<S>[]];
}

/** The training and the test part of some data. */
export interface DataPair<S extends Sample = Sample> {
  train: DataSource<S>;
  test: DataSource<S>;
}

/** A kind of problem: what its folder exports. */
export interface TaskKind<Shape extends z.ZodRawShape = z.ZodRawShape, S extends Sample = Sample> {
  readonly name: string;
  /** Its part of a run's document. */
  readonly settings: Shape;
  readonly loss: LossInfo;
  /** The first one leads in tables and charts. */
  readonly metrics: readonly [MetricInfo, ...MetricInfo[]];
  /**
   * @throws UserError for data of another kind, and for settings that do not fit them
   */
  open(settings: z.infer<z.ZodObject<Shape>>, data: DataPair, seed: number): OpenedTask<S>;
}
