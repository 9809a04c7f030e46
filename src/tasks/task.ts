import type * as z from "zod";
import type { Random } from "../common/random.ts";
import type { EpochOrder } from "../data/rows.ts";
import type { DataSource, Sample, SampleKind } from "../data/source.ts";
import type { Shape, TensorType, Value } from "../graph/graph.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import type { TaskRecord } from "../train/task-record.ts";
import type { Details } from "./details.ts";
import type { StoredImages } from "./image-input.ts";

// What differs between kinds of problem, and nothing else. Runs, measurements, reports and the command line know tasks
// through these types alone.

/** Gathers predictions batch by batch. */
export interface Metric<S extends Sample = Sample> {
  /**
   * @param predicted what `Task.predict` gives, a row for each sample
   * @param second the same of {@link Evaluation.secondView}
   */
  add(predicted: Tensors, samples: readonly S[], second?: Tensors): void;
  /** By names of the task's metrics. Those that do not apply are left out. */
  result(): Record<string, number>;
  /** What else was found, for a person who wants to know more than the metrics. May read samples again. */
  details?(): Promise<Details>;
  /** All predictions as the text of a file in the field's own format, which other tools evaluate. */
  predictions?(): string;
}

/** A problem on certain data: how samples become inputs, what is minimized, and what is looked at. */
export interface Task<S extends Sample = Sample> {
  /** The network's input for one example, as it is stored: `[channels, height, width]`. */
  readonly input: Shape;
  readonly output: TaskOutput;
  /** What a row has beside `input`, each without the batch axis. */
  readonly targets: Readonly<Record<string, TensorType>>;
  /** Of a task on images: how they are stored, so that files of other sizes, channels and scales can take them. */
  readonly images?: StoredImages;
  /** What a written model says of its input and of itself: `lowland.<name>` in its metadata, as JSON. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** What of its settings the training loss depends on, as results state it. */
  readonly lossSettings?: Readonly<Record<string, string | number>>;
  /** Makes the stored input what the network's first layer takes. Part of every graph and of the written model. */
  prepare(input: Value): Value;
  /** A sample in the inputs of a step: `input` and the targets. With a random stream it is augmented. */
  row(sample: S, random?: () => Random): Tensors;
  /** Mean loss of a batch: a scalar. */
  loss(output: Value, targets: Targets, purpose: LossPurpose): Value;
  /**
   * Where the loss is a weighted mean, the sum of the weights of a batch: a scalar, on average over the training samples
   * the size of the batch. Absent: all samples weigh 1.
   */
  weight?(targets: Targets, purpose: LossPurpose): Value | undefined;
  /** What a person should know of a training batch, by its rows. It is said once. */
  remark?(inputs: Tensors): string | undefined;
  /** What metrics read of the network's output, a row for each sample. */
  predict(output: Value, targets: Targets): Readonly<Record<string, Value>>;
  /** Means over the batch that flatness and landscapes show beside the loss, by names of the task's metrics. */
  batchMetrics(output: Value, targets: Targets): Readonly<Record<string, Value>>;
}

/** Inputs of a graph by the names in {@link Task.targets}, with the batch axis. */
export type Targets = Readonly<Record<string, Value>>;

/** `test`: without what is for training only, such as label smoothing and class weights. */
export type LossPurpose = "training" | "test";

/** What a network gives for a task, built or from a file. */
export interface TaskOutput {
  /** What it is called in written models: `logits`. */
  name: string;
  /** For one example: `[classes]`, `[classes, height, width]`, … */
  shape: Shape;
  /**
   * - `logits`: of classes along the first axis, whose softmax are probabilities. A file may end in that Softmax, which
   *   is undone, and may have more classes than the data.
   * - `values`: numbers that are taken as they are.
   */
  holds: "logits" | "values";
}

/** Something to measure at the end of an epoch: predictions on a source, and what metrics make of them. */
export interface Evaluation<S extends Sample = Sample> {
  source: DataSource<S>;
  metric: () => Metric<S>;
  /** Of samples that only a training run has, so that evaluating a file leaves it out. */
  ofTraining?: boolean;
  /** Another look at the inputs of a batch, such as their mirror images: metrics get what is predicted of both. */
  secondView?(input: TensorData): TensorData;
}

/** A task with the data it is trained and tested on. */
export interface OpenedTask<S extends Sample = Sample> {
  task: Task<S>;
  train: DataSource<S>;
  /** Default: every sample once, shuffled. */
  order?: EpochOrder;
  /** The first is of the test set, and its loss is the test loss. */
  evaluations: readonly [Evaluation<S>, ...Evaluation<S>[]];
  /** What is measured of the test set, of the validation part, where the data have one. */
  validation?: Evaluation<S>;
  /** What a person should know of how the data are taken, a sentence each. */
  notes?: readonly string[];
}

/** The parts of some data. */
export interface DataPair<S extends Sample = Sample> {
  train: DataSource<S>;
  /** Looked at while training goes on, so that decisions need not be made by the test set. */
  validation?: DataSource<S>;
  test: DataSource<S>;
}

/** A kind of problem: what its folder exports. */
export interface TaskKind<Settings extends z.ZodRawShape = z.ZodRawShape, S extends Sample = Sample>
  extends TaskRecord {
  /** Its part of a run's document. */
  readonly settings: Settings;
  /** What is read of data that are named or a path. Default `"classes"`. */
  readonly samples?: SampleKind;
  /** Settings of a run that have other defaults for this task, such as `{ model: "unet" }`. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** Settings of its own that decide evaluation alone, such as `pose.flipTest`: a finished run can be evaluated with others. */
  readonly evaluationSettings?: readonly string[];
  /**
   * Opens the training and the test part; the validation part is opened as a test part. May load its code first.
   * @throws UserError for data of another kind, and for settings that do not fit them
   */
  open(
    settings: z.infer<z.ZodObject<Settings>>,
    data: Omit<DataPair, "validation">,
    seed: number,
  ): OpenedTask<S> | Promise<OpenedTask<S>>;
}
