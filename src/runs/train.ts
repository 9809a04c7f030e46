import type * as z from "zod";
import { basename, resolve } from "#platform";
import { type OptionKinds, readOptions, requireKnownOptions } from "../common/options.ts";
import { loadSamples } from "../data/catalogue.ts";
import { type ImageArrays, type Parts, sourcesOf } from "../data/image-arrays.ts";
import type { DataSource } from "../data/source.ts";
import type { Layer } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Tensors } from "../runtime/engine.ts";
import type { DataPair, TaskKind } from "../tasks/task.ts";
import type { RunSettings } from "./configuration.ts";
import type { GivenWeights } from "./initial-weights.ts";
import type { RunResult } from "./run.ts";
import type { RunHooks } from "./run-request.ts";
import { withStatedPictures } from "./stated-pictures.ts";

/**
 * A run's settings, with objects where a document would have names, and hooks to follow it. A task of your own brings
 * settings of its own.
 */
export type TrainOptions<Own extends z.ZodRawShape = NoSettings> = CommonOptions<Own> &
  (keyof Own extends never ? unknown : z.input<z.ZodObject<Own>>);

type NoSettings = Record<never, never>;

interface CommonOptions<Own extends z.ZodRawShape>
  extends Omit<RunSettings, "task" | "data" | "model" | "weights" | "optimizer">,
    RunHooks {
  /** What to train for: a name, or a task of your own. Default: `classification`. */
  task?: RunSettings["task"] | TaskKind<Own>;
  /** A data set by name or path, or images of your own as arrays or sources. Default: Fashion-MNIST. */
  data?: RunSettings["data"] | Parts<DataSource | ImageArrays>;
  /** A folder that holds the named data set's files. */
  dataDirectory?: string;
  /**
   * A network by name, an ONNX file of anybody's as `{ file: "model.onnx", … }` (a path, in a page an address, or the file's
   * bytes), or a layer of your own from prepared input, such as normalized images [N, C, H, W], to the task's output, such
   * as [N, classes]. Default: `mlp`.
   */
  model?: RunSettings["model"] | GivenFile | Layer;
  /**
   * What to start from, by PyTorch's names: a safetensors file, or tensors. The names that fit `except` are drawn by
   * the seed regardless, as everything is when this is left out.
   */
  weights?: RunSettings["weights"] | { tensors: Tensors; except?: GivenWeights["except"] };
  /** Default: bilateral SAM over SGD with momentum 0.9 and weight decay 1e-3. */
  optimizer?: Optimizer | RunSettings["optimizer"];
  /** Default: the folder's name, or "run". */
  name?: string;
  /** Gets a line for each place where the data set was looked for in vain. */
  log?: (line: string) => void;
}

type FileSettings = Exclude<RunSettings["model"], string | undefined>;

/** An ONNX file as bytes, or as a `File` of a page. */
type GivenFile = Omit<FileSettings, "file"> & { file: Uint8Array | FileBytes };

/** What is used of a `File` or `Blob`. */
interface FileBytes {
  readonly name?: string;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** The options that are no settings of a run. */
const ownOptions: OptionKinds<Omit<CommonOptions<NoSettings>, keyof RunSettings>> = {
  dataDirectory: "text",
  name: "text",
  log: "function",
  out: "text",
  existing: ["refuse", "overwrite", "resume"],
  onNote: "function",
  onFeatures: "function",
  onStart: "function",
  onStep: "function",
  onEpoch: "function",
  signal: "object",
};

/**
 * Trains a network, an image classifier by default, and returns its metrics and the ONNX model.
 *
 * ```ts
 * const { summary, model } = await train({
 *   data: "digits",
 *   model: "mlp",
 *   optimizer: bilateralSam(sgd({ momentum: 0.9, weightDecay: 1e-3 }), { rhoMax: 0.05 }),
 *   epochs: 20,
 * });
 * ```
 *
 * Throws `UserError` for settings that are wrong or do not fit the data. A run whose loss becomes non-finite ends
 * early, with the reason in `failure`.
 */
export async function train<Own extends z.ZodRawShape = NoSettings>(
  options: TrainOptions<Own>,
): Promise<RunResult> {
  // Loaded with the first run: a program may have come for something else in the library.
  const { parseRun, runSchema } = await import("./configuration.ts");
  const { runTask } = await import("./run.ts");
  const { taskNamed } = await import("../tasks/index.ts");
  const given: CommonOptions<Own> = options;
  const kind = typeof given.task === "object" ? (given.task as TaskKind) : undefined;
  const settings = { ...runSchema.shape, ...kind?.settings };
  requireKnownOptions("train", options, [...Object.keys(settings), ...Object.keys(ownOptions)]);
  const {
    task,
    data,
    dataDirectory,
    model,
    weights,
    optimizer,
    name,
    log,
    out,
    existing,
    onNote,
    onFeatures,
    onStart,
    onStep,
    onEpoch,
    signal,
    ...rest
  } = given;
  const hooks = { out, existing, onNote, onFeatures, onStart, onStep, onEpoch, signal };
  readOptions("train", { dataDirectory, name, log, ...hooks }, ownOptions);
  const ownOptimizer = typeof optimizer === "object" && "steps" in optimizer ? optimizer : undefined;
  const ownWeights =
    typeof weights === "object" && "tensors" in weights ? { except: [], ...weights } : undefined;
  const file = await givenFile(model);
  const settingsOfModel = file?.settings ?? model;
  const stated = await withStatedPictures(
    {
      ...rest,
      ...(typeof task === "string" && { task }),
      ...(typeof data === "string" && { data }),
      ...(typeof model !== "function" && model !== undefined && { model: settingsOfModel }),
      ...(weights && !ownWeights && { weights }),
      ...(optimizer && !ownOptimizer && { optimizer }),
    },
    file?.bytes,
  );
  const configuration = parseRun(stated, kind);
  const sources: DataPair & { close?(): void } =
    typeof data === "object"
      ? sourcesOf(data)
      : await loadSamples((kind ?? taskNamed(configuration.task)).samples ?? "classes", configuration.data, {
          ...{ dataDirectory, log, signal, images: configuration.images },
        });
  try {
    return await runTask({
      name: name ?? (out === undefined ? "run" : basename(resolve(out))),
      configuration,
      data: sources,
      task: kind,
      layer: typeof model === "function" ? model : undefined,
      optimizer: ownOptimizer,
      weights: ownWeights,
      modelFile: file?.bytes,
      ...hooks,
    });
  } finally {
    sources.close?.();
  }
}

/** The bytes of a file that is given as such, and the settings as a document has them, with the file's name. */
async function givenFile(model: CommonOptions<NoSettings>["model"]) {
  if (typeof model !== "object" || typeof model.file === "string") return undefined;
  const { file, ...settings } = model;
  const isBytes = file instanceof Uint8Array;
  if (!isBytes && typeof file?.arrayBuffer !== "function") return undefined;
  return {
    bytes: isBytes ? file : new Uint8Array(await file.arrayBuffer()),
    settings: { ...settings, file: isBytes ? "model.onnx" : (file.name ?? "model.onnx") },
  };
}
