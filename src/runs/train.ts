import { basename, resolve } from "node:path";
import { type OptionKinds, readOptions, requireKnownOptions } from "../common/options.ts";
import { loadDataset } from "../data/catalogue.ts";
import { type ImageArrays, sourcesOf } from "../data/image-arrays.ts";
import type { DataSource } from "../data/source.ts";
import type { Layer } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { Tensors } from "../runtime/engine.ts";
import { parseRun, type RunSettings, runSchema } from "./configuration.ts";
import type { GivenWeights } from "./initial-weights.ts";
import { type RunHooks, type RunResult, runTask } from "./run.ts";

/** A run's settings, with objects where a document would have names, and hooks to follow it. */
export interface TrainOptions
  extends Omit<RunSettings, "data" | "model" | "weights" | "optimizer">,
    RunHooks {
  /** A data set by name or path, or images of your own as arrays or sources. Default: Fashion-MNIST. */
  data?: RunSettings["data"] | Readonly<Record<"train" | "test", DataSource | ImageArrays>>;
  /** A folder that holds the named data set's files. */
  dataDirectory?: string;
  /**
   * A network by name, an ONNX file of anybody's as `{ file: "model.onnx", … }`, or a layer of your own from
   * normalized images [N, C, H, W] to [N, classes]. Default: `mlp`.
   */
  model?: RunSettings["model"] | Layer;
  /**
   * What to start from, by PyTorch's names: a safetensors file, or tensors. The names that fit `except` are drawn by
   * the seed all the same, as everything is when this is left out.
   */
  weights?: RunSettings["weights"] | { tensors: Tensors; except?: GivenWeights["except"] };
  /** Default: bilateral SAM over SGD with momentum 0.9 and weight decay 1e-3. */
  optimizer?: Optimizer | RunSettings["optimizer"];
  /** Default: the folder's name, or "run". */
  name?: string;
  /** Gets a line for each place where the data set was looked for in vain. */
  log?: (line: string) => void;
}

/** The options that are no settings of a run. */
const ownOptions: OptionKinds<Omit<TrainOptions, keyof RunSettings>> = {
  dataDirectory: "text",
  name: "text",
  log: "function",
  out: "text",
  existing: ["refuse", "overwrite", "resume"],
  onNote: "function",
  onStart: "function",
  onStep: "function",
  onEpoch: "function",
  signal: "object",
};

/**
 * Trains an image classifier and returns its metrics and the ONNX model.
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
export async function train(options: TrainOptions): Promise<RunResult> {
  requireKnownOptions("train", options, [...Object.keys(runSchema.shape), ...Object.keys(ownOptions)]);
  const {
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
    onStart,
    onStep,
    onEpoch,
    signal,
    ...rest
  } = options;
  readOptions(
    "train",
    { dataDirectory, name, log, out, existing, onNote, onStart, onStep, onEpoch, signal },
    ownOptions,
  );
  const ownOptimizer = typeof optimizer === "object" && "steps" in optimizer ? optimizer : undefined;
  const ownWeights =
    typeof weights === "object" && "tensors" in weights ? { except: [], ...weights } : undefined;
  const configuration = parseRun({
    ...rest,
    ...(typeof data === "string" && { data }),
    ...(typeof model !== "function" && model !== undefined && { model }),
    ...(weights && !ownWeights && { weights }),
    ...(optimizer && !ownOptimizer && { optimizer }),
  });
  return runTask({
    name: name ?? (out === undefined ? "run" : basename(resolve(out))),
    configuration,
    data:
      typeof data === "object"
        ? sourcesOf(data)
        : await loadDataset(configuration.data, {
            ...{ dataDirectory, log, signal, images: configuration.images },
          }),
    layer: typeof model === "function" ? model : undefined,
    optimizer: ownOptimizer,
    weights: ownWeights,
    out,
    existing,
    onNote,
    onStart,
    onStep,
    onEpoch,
    signal,
  });
}
