import { UserError } from "../common/errors.ts";
import { nodesOf } from "../graph/walk.ts";
import { buildModel, freezing, type Model } from "../nn/module.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { chosenBits, layerNames } from "../quantization/bits.ts";
import type { LayerBits } from "../quantization/choices.ts";
import { GraphView } from "../quantization/graph-view.ts";
import { type LearnedQuantization, quantizing } from "../quantization/learned.ts";
import { learnedModel } from "../quantization/learned-file.ts";
import { requireFloat } from "../quantization/learned-sites.ts";
import type { Task } from "../tasks/task.ts";
import { frozenNetwork, inferenceModel, type Network } from "../tasks/task-network.ts";
import { openSizes } from "./model-file.ts";
import type { QuantizationSettings } from "./quantization-settings.ts";
import { inNewerOperators, stateQuantization } from "./quantized-file.ts";

/** A network with learned steps. */
export interface QuantizedNetwork extends Network {
  /** The network without them. */
  float: Network;
  quantization: LearnedQuantization;
  freezing: (names: ReadonlySet<string>) => QuantizedNetwork;
}

/** What a file is written by. */
type WrittenTask = Pick<Task, "metadata" | "output" | "input" | "images">;

/**
 * A network of any kind as one of small integers, with learned steps. What is written of it is a file for integer kernels.
 * @param dimensions sizes of axes that a network which came as a file leaves open
 * @throws UserError for bits that there are not, patterns that fit no layer, and a network without anything to quantize
 */
export function quantizedNetwork(
  float: Network,
  task: WrittenTask,
  settings: QuantizationSettings,
  dimensions?: Readonly<Record<string, number>>,
): QuantizedNetwork {
  const { perChannel, perturb } = settings;
  const model = inferenceForm(float);
  const names = trainedLayers(model);
  if (names.length === 0)
    throw new UserError(
      "the network has no convolution or linear layer with weights of its own, so nothing of it is quantized",
    );
  const bitsOf = chosenBits(names, settings);
  const layers = new Map<string, LayerBits>();
  for (const name of names) {
    const bits = bitsOf(name);
    if (bits !== "float") layers.set(name, bits);
  }
  if (layers.size === 0) throw new UserError("every layer stays float, so nothing is quantized");
  const notes = floatNotes(model, names, layers);
  return withSteps(float, { layers, perChannel, perturb }, { task, notes, dimensions });
}

function withSteps(
  float: Network,
  quantization: LearnedQuantization,
  {
    task,
    notes,
    dimensions,
  }: {
    task: WrittenTask;
    notes: readonly string[];
    dimensions: Readonly<Record<string, number>> | undefined;
  },
): QuantizedNetwork {
  return {
    ...float,
    float,
    quantization,
    layer: quantizing(float.layer, quantization),
    get notes() {
      return [...(float.notes ?? []), ...notes];
    },
    freezing: (names) => {
      const frozen = frozenNetwork(float, names);
      // Weights of a file that are frozen are constants of its graph.
      const still = new Set(trainedLayers(inferenceForm(frozen)));
      const layers = new Map(Array.from(quantization.layers).filter(([name]) => still.has(name)));
      if (layers.size === 0)
        throw new UserError(
          "every layer that is quantized is frozen, so nothing is quantized; train some of them",
        );
      const left = Array.from(quantization.layers.keys()).filter((name) => !still.has(name));
      const own =
        left.length === 0 ? notes : [...notes, `frozen layers of the file stay float: ${left.join(", ")}`];
      const network = withSteps(frozen, { ...quantization, layers }, { task, notes: own, dimensions });
      return { ...network, layer: freezing(network.layer, names) };
    },
    write: (tensors) => {
      const { parameters, buffers } = inferenceForm(float);
      const own = new Set([...parameters, ...buffers].map(({ name }) => name));
      const weights: Tensors = Object.fromEntries(Object.entries(tensors).filter(([name]) => own.has(name)));
      const written = readModel(inferenceModel(float, weights, task));
      const fileInput = written.graph?.input.find(
        ({ name }) => !written.graph?.initializer.some((stored) => stored.name === name),
      );
      const sizes = { dimensions, openSizes: openSizes(written, task) };
      const newer = inNewerOperators(written, fileInput?.name ?? "", sizes);
      const { model, layers } = learnedModel(newer, tensors, quantization.layers);
      stateQuantization(model, layers);
      return writeModel(model);
    },
  };
}

function inferenceForm({ layer, inputShape, ownBatch }: Network): Model {
  return buildModel(layer, { inputShape, batchSize: ownBatch ?? 2, training: false });
}

function viewOf({ logits, input, parameters, buffers }: Model): GraphView {
  const stored = new Set([...parameters, ...buffers].map(({ name }) => name));
  return new GraphView(logits, input, (name) => stored.has(name));
}

/** The layers whose weights are parameters. */
function trainedLayers(model: Model): string[] {
  const view = viewOf(model);
  requireFloat(view);
  const trained = new Set(model.parameters.map(({ name }) => name));
  return Array.from(layerNames(view)).flatMap(([node, name]) => (trained.has(node.input[1]) ? [name] : []));
}

/** What of a network stays float: layers that the settings name, and weights of other operators. */
function floatNotes(
  model: Model,
  names: readonly string[],
  layers: ReadonlyMap<string, LayerBits>,
): readonly string[] {
  const view = viewOf(model);
  const chosen = names.filter((name) => !layers.has(name));
  const read = new Set(Array.from(layerNames(view).keys(), ({ input }) => input[1]));
  const others = model.parameters.flatMap(({ name, kind }) => {
    if (kind !== "weight" || read.has(name)) return [];
    const reader = nodesOf([model.logits]).find(({ inputs }) =>
      inputs.some((value) => value?.origin.kind === "input" && value.origin.name === name),
    );
    return reader ? [`${name} (${reader.operator})`] : [];
  });
  return [
    ...(chosen.length > 0 ? [`layers that stay float: ${chosen.join(", ")}`] : []),
    ...(others.length > 0
      ? [`weights that stay float, since integers have no kernel for what reads them: ${others.join(", ")}`]
      : []),
  ];
}
