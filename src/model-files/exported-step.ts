import { basename, dirname, extname, join, runFiles } from "#platform";
import { type OptionKinds, readOptions } from "../common/options.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { toOnnx } from "../graph/to-onnx.ts";
import { nodesOf } from "../graph/walk.ts";
import { ownBatch } from "../import/layer.ts";
import { type ImportedNetwork, objectiveOf, type TrainableModel } from "../import/load.ts";
import { classLogits } from "../import/logits.ts";
import { lower } from "../lower/lower.ts";
import { writeModel } from "../onnx/model.ts";
import { type CrossEntropyOptions, smoothingOptions } from "../ops/losses.ts";
import { requiredOpset } from "../ops/operator.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { scalarInput, scalarWords } from "../optim/scalars.ts";
import type { ScheduleConfig } from "../optim/schedules.ts";
import { initialState } from "../optim/state.ts";
import { type TrainingStepOptions, trainingStep, trainingStepOptions } from "../optim/training-step.ts";
import { optimizerLabel } from "../runs/optimizer-label.ts";
import { nextSuffix, type Tensors } from "../runtime/engine.ts";
import { classLoss } from "../tasks/classification/class-task.ts";
import { microBatchCount } from "../tasks/task-network.ts";
import { writeSafetensors } from "../weights/safetensors.ts";

// A training step as files for other programs: one plain ONNX model per kind of step, what it starts from, and a
// description of every input and output.

export interface ExportStepOptions
  extends Omit<CrossEntropyOptions, "reduction">,
    Omit<TrainingStepOptions, "step" | "averageDecay" | "recompute"> {
  batchSize: number;
  /** Sizes of the model's other symbolic dimensions. */
  dimensions?: Readonly<Record<string, number>>;
  /** Which of the model's outputs holds the logits [batch, classes]. Default: its only one. */
  output?: string;
}

const {
  step: _step,
  averageDecay: _averageDecay,
  recompute: _recompute,
  ...stepOptions
} = trainingStepOptions;
const exportStepOptions: OptionKinds<ExportStepOptions> = {
  ...smoothingOptions,
  ...stepOptions,
  batchSize: "number",
  dimensions: "object",
  output: "text",
};

export interface ExportedStep {
  /** The kinds of step; all but a few optimizers make one kind only. */
  programs: readonly { kind: string; bytes: Uint8Array<ArrayBuffer> }[];
  /** Parameters, optimizer state and running statistics before the first step. */
  initial: Tensors;
  /** What is in the files of `writeExportedStep`, given the name of the first. */
  describe: (file: string) => StepDescription;
}

/** `step.json`. */
export interface StepDescription {
  format: "lowland training step 1";
  /** The file that holds the initial values. */
  initialValues: string;
  loss: { name: "cross-entropy"; labelSmoothing: number; labelSmoothingKind: string; ofOutput: string };
  optimizer: Optimizer["config"];
  batchSize: number;
  steps: readonly StepKindDescription[];
}

export interface StepKindDescription {
  kind: string;
  file: string;
  /** Which steps are of this kind. */
  when: string;
  gradientEvaluations: number;
  inputs: readonly StepInput[];
  outputs: readonly StepOutput[];
}

export interface StepInput {
  name: string;
  /** Parameters, state and buffers are kept from step to step; the others are given at each. */
  role: "parameter" | "state" | "buffer" | "data" | "target" | "scalar" | "random";
  type: string;
  shape: readonly number[];
  /** Of what is kept: the file with its initial value, under the input's name. */
  initial?: string;
  /** Of what is kept: the output to feed at the next step; without one it stays as it is. */
  next?: string;
  /** Of what is fed: what it is. */
  feed?: string;
  /** Of a scalar of the optimizer: how it changes. */
  schedule?: ScheduleConfig;
}

export interface StepOutput {
  name: string;
  role: "next" | "metric";
  type: string;
  shape: readonly number[];
  /** Of a next value: the input it belongs to. */
  input?: string;
  meaning?: string;
}

/**
 * The step that trains a model, for any program that can run ONNX: operators of ONNX alone, every tensor an input or
 * output under its name.
 *
 * ```ts
 * const model = await loadModel("classifier.onnx");
 * const step = exportStep(model, bilateralSam(sgd({ momentum: 0.9 })), { batchSize: 32, labelSmoothing: 0.1 });
 * await writeExportedStep(step, "step.onnx"); // step.onnx, step.json, step.safetensors
 * ```
 * @throws UserError if the model cannot be trained that way
 */
export function exportStep(
  model: TrainableModel,
  optimizer: Optimizer,
  options: ExportStepOptions,
): ExportedStep {
  readOptions("exportStep", options, exportStepOptions);
  const { batchSize, dimensions, output, labelSmoothing = 0, labelSmoothingKind = "uniform" } = options;
  const asked = { batchSize, microBatches: options.microBatches ?? 1 };
  const own = ownBatch(model, Math.max(1, Math.floor(batchSize / asked.microBatches)), {
    output,
    dimensions,
  });
  const microBatches = microBatchCount(asked, own);
  const { settings, clipNorm, perturbationPer } = options;
  const step = { settings, clipNorm, microBatches, perturbationPer };
  const sizes = { batchSize: batchSize / microBatches, anyBatch: true, dimensions };
  const network = model.build({ training: true, ...sizes });
  const { name: ofOutput, logits } = classLogits(network, output);
  const target = network.graph.input("target", "int64", [logits.shape[0]]);
  const objective = objectiveOf(
    network,
    classLoss({ labelSmoothing, labelSmoothingKind })(logits, { target }, "training"),
  );
  const kinds = Object.keys(optimizer.steps).map((kind) => {
    const graph = lower(trainingStep(objective, optimizer, { ...step, step: kind }));
    const opset = requiredOpset(nodesOf(graph.outputs.values()));
    return { kind, graph, bytes: writeModel(toOnnx(graph, { opset, name: "training step" })) };
  });
  const weights = model.tensors;
  const all: Tensors = { ...weights, ...initialState(objective, optimizer, weights, step) };
  const used = new Set(kinds.flatMap(({ graph }) => [...graph.inputs.keys()]));
  const initial = Object.fromEntries(Object.entries(all).filter(([name]) => used.has(name)));
  return {
    programs: kinds.map(({ kind, bytes }) => ({ kind, bytes })),
    initial,
    describe: (file) => ({
      format: "lowland training step 1",
      initialValues: beside(file, ".safetensors"),
      loss: { name: "cross-entropy", labelSmoothing, labelSmoothingKind, ofOutput },
      optimizer: optimizer.config,
      batchSize,
      steps: kinds.map(({ kind, graph }, index) => ({
        kind,
        file: programFile(file, kind, index),
        when: whenOf(kind, index, optimizer),
        gradientEvaluations: optimizer.steps[kind].gradientEvaluations * microBatches,
        inputs: [...graph.inputs.values()].map((value) =>
          inputOf(value, graph, network, initial, optimizer, file),
        ),
        outputs: [...graph.outputs].map(([name, value]) => outputOf(name, value)),
      })),
    }),
  };
}

/**
 * Writes a step as `x.onnx` (for a method with several kinds of step also `x-<kind>.onnx`), `x.json` and
 * `x.safetensors`. Returns the paths.
 */
export async function writeExportedStep(step: ExportedStep, path: string): Promise<string[]> {
  const file = basename(path);
  const description = step.describe(file);
  const files: [string, string | Uint8Array][] = [
    ...step.programs.map(
      ({ bytes }, index) => [description.steps[index].file, bytes] as [string, Uint8Array],
    ),
    [
      description.initialValues,
      writeSafetensors(step.initial, { optimizer: optimizerLabel(description.optimizer) }),
    ],
    [beside(file, ".json"), `${JSON.stringify(description, undefined, 2)}\n`],
  ];
  for (const [name, content] of files) await runFiles.replace(join(dirname(path), name), content);
  return files.map(([name]) => join(dirname(path), name));
}

function beside(file: string, ending: string): string {
  return `${file.slice(0, file.length - extname(file).length)}${ending}`;
}

function programFile(file: string, kind: string, index: number): string {
  return index === 0 ? file : beside(file, `-${kind}${extname(file)}`);
}

/** The condition of a kind of step; the first one says how steps are counted. */
function whenOf(kind: string, index: number, { steps }: Optimizer): string {
  const { when } = steps[kind];
  if (when === undefined) return "every step";
  return index === 0 ? `${when}, counted from 0` : when;
}

function inputOf(
  { origin, type, shape }: Value,
  graph: Graph,
  network: ImportedNetwork,
  initial: Tensors,
  optimizer: Optimizer,
  file: string,
): StepInput {
  const name = origin.kind === "input" ? origin.name : "";
  const tensor = { type, shape };
  const kept = { initial: beside(file, ".safetensors"), next: `${name}${nextSuffix}` };
  if (name in initial) {
    const role = network.parameters.has(name)
      ? "parameter"
      : network.bufferUpdates.has(name) || !graph.outputs.has(kept.next)
        ? "buffer"
        : "state";
    return {
      name,
      role,
      ...tensor,
      initial: kept.initial,
      ...(graph.outputs.has(kept.next) && { next: kept.next }),
    };
  }
  const scalar = { name, role: "scalar", ...tensor } as const;
  if (name === "learning_rate") return { ...scalar, feed: "the learning rate of this step" };
  for (const [own, { config }] of Object.entries(optimizer.scalars)) {
    if (scalarInput(own) !== name) continue;
    return { ...scalar, feed: `${scalarWords(own).title}${asScheduled}`, schedule: config };
  }
  if (name === "target")
    return { name, role: "target", ...tensor, feed: "the class of each example, from 0" };
  if (network.inputs.has(name)) return { name, role: "data", ...tensor, feed: "what the model takes" };
  return { name, role: "random", ...tensor, feed: "uniform numbers from [0, 1), redrawn for each step" };
}

function outputOf(name: string, { type, shape }: Value): StepOutput {
  if (name.endsWith(nextSuffix)) {
    return { name, role: "next", type, shape, input: name.slice(0, -nextSuffix.length) };
  }
  return { name, role: "metric", type, shape, meaning: meanings[name] };
}

const asScheduled = `; as \`schedule\` says, where proportional-to-learning-rate is
  low + (high - low) * (η - η_low) / (η_high - η_low), never below 0, η_high and η_low being the ends of the learning
  rate's own schedule`.replaceAll(/\s+/g, " ");

const meanings: Readonly<Record<string, string>> = {
  loss: "L(w), before the update",
  loss_max: "L(w + ε_max)",
  loss_min: "L(w − ε_min)",
  max_sharpness: "L(w + ε_max) − L(w)",
  min_sharpness: "L(w) − L(w − ε_min)",
  bilateral_sharpness: "L(w + ε_max) − L(w − ε_min)",
  grad_norm: "‖g‖, the gradient at w",
  grad_norm_max: "‖g⁺‖, the gradient at w + ε_max",
  grad_norm_min: "‖g⁻‖, the gradient at w − ε_min",
  direction_norm: "‖d‖, d being what the base update gets",
  scale: "ς = ‖g⁺‖ / ‖g⁻‖",
  cos_grad_max: "cos(g, g⁺)",
  cos_grad_min: "cos(g, g⁻)",
  curvature: "uᵀHu, the curvature along the gradient",
  theorem_one: "(1 − ς) / (1 + ς²)",
};
