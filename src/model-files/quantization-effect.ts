import { median } from "../common/numbers.ts";
import { evaluationBatches } from "../data/rows.ts";
import { elementCount } from "../graph/graph.ts";
import { readModelFile } from "../import/load.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { fusedOperators } from "../runtime/onnxruntime.ts";
import { type EngineOptions, openEngine } from "../runtime/remote.ts";
import type { OpenedTask } from "../tasks/task.ts";
import { type EvaluateOptions, type Evaluation, evaluateFile } from "./evaluate.ts";
import { loadToRun, openToRun } from "./file-to-run.ts";

// What quantizing a file changed: metrics, predictions, time.

/** The ways in which a quantized file is run beside the float one. */
const ways = {
  /** Rounded where the file says, computed in float. */
  fake: { fuse: false },
  /** In integer kernels, whose sums are exact on every processor. */
  executed: {},
  /** In the kernels that ONNX Runtime takes on its own, which may saturate. */
  fastest: { exactIntegers: false },
} as const satisfies Record<string, EngineOptions>;

export interface QuantizationEffect {
  /** Absent where there is no float file. */
  float?: Evaluation;
  fake: Evaluation;
  executed: Evaluation;
  /** Share of predictions that are those of fake quantization; of tasks with classes. */
  agreement?: { executed: number; fastest: number };
  /** Milliseconds of one run with one thread: medians of rounds in turns. */
  latency: { batch: number; float?: number; executed: number; fastest: number }[];
  /** How many of each operator ONNX Runtime makes of the quantized file. */
  operators: Record<string, number>;
}

type FileOptions = Pick<EvaluateOptions, "normalization" | "dimensions" | "output" | "threads">;

/**
 * Measures a quantized file, and the float one that it was made of, on the task's test data.
 * @param float path of that file, if there is one
 */
export async function quantizationEffect(
  float: string | undefined,
  quantized: Uint8Array,
  opened: OpenedTask,
  { onProgress, ...options }: FileOptions & { onProgress?: (done: number, total: number) => void },
): Promise<QuantizationEffect> {
  const steps = float === undefined ? 4 : 5;
  let done = 0;
  const step = async <T>(work: Promise<T>): Promise<T> => {
    const result = await work;
    onProgress?.(++done, steps);
    return result;
  };
  const evaluated = (model: string | Uint8Array, engine: EngineOptions = {}) =>
    step(evaluateFile(model, opened, { ...options, engine, name: "the model" }));
  return {
    ...(float !== undefined && { float: await evaluated(float) }),
    fake: await evaluated(quantized, ways.fake),
    executed: await evaluated(quantized, ways.executed),
    agreement: await step(agreement(quantized, opened, options)),
    latency: await step(latency(float, quantized, opened, options)),
    operators: await countedOperators(quantized),
  };
}

/** How many of each operator ONNX Runtime makes of a file. */
async function countedOperators(model: Uint8Array): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const operator of await fusedOperators(model)) counts[operator] = (counts[operator] ?? 0) + 1;
  return counts;
}

/** What records say of each network: no pictures, and no file of predictions. */
export function effectNumbers({ float, fake, executed, ...rest }: QuantizationEffect) {
  const numbers = ({ loss, metrics, examples }: Evaluation) => ({ loss, metrics, examples });
  return {
    ...(float && { float: numbers(float) }),
    fake: numbers(fake),
    executed: numbers(executed),
    ...rest,
  };
}

/** How often the largest of the classes is the same, over examples and places. */
async function agreement(
  quantized: Uint8Array,
  { task, evaluations: [{ source }] }: OpenedTask,
  { threads, ...options }: FileOptions,
): Promise<{ executed: number; fastest: number } | undefined> {
  if (task.output.holds !== "logits") return undefined;
  const file = openToRun(await readModelFile(quantized), { task, train: source }, options);
  const engines = Object.values(ways).map((way) => openEngine({ threads, ...way }));
  try {
    const runs = await Promise.all(
      engines.map((engine) => loadToRun(engine, quantized, file, { name: "the model", stored: task.input })),
    );
    const same = [0, 0];
    let total = 0;
    for await (const { inputs, count } of evaluationBatches(source, {
      row: task.row,
      batchSize: file.input.shape[0],
    })) {
      const [fake, ...others] = await Promise.all(
        runs.map(async (run) => {
          const copied = { ...inputs.input, data: inputs.input.data.slice() as Float32Array<ArrayBuffer> };
          return largest((await run(copied)).values, count);
        }),
      );
      total += fake.length;
      for (const [index, other] of others.entries())
        same[index] += other.filter((value, at) => value === fake[at]).length;
    }
    return { executed: same[0] / total, fastest: same[1] / total };
  } finally {
    for (const engine of engines) await engine.close();
  }
}

/** The largest class of each of the first `count` examples, [count, classes, …], at each place. */
function largest({ shape: [, classes, ...places], data }: TensorData, count: number): Int32Array {
  const values = data as Float32Array;
  const inner = elementCount(places);
  return Int32Array.from({ length: count * inner }, (_, at) => {
    const start = Math.floor(at / inner) * classes * inner + (at % inner);
    let best = 0;
    for (let index = 1; index < classes; index++)
      if (values[start + index * inner] > values[start + best * inner]) best = index;
    return best;
  });
}

/** Runs of each kind in one round, so that whatever the machine does meanwhile meets all of them. */
const rounds = 15;

/**
 * Milliseconds of one run with one thread, of a file that takes any batch at 1 and 128 examples.
 * @param float path of the float file, if there is one
 */
export async function latency(
  float: string | undefined,
  quantized: Uint8Array,
  { task, train }: Pick<OpenedTask, "task" | "train">,
  options: FileOptions,
): Promise<QuantizationEffect["latency"]> {
  const { input } = openToRun(
    await readModelFile(float ?? quantized),
    { task, train: { name: train.name, count: 2 } },
    { ...options },
  );
  const [own, ...one] = input.shape;
  const kinds = {
    ...(float !== undefined && { float: [float, {}] as const }),
    executed: [quantized, ways.executed],
    fastest: [quantized, ways.fastest],
  } as const;
  const engines = Object.entries(kinds).map(([kind, [model, way]]) => ({
    ...{ kind: kind as keyof typeof kinds, model, engine: openEngine({ threads: 1, ...way }) },
  }));
  try {
    for (const { engine, model } of engines) await engine.load("model", model);
    const results: QuantizationEffect["latency"] = [];
    // A file that takes two at a time takes any number.
    for (const batch of own === 2 ? [1, 128] : [own]) {
      const times = { float: [] as number[], executed: [] as number[], fastest: [] as number[] };
      for (let round = -1; round < rounds; round++) {
        for (const { kind, engine } of engines) {
          const data = new Float32Array(batch * elementCount(one)).fill(0.5);
          const started = performance.now();
          await engine.run("model", { [input.name]: { type: "float32", shape: [batch, ...one], data } });
          // The first run of each allocates.
          if (round >= 0) times[kind].push(performance.now() - started);
        }
      }
      results.push({
        batch,
        ...(float !== undefined && { float: median(times.float) }),
        executed: median(times.executed),
        fastest: median(times.fastest),
      });
    }
    return results;
  } finally {
    for (const { engine } of engines) await engine.close();
  }
}
