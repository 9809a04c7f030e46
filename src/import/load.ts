import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import type { Graph, Shape, Value } from "../graph/graph.ts";
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
import { restoreNames } from "./pytorch-names.ts";
import { guessRoles, type TensorRole } from "./roles.ts";
import { isFloatingPoint, readWeights, withWeights } from "./weights.ts";

export interface LoadModelOptions
  extends DimensionOptions,
    Partial<Omit<TrainingMode, "statisticsMomentum">> {
  /**
   * Names of the parameters that train, `*` standing for any characters. Default: every weight, bias, and scale and
   * shift of a normalisation; neither running statistics nor tensors that look like constants.
   */
  trainable?: string | readonly string[];
  /** Names of parameters that keep their values all the same. */
  frozen?: string | readonly string[];
}

export const loadModelOptions: OptionKinds<LoadModelOptions> = {
  ...dimensionOptions,
  ...trainingMode,
  trainable: "any",
  frozen: "any",
};

/** A floating-point tensor that the file stores. */
export interface ImportedParameter {
  name: string;
  shape: Shape;
  role: TensorRole;
  trainable: boolean;
}

/** The model built for one batch size, in training or in inference. */
export interface ImportedNetwork extends Omit<ImportedGraph, "initializers"> {
  graph: Graph;
  /** What the outputs hold, by name. */
  ends: ReadonlyMap<string, OutputEnd>;
  /** What a loss is taken of, by output: what is before its Softmax, LogSoftmax or Sigmoid, or else the output itself. */
  logits: ReadonlyMap<string, Value>;
  /** The inputs that are trained. */
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

function refuse(path: string, { code, message }: NodeJS.ErrnoException): never {
  throw new UserError(code === "ENOENT" ? `there is no file ${path}` : `${path} cannot be read: ${message}`);
}

/** What is minimised when a loss of an imported network is: for `trainingStep`. */
export function objectiveOf(network: ImportedNetwork, loss: Value): Objective {
  return { loss, parameters: network.parameters, buffers: network.bufferUpdates };
}

/** A file's weights, and the graphs that can be built of it. Made by {@link loadModel}. */
export class TrainableModel {
  /** Every floating-point tensor of the file. */
  readonly parameters: readonly ImportedParameter[];
  private readonly proto: ModelProto;
  private readonly weights: ReadonlyMap<string, TensorData>;
  private readonly options: LoadModelOptions;
  private readonly mode: TrainingMode;

  constructor(proto: ModelProto, options: LoadModelOptions) {
    const { batchNormalization = "batch", dropout = true } = options;
    this.proto = proto;
    this.options = options;
    this.mode = { batchNormalization, dropout };
    separateAliases(proto.graph!);
    restoreNames(proto.graph!);
    this.weights = readWeights(proto.graph!);
    const roles = guessRoles(proto.graph!, this.weights);
    const floats = [...this.weights].filter(([, tensor]) => isFloatingPoint(tensor));
    this.parameters = floats.map(([name, { shape }]) => {
      const role = roles.get(name) ?? "constant";
      return { name, shape, role, trainable: isTrained(name, role, options) };
    });
    for (const key of ["trainable", "frozen"] as const) {
      for (const pattern of [options[key] ?? []].flat()) {
        if (this.parameters.some(({ name }) => fitsNames(name, pattern))) continue;
        const names = this.parameters.map(({ name }) => name);
        throw new UserError(`${key}: "${pattern}" fits no parameter; there are ${names.join(", ")}`);
      }
    }
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
      .filter(({ name }) => this.isStored(name))
      .map(({ name, shape, role, trainable }) => ({
        name,
        shape,
        kind: trainable ? kindOf(role) : "buffer",
        values: this.weights.get(name)!.data as ArrayLike<number>,
      }));
  }

  /** What a run starts from: the trained parameters and, unless they are frozen, the running statistics. */
  get tensors(): Tensors {
    return Object.fromEntries([...this.weights].filter(([name]) => this.isStored(name)));
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
      isInput: (name) => this.isStored(name),
      training: training ? { ...this.mode, statisticsMomentum } : undefined,
    });
    const names = this.trainable.map(({ name }) => name).filter((name) => initializers.has(name));
    const ends = new Map(
      [...network.outputs].map(([name, value]) => [name, outputEnd(value, network.randomInputs)]),
    );
    return {
      ...network,
      ends,
      logits: new Map([...ends].map(([name, { logits }]) => [name, logits])),
      parameters: new Map(names.map((name) => [name, network.graph.inputs.get(name)!])),
    };
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
   */
  write(tensors: Tensors): Uint8Array<ArrayBuffer> {
    const own = Object.entries(tensors).filter(([name]) => this.isStored(name));
    return writeModel(withWeights(this.proto, new Map(own)));
  }

  private isStored(name: string): boolean {
    const parameter = this.byName.get(name);
    if (!parameter) return false;
    return (
      parameter.trainable ||
      (parameter.role === "running-statistic" && this.mode.batchNormalization === "batch")
    );
  }

  private get byName(): ReadonlyMap<string, ImportedParameter> {
    this.index ??= new Map(this.parameters.map((parameter) => [parameter.name, parameter]));
    return this.index;
  }

  private index: Map<string, ImportedParameter> | undefined;
  private readonly networks = new Map<string, ImportedNetwork>();
}

function isTrained(name: string, role: TensorRole, { trainable, frozen }: LoadModelOptions): boolean {
  if (frozen !== undefined && fitsNames(name, frozen)) return false;
  if (trainable !== undefined) return role !== "running-statistic" && fitsNames(name, trainable);
  return role !== "running-statistic" && role !== "constant";
}

function kindOf(role: TensorRole): ParameterKind {
  return role === "running-statistic" || role === "constant" ? "weight" : role;
}
