import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { rangeOf } from "../data/rows.ts";
import { type DataSource, selected } from "../data/source.ts";
import { readModelFile } from "../import/load.ts";
import { writeModel } from "../onnx/model.ts";
import type { LayerChoices } from "../quantization/choices.ts";
import type { QuantizedLayerRecord } from "../quantization/insert.ts";
import { PostTraining, type QuantizeOptions } from "../quantization/quantize.ts";
import { openSizes } from "../runs/model-file.ts";
import { inNewerOperators, stateQuantization } from "../runs/quantized-file.ts";
import type { Engine } from "../runtime/engine.ts";
import { openEngine } from "../runtime/remote.ts";
import type { OpenedTask } from "../tasks/task.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { loadImages, openToRun } from "./file-to-run.ts";

// A trained file to one of small integers, on a task's data: ranges from training examples, and what became of the metrics.

export interface QuantizeFileOptions
  extends QuantizeOptions,
    Pick<EvaluateOptions, "normalization" | "dimensions" | "output" | "threads" | "onNote"> {
  /** Training examples that ranges are measured on. Default: 256, or all if fewer. */
  calibration?: number;
  /** Decides which examples these are. Default: 1. */
  seed?: number;
}

/** A quantized file. */
export interface QuantizedFile {
  bytes: Uint8Array<ArrayBuffer>;
  layers: QuantizedLayerRecord[];
  equalizedPairs: number;
}

/** Examples in one batch of calibration, at most: the results of all layers are in memory together. */
const calibrationBatch = 32;

/**
 * Quantizes files on data. Ranges are measured once, so that several choices of layers cost little more than one.
 */
export class FileQuantizer {
  readonly training: PostTraining;
  private readonly engine: Engine;

  private constructor(training: PostTraining, engine: Engine) {
    this.training = training;
    this.engine = engine;
  }

  /** @throws UserError for a file that is no network for the task, or cannot be quantized */
  static async open(
    model: string,
    { task, train }: Pick<OpenedTask, "task" | "train">,
    {
      normalization,
      dimensions,
      output,
      threads,
      onNote,
      calibration = 256,
      seed = 1,
      ...options
    }: QuantizeFileOptions,
  ): Promise<FileQuantizer> {
    if (!(Number.isInteger(calibration) && calibration >= 1))
      throw new UserError(`calibration is ${calibration}; choose a whole number of at least 1`);
    const proto = await readModelFile(model);
    const count = Math.min(calibration, train.count);
    const file = openToRun(
      proto,
      { task, train: { name: train.name, count: Math.min(count, calibrationBatch) } },
      { normalization, dimensions, output, onNote },
    );
    const network = inNewerOperators(proto, file.input.name, {
      ...{ dimensions, openSizes: openSizes(proto, task) },
    });
    const engine = openEngine({ threads });
    const [size] = file.input.shape;
    const examples = drawn(train, { count, size, seed });
    try {
      const ownInput = await loadImages(engine, file, { stored: task.input });
      async function* batches() {
        for (let start = 0; start < examples.count; start += size) {
          const { inputs } = await rangeOf(examples, (sample) => task.row(sample), { start, count: size });
          yield { [file.input.name]: await ownInput(inputs.input) };
        }
      }
      return new FileQuantizer(new PostTraining(network, options, { engine, batches }), engine);
    } catch (error) {
      await engine.close();
      throw error;
    }
  }

  async quantize(layers?: LayerChoices): Promise<QuantizedFile> {
    const { model, layers: records } = await this.training.quantize(layers);
    stateQuantization(model, records);
    const bytes = writeModel(model);
    return { bytes, layers: records, equalizedPairs: this.training.equalizedPairs };
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}

/** Examples drawn at random, in full batches: where there are too few for one, some come twice. */
function drawn<Source extends DataSource>(
  source: Source,
  { count, size, seed }: { count: number; size: number; seed: number },
): Source {
  const order = randomStream(seed, "calibration").permutation(source.count);
  const total = Math.max(1, Math.floor(count / size)) * size;
  return selected(
    source,
    Int32Array.from({ length: total }, (_, index) => order[index % Math.min(count, source.count)]),
  );
}
