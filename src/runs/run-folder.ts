import { join, runFiles } from "#platform";
import { UserError } from "../common/errors.ts";
import { fileError } from "../common/file-errors.ts";
import { isSameJson } from "../common/objects.ts";
import type { Tensors } from "../runtime/engine.ts";
import type { EpochRecord, MetricsRecord, RunRecord, RunSummary } from "../train/records.ts";
import { readSafetensors, writeSafetensors } from "../weights/safetensors.ts";
import { currentEpoch, currentRun } from "./older-records.ts";

/** What the file of integers came to, where the run trained one. */
export const quantizationFile = "quantization.json";

const names = {
  run: "run.json",
  metrics: "metrics.jsonl",
  summary: "summary.json",
  checkpoint: "checkpoint.safetensors",
  model: "model.onnx",
  weights: "model.safetensors",
  averagedModel: "model-average.onnx",
  evaluation: "evaluation.json",
  quantization: quantizationFile,
  report: "report.html",
} as const;

/** The folder in it with the pictures of its evaluation. */
const evaluationPictures = join("pictures", "evaluation");

/** The folder in it with the weights of each epoch, where they are kept. */
const epochWeights = "weights";

/** What to do about a run that is already in the folder. */
export type ExistingRun = "refuse" | "overwrite" | "resume";

/** Everything a run needs to go on after an epoch as if it had never stopped. */
export interface Checkpoint {
  /** The last epoch that was finished. */
  epoch: EpochRecord;
  /** Seconds of training so far. */
  seconds: number;
  /** Parameters, buffers and optimizer state. */
  tensors: Tensors;
}

/** The folder a run writes to. */
export class RunFolder {
  readonly path: string;
  /** Where to go on from; absent for a run that begins. */
  readonly checkpoint: Checkpoint | undefined;
  /** The epochs up to the checkpoint. */
  readonly epochs: readonly EpochRecord[];
  private lines: string[] = [];
  private flushed = 0;

  private constructor(path: string, checkpoint?: Checkpoint, epochs: readonly EpochRecord[] = []) {
    this.path = path;
    this.checkpoint = checkpoint;
    this.epochs = epochs;
  }

  /**
   * Makes the folder, or takes up the run in it.
   * Throws `UserError` when it cannot be written to, when it holds a run and neither overwriting nor resuming was
   * asked for, and when the run to resume is damaged or has another configuration.
   */
  static async open(path: string, record: RunRecord, existing: ExistingRun): Promise<RunFolder> {
    await makeFolder(path);
    const file = (name: keyof typeof names) => join(path, names[name]);
    if (await exists(file("run"))) {
      if (existing === "refuse") {
        throw new UserError(
          `${path} already holds a run; go on with it with --resume, replace it with --overwrite, or name another folder with --out`,
        );
      }
      if (existing === "resume") {
        const earlier = currentRun(await readJson<RunRecord>(file("run")), file("run"));
        requireResumable(path, earlier);
        requireSameConfiguration(path, earlier.configuration ?? {}, record.configuration);
        if (await exists(file("checkpoint"))) {
          const checkpoint = readCheckpoint(await runFiles.read(file("checkpoint")), file("checkpoint"));
          const epochs = await truncateMetrics(file("metrics"), checkpoint.epoch.epoch);
          return new RunFolder(path, checkpoint, epochs);
        }
      }
    }
    for (const name of [...Object.values(names), epochWeights, evaluationPictures])
      await runFiles.remove(join(path, name));
    await writeJson(file("run"), record);
    return new RunFolder(path);
  }

  /**
   * The summary of the run in a folder, when there is one and it went as far as it can. Throws `UserError` when what is
   * there is damaged or has another configuration.
   */
  static async ended(
    path: string,
    configuration: RunRecord["configuration"],
  ): Promise<RunSummary | undefined> {
    const file = join(path, names.run);
    if (!(await exists(file))) return undefined;
    const earlier = currentRun(await readJson<RunRecord>(file), file);
    requireResumable(path, earlier);
    requireSameConfiguration(path, earlier.configuration ?? {}, configuration);
    if (!(await exists(join(path, names.summary)))) return undefined;
    const summary = await readJson<RunSummary>(join(path, names.summary));
    return summary.status === "interrupted" ? undefined : summary;
  }

  /** Adds a line to `metrics.jsonl`; lines are written in groups. */
  async append(record: MetricsRecord): Promise<void> {
    this.lines.push(JSON.stringify(record));
    const now = performance.now();
    if (now - this.flushed > 1000) await this.flush();
  }

  /** Writes the lines that are waiting. */
  async flush(): Promise<void> {
    const text = this.lines.map((line) => `${line}\n`).join("");
    this.lines = [];
    if (text !== "") await runFiles.append(join(this.path, names.metrics), text);
    this.flushed = performance.now();
  }

  /** Writes the metrics so far and the state to go on from. */
  async saveCheckpoint({ epoch, seconds, tensors }: Checkpoint): Promise<void> {
    await this.flush();
    const metadata = { epoch: JSON.stringify(epoch), seconds: String(seconds) };
    await runFiles.replace(join(this.path, names.checkpoint), writeSafetensors(tensors, metadata));
  }

  /** Keeps the weights of the end of an epoch; 0 is before the first. */
  async keepWeights(epoch: number, tensors: Tensors): Promise<void> {
    const folder = join(this.path, epochWeights);
    await runFiles.makeFolder(folder);
    const name = `epoch-${String(epoch).padStart(4, "0")}.safetensors`;
    await runFiles.replace(
      join(folder, name),
      writeSafetensors(tensors, { epoch: String(epoch), format: "pt" }),
    );
  }

  /** Writes the end of the run: the network as an ONNX file and its weights as a safetensors file. */
  async finish(
    summary: RunSummary,
    { model, weights, averagedModel }: { model: Uint8Array; weights: Tensors; averagedModel?: Uint8Array },
  ): Promise<void> {
    await this.flush();
    if (averagedModel) await runFiles.replace(join(this.path, names.averagedModel), averagedModel);
    await runFiles.replace(join(this.path, names.weights), writeSafetensors(weights, { format: "pt" }));
    await runFiles.replace(join(this.path, names.model), model);
    await writeJson(join(this.path, names.summary), summary);
  }
}

/**
 * The weights that a run has kept of its epochs, in their order.
 * Throws `UserError` when there are none.
 */
export async function readEpochWeights(path: string): Promise<{ epoch: number; tensors: Tensors }[]> {
  const folder = join(path, epochWeights);
  const names = (await runFiles.list(folder)).filter((name) => name.endsWith(".safetensors")).sort();
  if (names.length === 0) {
    throw new UserError(
      `${path} holds no weights of its epochs; train with --keep-weights to have its trajectory`,
    );
  }
  const kept = [];
  for (const name of names) {
    const file = join(folder, name);
    const { tensors, metadata } = readSafetensors(await runFiles.read(file), file);
    kept.push({ epoch: Number(metadata.epoch), tensors });
  }
  return kept;
}

/** Of any folder with results. */
export const { exists, makeOutputFolder: makeFolder } = runFiles;

export async function writeJson(path: string, value: unknown): Promise<void> {
  await runFiles.replace(path, `${JSON.stringify(value, undefined, 2)}\n`);
}

/** A file that `writeJson` has written. Throws `UserError` when it is damaged. */
export async function readJson<T extends object>(path: string): Promise<T> {
  const bytes = await runFiles.read(path).catch((error) => {
    throw fileError(error, `${path} could not be read`);
  });
  const text = new TextDecoder().decode(bytes);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as T;
  } catch {
    // The sentence below says it.
  }
  throw new UserError(
    `${path} is damaged: it is not a JSON object; restore it, or start again with --overwrite`,
  );
}

/** Throws `UserError` for a run whose training steps were others. */
/** Runs of before take other pixels and draw other numbers. */
const firstResumableFormat = 2;

function requireResumable(path: string, { format }: RunRecord): void {
  if (format >= firstResumableFormat) return;
  throw new UserError(
    `${path} holds a run of format ${format}, which cannot be resumed: since format ${firstResumableFormat} networks take pixels as they are stored and augmentation draws other numbers; start again with --overwrite, or name another folder with --out`,
  );
}

function readCheckpoint(bytes: Uint8Array, file: string): Checkpoint {
  const { tensors, metadata } = readSafetensors(bytes, file);
  if (metadata.epoch === undefined || metadata.seconds === undefined) {
    throw new UserError(`${file} is no checkpoint: it does not say of which epoch it is`);
  }
  return { epoch: currentEpoch(JSON.parse(metadata.epoch)), seconds: Number(metadata.seconds), tensors };
}

/** Drops what was written after the checkpoint, so that it is not there twice. Returns the epochs that stay. */
async function truncateMetrics(path: string, lastEpoch: number): Promise<EpochRecord[]> {
  const text = await runFiles.read(path).then(
    (bytes) => new TextDecoder().decode(bytes),
    () => "",
  );
  const lines = text.split("\n");
  const epochs: EpochRecord[] = [];
  for (const [index, line] of lines.entries()) {
    if (!line.startsWith('{"type":"epoch"')) continue;
    const epoch = currentEpoch(JSON.parse(line));
    epochs.push(epoch);
    if (epoch.epoch < lastEpoch) continue;
    await runFiles.replace(path, `${lines.slice(0, index + 1).join("\n")}\n`);
    return epochs;
  }
  throw new UserError(
    `${path} lacks epoch ${lastEpoch}, which the checkpoint beside it goes on from; start over with --overwrite`,
  );
}

/** Settings of the machine, not of the run: it may be resumed with other ones, and elsewhere. */
const machineSettings: ReadonlySet<string> = new Set(["device", "recompute", "threads"]);

function requireSameConfiguration(
  path: string,
  earlier: Record<string, unknown>,
  now: Record<string, unknown>,
): void {
  const plain = JSON.parse(JSON.stringify(now));
  const differing = [...new Set([...Object.keys(earlier), ...Object.keys(plain)])].find(
    (key) => !machineSettings.has(key) && !isSameJson(earlier[key], plain[key]),
  );
  if (differing === undefined) return;
  const [was, is] = [earlier[differing], plain[differing]].map((value) => JSON.stringify(value));
  throw new UserError(
    `the run in ${path} has ${differing} ${was}, not ${is}; resume with the same settings, or start over with --overwrite`,
  );
}
