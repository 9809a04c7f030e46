import { attempt, UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import type { Shape, Value } from "../graph/graph.ts";
import { copyInto, leavesOf, nodesOf } from "../graph/walk.ts";
import { startingFrom } from "../nn/initializers.ts";
import type { Layer } from "../nn/module.ts";
import type { ImportedNetwork, TrainableModel } from "./load.ts";
import { classEnd, classRows, isClassRows, type OutputForm, readOutput } from "./logits.ts";
import { differentiableLeaves } from "./training-notes.ts";

export interface ModelLayerOptions {
  /** Which output holds the logits. Default: the model's only one. */
  output?: string;
  /** What is read of that output. Default: logits [batch, classes]. */
  form?: OutputForm;
  /** Sizes of the model's symbolic dimensions. */
  dimensions?: Readonly<Record<string, number>>;
  /** Makes of the layer's input what the model takes, of the given shape. Default: it has to be of that shape. */
  adapt?: (x: Value, shape: Shape) => Value;
  /** Called with what is built, each time the layer is. */
  onBuild?: (network: ImportedNetwork, training: boolean) => void;
}

/**
 * An ONNX model as a layer from its input to an output, logits [batch, classes] by default, for networks and runs that
 * take layers.
 * Its parameters and running statistics have their names in the file and start from its numbers.
 *
 * ```ts
 * const model = await loadModel("classifier.onnx");
 * await train({ data: "digits", model: modelLayer(model) });
 * ```
 * The layer throws `UserError` when the model cannot be built for the batch and images it is given.
 */
export function modelLayer(model: TrainableModel, options: ModelLayerOptions = {}): Layer {
  const kinds = {
    output: "text",
    form: "object",
    dimensions: "object",
    adapt: "function",
    onBuild: "function",
  } as const;
  const given = readOptions("modelLayer", options, kinds);
  const { output, form = classRows, dimensions, adapt = (x: Value) => x, onBuild } = given;
  return (x, scope) => {
    const [batchSize] = x.shape;
    const network = model.shared({
      training: scope.training,
      batchSize,
      anyBatch: true,
      dimensions,
      statisticsMomentum: scope.batchNormMomentum,
    });
    if (network.inputs.size !== 1) {
      throw new UserError(
        `the model has the inputs ${[...network.inputs.keys()].join(", ")}; a layer has one`,
      );
    }
    const [[name, input]] = network.inputs;
    const adapted = adapt(x, input.shape);
    if (adapted.type !== input.type || adapted.shape.join() !== input.shape.join()) {
      throw new UserError(
        `input "${name}" is ${input.type} [${input.shape.join(", ")}], but it is given ${adapted.type} [${adapted.shape.join(", ")}]`,
      );
    }
    const bindings = new Map<Value, Value>([[input, adapted]]);
    const { name: outputName, value } = readOutput(network, output, form);
    const updates = [...network.bufferUpdates];
    const ends = [value, ...updates.map(([, next]) => next)];
    const read = new Set(leavesOf(nodesOf(ends), ends));
    const learned = differentiableLeaves([value]);
    for (const { name: parameter, shape, kind, values } of model.kept) {
      const place = network.graph.inputs.get(parameter);
      if (!place || !(read.has(place) || network.bufferUpdates.has(parameter))) continue;
      const own =
        kind !== "buffer" && learned.has(place)
          ? scope.parameter(parameter, shape, kind, startingFrom(values))
          : scope.buffer(parameter, shape, values);
      bindings.set(place, own);
    }
    const parameters = new Map([...network.parameters].filter(([, place]) => learned.has(place)));
    onBuild?.({ ...network, parameters }, scope.training);
    for (const random of network.randomInputs) {
      const { origin, shape } = random;
      bindings.set(random, scope.random(origin.kind === "input" ? origin.name : "", shape));
    }
    if (value.shape[0] !== batchSize) {
      throw new UserError(
        `output "${outputName}" has ${value.shape[0]} rows for a batch of ${batchSize}: the file is for a batch of ${value.shape[0]}; choose that batch size, or export the model with a dynamic batch`,
      );
    }
    const [copy, ...next] = copyInto(x.graph, ends, bindings);
    for (const [index, [buffer]] of updates.entries()) scope.updateBuffer(buffer, next[index]);
    return copy;
  };
}

/**
 * The number of examples that a file is for, where it takes no other: a Reshape to [1, 256], say, or the
 * initial state of an LSTM.
 * @param batchSize one that is tried; a file that takes it is for any
 * @returns undefined where the file takes any number
 * @throws UserError where the model cannot be built for any batch
 */
export function ownBatch(
  model: TrainableModel,
  batchSize: number,
  { output, form = classRows, dimensions }: Pick<ModelLayerOptions, "output" | "form" | "dimensions"> = {},
): number | undefined {
  let reason: string | undefined;
  const rowsFor = (size: number): number | undefined => {
    const built = attempt(() =>
      model.shared({ training: false, batchSize: size, anyBatch: true, dimensions }),
    );
    const { value: network } = built;
    const value = network && attempt(() => takenValue(network, output, form));
    // What is wrong with the output says more than what is wrong with the batch.
    reason = value?.error ?? reason ?? built.error;
    return value?.value?.shape[0];
  };
  const rows = rowsFor(batchSize);
  if (rows === batchSize) return undefined;
  for (const size of new Set([...model.statedBatches, rows ?? 1, 1])) if (rowsFor(size) === size) return size;
  throw new UserError(reason ?? `the model gives ${rows} rows for a batch of ${batchSize}`);
}

/** An output, whether or not its logits are known. */
function takenValue(network: ImportedNetwork, output: string | undefined, form: OutputForm): Value {
  return isClassRows(form) ? classEnd(network, output).end.logits : readOutput(network, output, form).value;
}
