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
  /** What the input holds, for the metadata of a written model. */
  readonly inputDescription: InputDescription;
  /** Makes the stored input what the network's first layer takes. Part of every graph and of the written model. */
  prepare(input: Value): Value;
  /** A sample in the inputs of a step: `input` and the targets. With a random stream it is augmented. */
  row(sample: S, random?: Random): Tensors;
  /** Mean loss of a batch: a scalar. */
  loss(output: Value, targets: Readonly<Record<string, Value>>): Value;
  /** What metrics read of the network's output. */
  predict(output: Value): Readonly<Record<string, Value>>;
  /** Means over the batch that flatness and landscapes show beside the loss, by names of the task's metrics. */
  batchMetrics(output: Value, targets: Readonly<Record<string, Value>>): Readonly<Record<string, Value>>;
}

/** What the pixels of an input are. */
export interface InputDescription {
  layout: "NCHW";
  channels: "gray" | "RGB" | "other";
  /** The values that stand for black and white. */
  range: readonly [low: number, high: number];
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
  /** The first one leads in tables and charts. */
  readonly metrics: readonly [MetricInfo, ...MetricInfo[]];
  /**
   * @throws UserError for data of another kind, and for settings that do not fit them
   */
  open(settings: z.infer<z.ZodObject<Shape>>, data: DataPair, seed: number): OpenedTask<S>;
}
