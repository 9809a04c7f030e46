import { openEngine } from "#platform";
import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { type ImageArrays, sourceOf } from "../data/image-arrays.ts";
import type { ImageClasses } from "../data/source.ts";
import { validateDataset } from "../data/validate.ts";
import { Graph } from "../graph/graph.ts";
import { readModelFile } from "../import/load.ts";
import { asRows, isClassRows } from "../import/logits.ts";
import { classCount, type OutputEnd } from "../import/output-end.ts";
import { compile } from "../lower/compile.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { type DataType, isFloat } from "../onnx/types.ts";
import { type FileSettings, outputForm, requireFileOutput } from "../runs/model-file.ts";
import type { EngineOptions } from "../runtime/engine.ts";
import { classEvaluation } from "../tasks/classification/class-evaluation.ts";
import { classificationTask } from "../tasks/classification/class-task.ts";
import type { Details } from "../tasks/details.ts";
import type { OpenedTask, Task } from "../tasks/task.ts";
import { evaluate, outputEvaluation } from "../tasks/task-evaluation.ts";
import { endOf, fileOptionKinds, loadToRun, logitsFrom, openToRun } from "./file-to-run.ts";

export interface Evaluation {
  examples: number;
  /** Mean loss; of probabilities the mean of −ln p of the right class. */
  loss: number;
  /** By the names of the task's metrics. */
  metrics: Record<string, number>;
  /** More than the metrics say: each class, what is taken for what, the worst samples with their pixels. */
  details?: Details;
  /** The predictions as the text of a file that other tools evaluate, where the task has such a form. */
  predictions?: string;
  seconds: number;
  examplesPerSecond: number;
}

export interface EvaluateOptions extends Pick<FileSettings, "normalization" | "dimensions" | "output"> {
  /** How messages name the model. Default: its path. */
  name?: string;
  threads?: number;
  /** Called with a sentence where the input is not as it is stored, or the file's graph is not read. */
  onNote?: (text: string) => void;
  onProgress?: (examples: number, total: number) => void;
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
  readOptions("evaluateModel", options, fileOptionKinds);
  const source = sourceOf(given);
  validateDataset(source);
  const task = classificationTask(source);
  return evaluateFile(model, { task, evaluations: [classEvaluation(source)] }, options);
}

/**
 * Loss and metrics of an ONNX file for a task, by its evaluations of other than training samples: loss, details and speed
 * are of the first, predictions of the last that has them. ONNX Runtime runs the file as it is.
 * @param model path of the file, or its bytes
 * @throws UserError if it is no ONNX model, no network for the task, or ONNX Runtime refuses it
 */
export async function evaluateFile(
  model: string | Uint8Array,
  { task, evaluations: [evaluation, ...further] }: Pick<OpenedTask, "task" | "evaluations">,
  options: EvaluateOptions & { engine?: EngineOptions } = {},
): Promise<Evaluation> {
  const isPath = typeof model === "string";
  const { name = isPath ? model : "the model", threads, onProgress, onNote } = options;
  const { count: examples, name: data } = evaluation.source;
  const file = openToRun(
    await readModelFile(model, name),
    { task, train: evaluation.source },
    { onNote, normalization: options.normalization, dimensions: options.dimensions, output: options.output },
  );
  const [size] = file.input.shape;
  const engine = openEngine({ threads, ...options.engine });
  try {
    const target = await engine.target();
    const give = await loadToRun(engine, model, file, { name, stored: task.input, onNote });
    const ready = new Set<string>();
    let end: ReturnType<typeof endOf> | undefined;
    const run = async ({ input, ...targets }: Tensors, count: number) => {
      const { values, type } = await give(input);
      const program = `loss ${count}`;
      if (!ready.has(program)) {
        end ??= endOf(file, values);
        const graph = lossGraph(values, type, end, { size, count, data, task });
        await engine.load(program, compile(graph, { target }));
        ready.add(program);
      }
      return (await engine.run(program, { values, ...targets })).outputs;
    };
    const started = performance.now();
    const { loss, metrics, details, ...first } = await evaluate(evaluation, task, {
      ...{ batchSize: size, run, onProgress },
    });
    const seconds = (performance.now() - started) / 1000;
    const examplesPerSecond = examples / seconds;
    let { predictions } = first;
    for (const other of further.filter(({ ofTraining }) => !ofTraining)) {
      const evaluated = await evaluate(other, task, { batchSize: size, run });
      Object.assign(metrics, evaluated.metrics);
      predictions = evaluated.predictions ?? predictions;
    }
    return {
      ...{ examples, loss, metrics, details: await details?.(), seconds, examplesPerSecond },
      ...(predictions && { predictions: predictions() }),
    };
  } finally {
    await engine.close();
  }
}

/** The loss and predictions of the first `count` examples, from the values of the output. */
function lossGraph(
  { type, shape }: TensorData,
  fileType: DataType,
  end: Pick<OutputEnd, "kind" | "scale">,
  { size, count, data, task }: { size: number; count: number; data: string; task: Task },
): Graph {
  const form = outputForm(task);
  const isClassifier = isClassRows(form);
  if (shape[0] !== size || !isFloat(type) || (isClassifier && classCount({ shape }) === undefined)) {
    throw new UserError(
      `the model gives ${type} [${shape.join(", ")}] for ${size} examples; ${isClassifier ? "a classifier gives" : `${data} takes`} [${[size, ...(isClassifier ? ["classes"] : task.output.shape)].join(", ")}]`,
    );
  }
  const graph = new Graph();
  const values = graph.input("values", type, shape);
  const output = logitsFrom(isClassifier ? asRows(values) : values, fileType, end);
  requireFileOutput(output.shape, task, data);
  outputEvaluation(task, output, count);
  return graph;
}
