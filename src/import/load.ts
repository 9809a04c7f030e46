import { basename, readFile } from "#platform";
import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import type { Graph, Shape, Value } from "../graph/graph.ts";
import { stringEntries } from "../graph/to-onnx.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { fitsNames, type ParameterKind } from "../optim/parameter-groups.ts";
import type { Objective } from "../optim/passes.ts";
import { type TrainingMode, trainingMode } from "./adapter.ts";
import { separateAliases } from "./aliases.ts";
import { type DimensionOptions, dimensionOptions } from "./dimensions.ts";
import { readExternalData } from "./external-data.ts";
import { fromOnnx, type ImportedGraph } from "./from-onnx.ts";
import { type OutputEnd, outputEnd } from "./output-end.ts";
import type { ImportedParameter } from "./parameter.ts";
import { restoreNames } from "./pytorch-names.ts";
import { namesInGraphs } from "./reserved-names.ts";
import { rolesOf, type TensorRole, type TensorUse } from "./roles.ts";
import { differentiableLeaves, modeNotes, trainingNotes } from "./training-notes.ts";
import { readWeights, withWeights } from "./weights.ts";

export interface LoadModelOptions
  extends DimensionOptions,
    Partial<Omit<TrainingMode, "statisticsMomentum">> {
  /**
   * Names of the parameters that train, `*` standing for any characters. Default: every tensor that an output depends on
   * differentiably and that does not look like a constant. Running statistics never train.
   */
  trainable?: string | readonly string[];
  /** Names of parameters that keep their values regardless. */
  frozen?: string | readonly string[];
}

export const loadModelOptions: OptionKinds<LoadModelOptions> = {
  ...dimensionOptions,
  ...trainingMode,
  trainable: "any",
  frozen: "any",
};

/** The model built for one batch size, in training or in inference. */
export interface ImportedNetwork extends Omit<ImportedGraph, "initializers"> {
  graph: Graph;
  /** What the outputs hold, by name. */
  ends: ReadonlyMap<string, OutputEnd>;
  /** What a loss is taken of, by output: what is before its Softmax, LogSoftmax or Sigmoid, or else the output itself. */
  logits: ReadonlyMap<string, Value>;
  /** The inputs that are trained: those trainable that the outputs depend on differentiably as built. */
  parameters: ReadonlyMap<string, Value>;
}

/**
 * An ONNX model to train.
 *
 * ```ts
 * const model = await loadModel("classifier.onnx", { batchSize: 32 });
 * const network = model.build({ training: true });
 * const target = network.graph.input("target", "int32", [32]);
 * const step = trainingStep(
 *   objectiveOf(network, ops.softmaxCrossEntropy(network.logits.get("logits")!, target)),
 *   sgd({ momentum: 0.9 }),
 * );
 * // … run it over model.tensors …
 * await writeFile("tuned.onnx", model.write(trained));
 * ```
 * @param source path of the file, or its bytes
 * @throws UserError in one sentence if the file cannot be read or holds what cannot be trained
 */
export async function loadModel(
  source: string | Uint8Array,
  options: LoadModelOptions = {},
): Promise<TrainableModel> {
  readOptions("loadModel", options, loadModelOptions);
  return new TrainableModel(await readModelFile(source), options);
}

/**
 * An ONNX file as it stands, with the weights that are in other files.
 * @param name how messages name it; default: the file's own name
 */
export async function readModelFile(source: string | Uint8Array, name?: string): Promise<ModelProto> {
  const isPath = typeof source === "string";
  const bytes = isPath ? await readFile(source).catch((error) => refuse(source, error)) : source;
  const model = readModel(bytes, name ?? (isPath ? basename(source) : undefined));
  await readExternalData(model, isPath ? source : undefined);
  return model;
}

function refuse(path: string, { code, message }: Error & { code?: string }): never {
  throw new UserError(code === "ENOENT" ? `there is no file ${path}` : `${path} cannot be read: ${message}`);
}

/** What is minimized when a loss of an imported network is: for `trainingStep`. */
export function objectiveOf(network: ImportedNetwork, loss: Value): Objective {
  return { loss, parameters: network.parameters, buffers: network.bufferUpdates };
}

/** A file's weights, and the graphs that can be built of it. Made by {@link loadModel}. */
export class TrainableModel {
  /** Every floating-point tensor of the file. */
  readonly parameters: readonly ImportedParameter[];
  private readonly byName: ReadonlyMap<string, ImportedParameter>;
  private readonly byStoredName: ReadonlyMap<string, ImportedParameter>;
  /** What tensors are called in graphs, where their names in the file are taken there. */
  private readonly inputNames: ReadonlyMap<string, string>;
  private readonly networks = new Map<string, ImportedNetwork>();
  private readonly proto: ModelProto;
  private readonly weights: ReadonlyMap<string, TensorData>;
  private readonly options: LoadModelOptions;
  private readonly mode: TrainingMode;

  constructor(proto: ModelProto, options: LoadModelOptions) {
    const { batchNormalization = "batch", dropout = true, frozenDropout } = options;
    this.proto = proto;
    this.options = options;
    this.mode = { batchNormalization, dropout, frozenDropout };
    separateAliases(proto.graph!);
    restoreNames(proto.graph!);
    this.weights = readWeights(proto.graph!, proto.functions);
    const decided = [...rolesOf(proto, this.weights)].map(([storedName, use]) => {
      const { shape } = this.weights.get(storedName)!;
      return { storedName, shape, role: use.role, ...decide(storedName, use, options) };
    });
    const inputs = decided.filter((parameter) => this.isInput(parameter));
    this.inputNames = namesInGraphs(inputs.map(({ storedName }) => storedName));
    this.parameters = decided.map((parameter) => {
      const { storedName } = parameter;
      return { name: this.inputNames.get(storedName) ?? storedName, ...parameter };
    });
    this.byName = new Map(this.parameters.map((parameter) => [parameter.name, parameter]));
    this.byStoredName = new Map(this.parameters.map((parameter) => [parameter.storedName, parameter]));
    for (const key of ["trainable", "frozen"] as const) {
      for (const pattern of [options[key] ?? []].flat()) {
        if (this.parameters.some(({ storedName }) => fitsNames(storedName, pattern))) continue;
        const names = this.parameters.map(({ storedName }) => storedName);
        throw new UserError(`${key}: "${pattern}" fits no parameter; there are ${names.join(", ")}`);
      }
    }
  }

  /**
   * What somebody who trains the model has to know: how many elements train and why the others do not, and what of the
   * file makes the result other than it looks.
   * @param network what was built, to leave out what this one does not depend on
   */
  notes(network?: ImportedNetwork): string[] {
    return [...trainingNotes(this.parameters, this.proto, network), ...modeNotes(this.proto)];
  }

  /** The parameters that train, with their kinds: for `resolveGroups`. */
  get trainable(): (ImportedParameter & { kind: ParameterKind })[] {
    return this.parameters
      .filter(({ trainable }) => trainable)
      .map((parameter) => ({ ...parameter, kind: kindOf(parameter.role) }));
  }

  /** Everything a graph of the model has as an input of its own, with its numbers in the file. */
  get kept(): { name: string; shape: Shape; kind: ParameterKind | "buffer"; values: ArrayLike<number> }[] {
    return this.parameters
      .filter((parameter) => this.isInput(parameter))
      .map(({ name, storedName, shape, role, trainable }) => ({
        name,
        shape,
        kind: trainable ? kindOf(role) : "buffer",
        values: this.weights.get(storedName)!.data as ArrayLike<number>,
      }));
  }

  /** What a run starts from: the trained parameters and, unless they are frozen, the running statistics. */
  get tensors(): Tensors {
    const inputs = this.parameters.filter((parameter) => this.isInput(parameter));
    return Object.fromEntries(inputs.map(({ name, storedName }) => [name, this.weights.get(storedName)!]));
  }

  /**
   * The model's graph. Parameters that train and running statistics that move are inputs under their own names, the
   * other weights constants.
   * @throws UserError naming the node that stands in the way
   */
  build(
    options: { training: boolean } & Pick<TrainingMode, "statisticsMomentum"> & DimensionOptions,
  ): ImportedNetwork {
    const kinds = { ...dimensionOptions, training: "boolean", statisticsMomentum: "number" } as const;
    const { training, statisticsMomentum, ...sizes } = readOptions("build", options, kinds);
    const { initializers, ...network } = fromOnnx(this.proto, {
      batchSize: sizes.batchSize ?? this.options.batchSize,
      anyBatch: sizes.anyBatch ?? this.options.anyBatch,
      dimensions: { ...this.options.dimensions, ...sizes.dimensions },
      openSizes: sizes.openSizes ?? this.options.openSizes,
      weights: this.weights,
      isInput: (name) => this.isInput(this.byStoredName.get(name)),
      inputNames: this.inputNames,
      training: training ? { ...this.mode, statisticsMomentum } : undefined,
    });
    const ends = new Map(
      [...network.outputs].map(([name, value]) => [name, outputEnd(value, network.randomInputs)]),
    );
    const logits = new Map([...ends].map(([name, end]) => [name, end.logits]));
    const reached = differentiableLeaves(logits.values());
    const parameters = this.trainable
      .filter(({ name }) => initializers.has(name))
      .map(({ name }) => [name, network.graph.inputs.get(name)!] as const)
      .filter(([, value]) => reached.has(value));
    return { ...network, ends, logits, parameters: new Map(parameters) };
  }

  /** The same as `build`, made once for each setting: for readers, who add no inputs or outputs to its graph. */
  shared(options: Parameters<TrainableModel["build"]>[0]): ImportedNetwork {
    const key = JSON.stringify(options);
    const network = this.networks.get(key) ?? this.build(options);
    this.networks.set(key, network);
    return network;
  }

  /** Sizes that the file states for the first axes of its inputs and outputs. */
  get statedBatches(): number[] {
    const { input, output } = this.proto.graph ?? { input: [], output: [] };
    return [...input, ...output].flatMap(({ name, type }) => {
      if (this.weights.has(name) || type?.value.case !== "tensorType") return [];
      const first = type.value.value.shape?.dim[0]?.value;
      return first?.case === "dimValue" && first.value >= 1n ? [Number(first.value)] : [];
    });
  }

  /**
   * The file with other weights: the same inputs, outputs, nodes and names. Tensors of other names, such as an
   * optimizer's state, are left aside.
   * @param metadata what the file says of itself, over what it says already
   */
  write(tensors: Tensors, metadata: Readonly<Record<string, string>> = {}): Uint8Array<ArrayBuffer> {
    const own = Object.entries(tensors).flatMap(([name, tensor]): [string, TensorData][] => {
      const parameter = this.byName.get(name);
      return parameter && this.isInput(parameter) ? [[parameter.storedName, tensor]] : [];
    });
    const written = withWeights(this.proto, new Map(own));
    const kept = written.metadataProps.filter(({ key }) => !Object.hasOwn(metadata, key));
    written.metadataProps = [...kept, ...stringEntries(metadata)];
    return writeModel(written);
  }

  /** Whether a tensor is an input of the graphs that are built. */
  private isInput(parameter: Omit<ImportedParameter, "name"> | undefined): boolean {
    if (!parameter) return false;
    const { trainable, role } = parameter;
    return trainable || (role === "running-statistic" && this.mode.batchNormalization === "batch");
  }
}

/** Whether a tensor trains, and if not, why. */
function decide(
  name: string,
  { role, trains, reason, isCertain, wall }: TensorUse,
  { trainable, frozen }: LoadModelOptions,
): Pick<ImportedParameter, "trainable" | "reason" | "frozenBy" | "wall"> {
  const asked = frozen !== undefined && fitsNames(name, frozen);
  const isChosen = trainable !== undefined && fitsNames(name, trainable);
  if (role !== "running-statistic" && !asked && (trainable === undefined ? trains : isChosen))
    return { trainable: true, ...(reason !== undefined && { reason }) };
  if (!trains && !(asked && role !== "running-statistic"))
    return { trainable: false, reason, frozenBy: isCertain ? "role" : "guess", ...(wall && { wall }) };
  return { trainable: false, reason: asked ? "frozen" : "not chosen", frozenBy: "options" };
}

function kindOf(role: TensorRole): ParameterKind {
  return role === "running-statistic" || role === "constant" ? "weight" : role;
}
