import { UserError } from "../common/errors.ts";
import { type Random, randomStream } from "../common/random.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import type { DataSource, Sample } from "./source.ts";

// Samples to batches. An epoch's order is a function of seed and epoch, what happens to a sample a function of seed,
// epoch and index: any number of workers or machines makes the same numbers, and an epoch can be resumed at.

/**
 * What a sample is in the inputs of a training step: each tensor without its batch axis.
 * @param random the sample's own stream in this epoch, to augment it by; absent for evaluation
 */
export type RowOf<S extends Sample> = (sample: S, random?: () => Random) => Tensors;

/** Rows of several samples, one after the other. Its arrays are its own, so they may be transferred to a worker. */
export interface Batch<S extends Sample = Sample> {
  /** Each [count, …row]. */
  inputs: Tensors;
  /** [count], place of each sample in the source. */
  indices: Int32Array<ArrayBuffer>;
  /** [count], what the rows were made from. */
  samples: readonly S[];
  count: number;
}

/** The places of an epoch's samples, in order. */
export type EpochOrder = (seed: number, epoch: number) => Int32Array;

export interface TrainingBatchOptions<S extends Sample> {
  row: RowOf<S>;
  batchSize: number;
  seed: number;
  epoch: number;
  /** Default: every sample once, shuffled. */
  order?: EpochOrder;
}

/**
 * One epoch of training in full batches. Samples left over at the end wait for the next epoch's order.
 * @throws UserError when the batch size is not from 1 to the number of samples
 */
export function trainingBatches<S extends Sample>(
  source: DataSource<S>,
  { row, batchSize, seed, epoch, order = shuffled(source.count) }: TrainingBatchOptions<S>,
): AsyncIterable<Batch<S>> {
  requirePositive("batch size", batchSize);
  if (batchSize > source.count) {
    throw new UserError(
      `batch size ${batchSize} is larger than the ${source.count} training samples; choose at most ${source.count}, or train on more`,
    );
  }
  return {
    async *[Symbol.asyncIterator]() {
      const places = order(seed, epoch);
      for (let start = 0; start + batchSize <= places.length; start += batchSize) {
        yield await batchOf(source, places.subarray(start, start + batchSize), (sample, index) =>
          row(sample, () => randomStream(seed, "augment", epoch, index)),
        );
      }
    },
  };
}

/**
 * The samples in their order, as they are. The last batch may be smaller.
 * @param limit only this many, from the front
 * @throws UserError when the batch size or the limit is no integer of at least 1
 */
export function evaluationBatches<S extends Sample>(
  source: DataSource<S>,
  { row, batchSize, limit = source.count }: { row: RowOf<S>; batchSize: number; limit?: number },
): AsyncIterable<Batch<S>> {
  requirePositive("batch size", batchSize);
  requirePositive("the number of samples to evaluate on", limit);
  const total = Math.min(limit, source.count);
  return {
    async *[Symbol.asyncIterator]() {
      for (let start = 0; start < total; start += batchSize) {
        const count = Math.min(batchSize, total - start);
        yield await rangeOf(source, row, { start, count });
      }
    },
  };
}

/** Samples that follow one another, as they are. */
export function rangeOf<S extends Sample>(
  source: DataSource<S>,
  row: RowOf<S>,
  { start, count }: { start: number; count: number },
): Promise<Batch<S>> {
  const places = Int32Array.from({ length: count }, (_, position) => start + position);
  return batchOf(source, places, (sample) => row(sample));
}

/** Every sample once, in an order of its own for each epoch. */
function shuffled(count: number): EpochOrder {
  return (seed, epoch) => randomStream(seed, "shuffle", epoch).permutation(count);
}

/**
 * As many samples as there are, every class equally often: of a large class some, those of a small one several times,
 * each as often as the others of its class. Where the classes do not divide the samples, some come up once more.
 * @param labels the class of each sample
 */
export function balanced(labels: Int32Array): EpochOrder {
  const places = new Map<number, number[]>();
  for (const [place, label] of labels.entries()) {
    const own = places.get(label);
    if (own) own.push(place);
    else places.set(label, [place]);
  }
  const classes = [...places.values()];
  return (seed, epoch) => {
    const random = randomStream(seed, "balanced", epoch);
    const [least, more] = [Math.floor(labels.length / classes.length), labels.length % classes.length];
    const drawn = [...random.permutation(classes.length)].flatMap((index, rank) =>
      repeatedly(classes[index], least + (rank < more ? 1 : 0), random),
    );
    return random.permutation(drawn.length).map((index) => drawn[index]);
  };
}

/** So many of the places: all of them, shuffled, again and again. */
function repeatedly(places: readonly number[], count: number, random: Random): number[] {
  const drawn: number[] = [];
  while (drawn.length < count)
    for (const index of random.permutation(places.length).subarray(0, count - drawn.length))
      drawn.push(places[index]);
  return drawn;
}

async function batchOf<S extends Sample>(
  source: DataSource<S>,
  places: Int32Array,
  row: (sample: S, index: number) => Tensors,
): Promise<Batch<S>> {
  const samples: S[] = [];
  const inputs = new StackedRows(places.length);
  for (const index of places) {
    const read = source.read(index);
    const sample = read instanceof Promise ? await read : read;
    samples.push(sample);
    inputs.add(row(sample, index));
  }
  return { inputs: inputs.tensors, indices: Int32Array.from(places), samples, count: places.length };
}

/** Tensors of one name each as one tensor with a new first axis, filled row by row: no row is kept. */
class StackedRows {
  readonly tensors: Tensors = {};
  private readonly count: number;
  private added = 0;

  constructor(count: number) {
    this.count = count;
  }

  /** @throws UserError for a row that is unlike the first one */
  add(row: Tensors): void {
    if (this.added === 0)
      for (const [name, { type, shape, data }] of Object.entries(row)) {
        const whole = new (data.constructor as Uint8ArrayConstructor)(data.length * this.count);
        this.tensors[name] = { type, shape: [this.count, ...shape], data: whole } as TensorData;
      }
    for (const [name, { type, shape: all, data }] of Object.entries(this.tensors)) {
      const [part, shape] = [row[name], all.slice(1)];
      if (part?.shape.join() !== shape.join() || part.type !== type)
        throw new UserError(
          `sample ${this.added} of a batch has ${name} as ${part?.type} [${part?.shape.join(", ")}], the first ${type} [${shape.join(", ")}]; all have to be alike`,
        );
      (data as Uint8Array).set(part.data as Uint8Array, this.added * part.data.length);
    }
    this.added++;
  }
}

function requirePositive(what: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new UserError(`${what} is ${value}; choose an integer of at least 1`);
  }
}
