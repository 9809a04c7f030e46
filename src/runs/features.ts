import { fileRows } from "#platform";
import { randomStream } from "../common/random.ts";
import { evaluationBatches } from "../data/rows.ts";
import type { Sample } from "../data/source.ts";
import { fixedPart, type Split, splitOffFixed } from "../graph/fixed-part.ts";
import { elementCount, type Shape, type Value } from "../graph/graph.ts";
import { leavesOf, nodesOf } from "../graph/walk.ts";
import { compile } from "../lower/compile.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { Objective } from "../optim/training-step.ts";
import type { RowStore } from "../platform/platform.ts";
import type { Engine } from "../runtime/engine.ts";
import type { OpenedTask, Task } from "../tasks/task.ts";
import { filledUp } from "../tasks/task-evaluation.ts";
import { evaluationBatchSize, type Network, taskObjective } from "../tasks/task-network.ts";
import { featureSource, memoryStore } from "./feature-store.ts";

// Frozen layers before those that train give the same for an image in every step. They are computed once, and training
// goes on from there.

/** Bytes of features that are kept in memory, and those that are kept in a file, where there are files. */
const limits = { memory: 2 ** 30, file: 2 ** 34 };

/** What makes features worth keeping. */
const products = /Conv|MatMul|Gemm|Einsum|LSTM|GRU|RNN|Attention/;

/** How far features of an image may differ between batches by rounding, relative to the largest. */
const tolerance = 1e-3;

const becauseAugmented = "the frozen stages are computed at each step, since images are augmented";

export interface FeatureHooks {
  signal?: AbortSignal;
  onNote?: (note: string) => void;
  onProgress?: (done: number, total: number) => void;
}

/** Training from features in place of images. */
export interface FeatureTraining {
  objective: Objective;
  /** Gives features and targets. */
  opened: Pick<OpenedTask, "task" | "train" | "order">;
  close: () => void;
}

/** Whether the frozen part of a network gives features, in how many bytes, and why they are not kept. */
export interface FeaturePlan {
  /** Of one example. */
  shapes: readonly Shape[];
  bytes: number;
  /** A sentence for people. */
  note: string;
  kept: boolean;
  /** Where: in a file what memory is too small for. */
  inFile: boolean;
}

/**
 * Looks for features: what layers that are frozen compute of images alone.
 * @param objective of one micro-batch
 * @returns undefined where there are none
 */
export async function planFeatures(
  objective: Objective,
  { task, train }: Pick<OpenedTask, "task" | "train">,
): Promise<FeaturePlan | undefined> {
  const found = fixedPart(outputsOf(objective), partOptions(objective));
  if (!nodesOf(found).some(({ operator }) => products.test(operator))) return undefined;
  const shapes = found.map(({ shape }) => shape.slice(1));
  const floats = shapes.reduce((sum, shape) => sum + elementCount(shape), 0);
  const bytes = 4 * floats * train.count;
  const size = `${floats.toLocaleString("en")} numbers for each of ${train.count.toLocaleString("en")} images, ${sizeText(bytes)}`;
  const inFile = bytes > limits.memory;
  const plan = (kept: boolean, note: string) => ({ shapes, bytes, kept, inFile, note });
  const batch = batchOf(objective);
  const isPerExample = found.every(({ type, shape }) => type === "float32" && shape[0] === batch);
  if (!isPerExample) {
    return plan(
      false,
      "the frozen stages are computed at each step: what they give is not a row for each image",
    );
  }
  const draws = drawDetector();
  task.row(await train.read(0), draws.random);
  if (draws.happened()) return plan(false, becauseAugmented);
  const most = fileRows ? limits.file : limits.memory;
  if (bytes > most) {
    return plan(
      false,
      `the frozen stages are computed at each step: ${size}, are more than the ${sizeText(most)} that are kept`,
    );
  }
  const place = inFile ? "in a file" : "in memory";
  return plan(true, `what the frozen stages give is computed once and kept: ${size} ${place}`);
}

/**
 * Computes the features of all training images with the weights in the engine's store.
 * @returns undefined where they cannot be kept after all, which `onNote` reports, and after an abort
 */
export async function keepFeatures(
  engine: Engine,
  { network, objective, opened }: { network: Network; objective: Objective; opened: OpenedTask },
  { plan, folder, ...hooks }: { plan: FeaturePlan; folder?: string } & FeatureHooks,
): Promise<FeatureTraining | undefined> {
  const { task, train, order } = opened;
  const length = plan.shapes.reduce((sum, shape) => sum + elementCount(shape), 0);
  const store =
    plan.inFile && fileRows ? fileRows(folder, "features.part", length) : memoryStore(train.count, length);
  let targets: readonly Sample[] | undefined;
  try {
    const pass = await preparePass(engine, network, opened);
    targets = await fill(store, pass, opened, { length, ...hooks });
  } finally {
    if (!targets) store.close();
  }
  if (!targets) return undefined;
  const { names, objective: onFeatures } = varyingObjective(objective);
  return {
    objective: onFeatures,
    opened: {
      task: { ...task, row: (sample) => sample },
      train: featureSource(train, store, { names, shapes: plan.shapes, targets }),
      order,
    },
    close: store.close,
  };
}

/** Gives what is kept of a batch of images, in the order of its names. */
interface FeaturePass {
  batchSize: number;
  run: (input: TensorData) => Promise<Float32Array[]>;
}

async function preparePass(engine: Engine, network: Network, opened: OpenedTask): Promise<FeaturePass> {
  const { task, train } = opened;
  const batchSize = evaluationBatchSize(network, train.count);
  const { objective } = taskObjective(network, task, { batchSize, training: true, purpose: "training" });
  const { fixed, kept } = splitObjective(objective);
  for (const { name, value } of kept) fixed.output(name, value);
  await engine.load("features", compile(fixed, { target: await engine.target() }));
  return {
    batchSize,
    run: async (input) => {
      const { outputs } = await engine.run("features", { input });
      return kept.map(({ name }) => outputs[name].data as Float32Array);
    },
  };
}

/** Computes all features into a store, and returns the targets; undefined where it cannot, or after an abort. */
async function fill(
  store: RowStore,
  { batchSize, run }: FeaturePass,
  { task, train }: OpenedTask,
  { length, signal, onNote, onProgress }: { length: number } & FeatureHooks,
): Promise<readonly Sample[] | undefined> {
  const targets: Sample[] = [];
  const draws = drawDetector();
  const row = (sample: Sample) => task.row(sample, draws.random);
  for await (const { inputs, count } of evaluationBatches(train, { row, batchSize })) {
    if (signal?.aborted) return undefined;
    if (draws.happened()) {
      onNote?.(becauseAugmented);
      return undefined;
    }
    const start = targets.length;
    const images = filledUp(inputs.input, batchSize);
    const moved = start === 0 && batchSize > 1 ? inOtherCompany(images) : undefined;
    const features = await run(images);
    if (moved && !(await run(moved)).every((others, part) => isAlike(others, features[part], batchSize))) {
      onNote?.(
        "the frozen stages are computed at each step: what they give for an image depends on its batch",
      );
      return undefined;
    }
    for (let index = 0; index < count; index++) {
      store.write(start + index, rowOf(features, index, { batchSize, length }));
      targets.push(targetsOf(inputs, task, index));
    }
    onProgress?.(targets.length, train.count);
  }
  return targets;
}

function rowOf(
  features: readonly Float32Array[],
  index: number,
  { batchSize, length }: { batchSize: number; length: number },
): Float32Array {
  const row = new Float32Array(length);
  let at = 0;
  for (const values of features) {
    const size = values.length / batchSize;
    row.set(values.subarray(index * size, (index + 1) * size), at);
    at += size;
  }
  return row;
}

/** The objective on features as inputs in place of images. */
function varyingObjective(objective: Objective): { objective: Objective; names: string[] } {
  const { varying, values, kept } = splitObjective(objective);
  const [loss, ...others] = values;
  const integers = others.splice(objective.buffers.size, objective.integers?.length ?? 0);
  const weight = objective.weight && others.pop();
  const input = ({ type, shape }: Value, name: string) => varying.input(name, type, shape);
  const named = [...objective.buffers.keys()];
  return {
    names: kept.map(({ name }) => name),
    objective: {
      loss,
      weight,
      constants: objective.constants,
      offsets: new Map(
        Array.from(objective.offsets ?? [], ([name, value]) => [name, input(value, nameOf(value))]),
      ),
      integers,
      buffers: new Map(named.map((name, index) => [name, others[index]])),
      parameters: new Map([...objective.parameters].map(([name, value]) => [name, input(value, name)])),
    },
  };
}

function splitObjective(objective: Objective): Split {
  return splitOffFixed(outputsOf(objective), partOptions(objective), "features/");
}

function outputsOf({ loss, buffers, integers = [], weight }: Objective): Value[] {
  return [loss, ...buffers.values(), ...integers, ...(weight ? [weight] : [])];
}

function nameOf({ origin }: Value): string {
  return origin.kind === "input" ? origin.name : "";
}

/** Everything varies but images and what is frozen. */
function partOptions(objective: Objective) {
  const outputs = outputsOf(objective);
  const inputs = leavesOf(nodesOf(outputs), outputs).filter(({ origin }) => origin.kind === "input");
  const isFixed = ({ origin }: Value) =>
    origin.kind === "input" && (origin.name === "input" || objective.constants?.has(origin.name));
  return {
    varying: new Set(inputs.filter((value) => !isFixed(value))),
    from: new Set(inputs.filter(({ origin }) => origin.kind === "input" && origin.name === "input")),
    keep: "last",
  } as const;
}

function batchOf({ loss }: Objective): number | undefined {
  return loss.graph.inputs.get("input")?.shape[0];
}

/** Notices when making a row draws random numbers: samples then become other rows in other epochs. */
function drawDetector() {
  let drawn = false;
  return {
    random: () => {
      drawn = true;
      return randomStream(0, "augment");
    },
    happened: () => drawn,
  };
}

/** The first half of a batch without its first image, in other places and company: moved up by one, zeros behind it. */
function inOtherCompany({ shape, data }: TensorData): TensorData<"float32"> {
  const [batchSize] = shape;
  const row = data.length / batchSize;
  const moved = new Float32Array(data.length);
  moved.set((data as Float32Array).subarray(row, row * (1 + Math.floor(batchSize / 2))));
  return { type: "float32", shape, data: moved };
}

/** Whether the features of images are those that they had in their own batch. */
function isAlike(moved: Float32Array, features: Float32Array, batchSize: number): boolean {
  const row = features.length / batchSize;
  const own = features.subarray(row, row * (1 + Math.floor(batchSize / 2)));
  const scale = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return own.every((value, index) => Math.abs(value - moved[index]) <= tolerance * scale);
}

function targetsOf(inputs: Sample, { targets }: Task, row: number): Sample {
  return Object.fromEntries(
    Object.keys(targets).map((name) => {
      const { type, shape, data } = inputs[name];
      const size = data.length / shape[0];
      return [
        name,
        { type, shape: shape.slice(1), data: data.slice(row * size, (row + 1) * size) } as TensorData,
      ];
    }),
  );
}

function sizeText(bytes: number): string {
  const [unit, divisor] =
    bytes < 1e6 ? (["kB", 1e3] as const) : bytes < 1e9 ? (["MB", 1e6] as const) : (["GB", 1e9] as const);
  return `${(bytes / divisor).toFixed(1)} ${unit}`;
}
