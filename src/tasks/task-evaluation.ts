import { evaluationBatches } from "../data/rows.ts";
import type { Sample } from "../data/source.ts";
import type { Value } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { buildModel } from "../nn/module.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { slice } from "../ops/slicing.ts";
import type { Engine } from "../runtime/engine.ts";
import type { Details } from "./details.ts";
import type { Evaluation, Task } from "./task.ts";
import { evaluationBatchSize, type Network, targetInputs } from "./task-network.ts";

/** The mean loss over some data, and what the task's metrics make of the predictions. */
export interface Evaluated {
  loss: number;
  metrics: Record<string, number>;
  /** What else the metric has found, where it looks for more. */
  details?: () => Promise<Details>;
  /** The predictions as a file that other tools evaluate, where the metric has such a form. */
  predictions?: () => string;
}

const predicted = "predicted.";
const lossWeight = "loss.weight";

/**
 * Ends a graph with what {@link evaluate} reads: the loss and the predictions of the first `count` rows of a network's
 * output. The targets of these rows become inputs.
 */
export function outputEvaluation(task: Task, output: Value, count = output.shape[0]): void {
  const { graph } = output;
  const rows = count === output.shape[0] ? output : slice(output, { starts: [0], ends: [count], axes: [0] });
  const targets = targetInputs(graph, task, count);
  graph.output("loss", task.loss(rows, targets, "test"));
  const weight = task.weight?.(targets, "test");
  if (weight) graph.output(lossWeight, weight);
  for (const [name, value] of Object.entries(task.predict(rows, targets)))
    graph.output(`${predicted}${name}`, value);
}

/**
 * Evaluates predictions batch by batch.
 * @param run gives what {@link outputEvaluation} put out, for rows of at most `batchSize` samples
 */
export async function evaluate<S extends Sample>(
  { source, metric, secondView }: Evaluation<S>,
  task: Pick<Task<S>, "row">,
  {
    batchSize,
    run,
    onProgress,
  }: {
    batchSize: number;
    run: (inputs: Tensors, count: number) => Promise<Tensors>;
    onProgress?: (examples: number, total: number) => void;
  },
): Promise<Evaluated> {
  const gathered = metric();
  let [loss, weights, seen] = [0, 0, 0];
  const batches = evaluationBatches(source, { row: task.row, batchSize })[Symbol.asyncIterator]();
  for (let next = await batches.next(); !next.done; ) {
    const { inputs, samples, count } = next.value;
    // Before the first run, which may take the inputs' memory with it.
    const { input, ...targets } = inputs;
    const view = secondView && { ...structuredClone(targets), input: secondView(input) };
    const running = run(inputs, count);
    // The next batch is prepared meanwhile; where that throws, that is what the caller gets to hear.
    running.catch(() => {});
    next = await batches.next();
    const outputs = await running;
    const second = view && (await run(view, count));
    const weight = outputs[lossWeight] ? Number(outputs[lossWeight].data[0]) : count;
    loss += Number(outputs.loss.data[0]) * weight;
    weights += weight;
    gathered.add(predictionsIn(outputs), samples, second && predictionsIn(second));
    seen += count;
    onProgress?.(seen, source.count);
  }
  // Samples that weigh nothing lose nothing.
  return {
    loss: weights > 0 ? loss / weights : 0,
    metrics: gathered.result(),
    details: gathered.details?.bind(gathered),
    predictions: gathered.predictions?.bind(gathered),
  };
}

/** What {@link outputEvaluation} put out of the predictions, by their own names. */
function predictionsIn(outputs: Tensors): Tensors {
  const predictions = Object.entries(outputs).filter(([name]) => name.startsWith(predicted));
  return Object.fromEntries(predictions.map(([name, value]) => [name.slice(predicted.length), value]));
}

/** Measures a network whose parameters are stored in an engine. */
export class TaskEvaluation {
  private readonly engine: Engine;
  private readonly task: Task;
  private readonly evaluation: Evaluation;
  private readonly program: string;
  private readonly batchSize: number;
  private readonly ownBatch: number | undefined;

  private constructor(
    engine: Engine,
    { task, evaluation, program }: { task: Task; evaluation: Evaluation; program: string },
    { batchSize, ownBatch }: { batchSize: number; ownBatch: number | undefined },
  ) {
    this.engine = engine;
    this.task = task;
    this.evaluation = evaluation;
    this.program = program;
    this.batchSize = batchSize;
    this.ownBatch = ownBatch;
  }

  static async prepare(
    engine: Engine,
    { layer, inputShape, ownBatch }: Network,
    what: { task: Task; evaluation: Evaluation; program: string },
  ): Promise<TaskEvaluation> {
    const { count: total } = what.evaluation.source;
    const batchSize = evaluationBatchSize({ layer, inputShape, ownBatch }, total);
    const target = await engine.target();
    // The samples of the last batch, where they are fewer, have a program of their own.
    for (const count of new Set([Math.min(batchSize, total), total % batchSize])) {
      if (count === 0) continue;
      const model = buildModel(layer, { inputShape, batchSize: ownBatch ?? count, training: false });
      outputEvaluation(what.task, model.logits, count);
      await engine.load(`${what.program} ${count}`, compile(model.graph, { target }));
    }
    return new TaskEvaluation(engine, what, { batchSize, ownBatch });
  }

  /** Over all samples. */
  measure(): Promise<Evaluated> {
    const run = async (inputs: Tensors, count: number) => {
      const input = filledUp(inputs.input, this.ownBatch ?? count);
      return (await this.engine.run(`${this.program} ${count}`, { ...inputs, input })).outputs;
    };
    return evaluate(this.evaluation, this.task, { batchSize: this.batchSize, run });
  }
}

/** Rows of zeros after those of a tensor, for a network that takes one number of them only. */
export function filledUp(tensor: TensorData, size: number): TensorData {
  const [count, ...row] = tensor.shape;
  if (count === size) return tensor;
  const data = new Float32Array((tensor.data.length / count) * size);
  data.set(tensor.data as Float32Array);
  return { type: "float32", shape: [size, ...row], data };
}
