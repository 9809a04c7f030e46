import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { type ImageArrays, sourceOf } from "../data/image-arrays.ts";
import type { ImageClasses } from "../data/source.ts";
import { validateDataset } from "../data/validate.ts";
import { Graph } from "../graph/graph.ts";
import { readModelFile } from "../import/load.ts";
import { asRows } from "../import/logits.ts";
import { classCount, type OutputEnd } from "../import/output-end.ts";
import { compile } from "../lower/compile.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { type DataType, isFloat } from "../onnx/types.ts";
import { type FileSettings, requireClasses } from "../runs/network.ts";
import { openEngine } from "../runtime/remote.ts";
import { accuracy, classificationTask } from "../tasks/classification/classification.ts";
import { normalizations } from "../tasks/image-input.ts";
import type { Task } from "../tasks/task.ts";
import { evaluate, outputEvaluation } from "../tasks/task-evaluation.ts";
import { endOf, loadToRun, logitsFrom, openToRun } from "./file-to-run.ts";

export interface Evaluation {
  images: number;
  task: string;
  /** Mean cross entropy; of probabilities the mean of −ln p of the right class. */
  loss: number;
  /** By the names of the task's metrics: `accuracy`. */
  metrics: Record<string, number>;
  seconds: number;
  imagesPerSecond: number;
}

export interface EvaluateOptions extends Pick<FileSettings, "normalization" | "dimensions" | "output"> {
  /** How messages name the model. Default: its path. */
  name?: string;
  threads?: number;
  /** Called with a sentence where the images are not as they are loaded, or the file's graph is not read. */
  onNote?: (text: string) => void;
  onProgress?: (images: number, total: number) => void;
}

/**
 * Accuracy and loss of an ONNX classifier on a data set: ONNX Runtime runs the file as it is. Which of its outputs holds
 * the classes, whether these are logits or probabilities, for which batch it is, and what images become is decided as for
 * training; so the loss is that of training. A file whose operators are not read still runs: its output holds
 * probabilities if each row is one, and else logits.
 *
 * @param model path of the file, or its bytes
 * @throws UserError if it is no ONNX model, no classifier of these images, or ONNX Runtime refuses it
 */
export async function evaluateModel(
  model: string | Uint8Array,
  given: ImageClasses | ImageArrays,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  readOptions("evaluateModel", options, {
    name: "text",
    threads: "number",
    onNote: "function",
    onProgress: "function",
    normalization: normalizations,
    dimensions: "object",
    output: "text",
  });
  const dataset = sourceOf(given);
  validateDataset(dataset);
  const task = classificationTask(dataset);
  const isPath = typeof model === "string";
  const { name = isPath ? model : "the model", threads, onProgress, onNote } = options;
  const file = openToRun(await readModelFile(model, name), dataset, options);
  const [size] = file.input.shape;
  const engine = openEngine({ threads });
  try {
    const target = await engine.target();
    const give = await loadToRun(engine, model, file, { name, dataset, onNote });
    const ready = new Set<string>();
    let end: ReturnType<typeof endOf> | undefined;
    const run = async ({ input: loaded, target: targets }: Tensors, count: number) => {
      const { values, type } = await give(loaded);
      const program = `loss ${count}`;
      if (!ready.has(program)) {
        end ??= endOf(file, values);
        const graph = lossGraph(values, type, end, { size, count, dataset, task });
        await engine.load(program, compile(graph, { target }));
        ready.add(program);
      }
      return (await engine.run(program, { values, target: targets })).outputs;
    };
    const started = performance.now();
    const evaluation = { source: dataset, metric: accuracy };
    const { loss, metrics } = await evaluate(evaluation, task, { batchSize: size, run, onProgress });
    const seconds = (performance.now() - started) / 1000;
    return {
      images: dataset.count,
      task: "classification",
      loss,
      metrics,
      seconds,
      imagesPerSecond: dataset.count / seconds,
    };
  } finally {
    await engine.close();
  }
}

/** The loss and classes of the first `count` images, from the values of the output. */
function lossGraph(
  { type, shape }: TensorData,
  fileType: DataType,
  end: Pick<OutputEnd, "kind" | "scale">,
  { size, count, dataset, task }: { size: number; count: number; dataset: ImageClasses; task: Task },
): Graph {
  const classes = classCount({ shape });
  if (shape[0] !== size || classes === undefined || !isFloat(type)) {
    throw new UserError(
      `the model gives ${type} [${shape.join(", ")}] for ${size} images; a classifier gives [${size}, classes]`,
    );
  }
  requireClasses(classes, dataset);
  const graph = new Graph();
  outputEvaluation(task, logitsFrom(asRows(graph.input("values", type, shape)), fileType, end), count);
  return graph;
}
