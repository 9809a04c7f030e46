import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { rangeOf } from "../data/rows.ts";
import { type DataSource, selected } from "../data/source.ts";
import { stringEntries } from "../graph/to-onnx.ts";
import { readModelFile, TrainableModel } from "../import/load.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { LayerChoices } from "../quantization/bits.ts";
import { leastOpset, opsetOf } from "../quantization/editor.ts";
import { PostTraining, type QuantizedLayerRecord, type QuantizeOptions } from "../quantization/quantize.ts";
import type { Engine } from "../runtime/engine.ts";
import { fusedOperators } from "../runtime/onnxruntime.ts";
import { openEngine } from "../runtime/remote.ts";
import { writtenMetadata } from "../tasks/model-metadata.ts";
import type { OpenedTask } from "../tasks/task.ts";
import { compileForBatches } from "../tasks/task-network.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { type FileToRun, loadImages, openToRun } from "./file-to-run.ts";

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
  /** How many of each operator ONNX Runtime makes of it. */
  operators: Record<string, number>;
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
    const network = opsetOf(proto) < leastOpset ? inNewerOperators(proto, file, dimensions) : proto;
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
    describe(model, records);
    const bytes = writeModel(model);
    const operators: Record<string, number> = {};
    for (const operator of await fusedOperators(bytes)) operators[operator] = (operators[operator] ?? 0) + 1;
    return { bytes, layers: records, equalizedPairs: this.training.equalizedPairs, operators };
  }

  close(): Promise<void> {
    return this.engine.close();
  }
}

/** A file of operators from before those with a scale per channel, as its graph is read, with its own input and outputs. */
function inNewerOperators(
  proto: ModelProto,
  { input }: Pick<FileToRun, "input">,
  dimensions: QuantizeFileOptions["dimensions"],
): ModelProto {
  const model = new TrainableModel(proto, { dimensions });
  const build = (batchSize: number) => model.build({ training: false, batchSize, anyBatch: true }).graph;
  const metadata = Object.fromEntries(proto.metadataProps.map(({ key, value }) => [key, value]));
  const written = readModel(compileForBatches(build, model.tensors, metadata), input.name);
  const type = written.graph?.input.find(({ name }) => name === input.name)?.type?.value;
  if (type?.case === "tensorType" && type.value.shape?.dim[0]?.value.case === "dimParam") return written;
  throw new UserError(
    `the model is of opset ${opsetOf(proto)} and its graph holds a batch size, so it cannot be written with operators of opset ${leastOpset}, which integers with a scale per channel need; export it again with opset ${leastOpset} or newer`,
  );
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

/** Says in the file which layers have how many bits. */
function describe(model: ModelProto, layers: readonly QuantizedLayerRecord[]): void {
  const quantization = layers.map(({ name, bits }) => ({ name, bits: bits ?? "float" }));
  model.metadataProps.push(...stringEntries(writtenMetadata({ quantization })));
}
