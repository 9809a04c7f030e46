import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";

// Weights of a network by PyTorch's names: what `state_dict` and `load_state_dict` do there.

/** A parameter or buffer that a network has. */
export interface NamedShape {
  name: string;
  shape: readonly number[];
}

export interface StateDictOptions {
  /** What messages call the tensors: the file they are from. */
  source: string;
  /** Of what type they are wanted; floating-point numbers are rounded to it. Default float32. */
  type?: "float32" | "float64";
  /** Names that are left alone, in the network and among the tensors: a new head, say. Default none. */
  except?: (name: string) => boolean;
}

/** The number of batches BatchNorm has seen, which PyTorch keeps beside the running statistics. */
const counter = "num_batches_tracked";
const isCounter = (name: string) => name === counter || name.endsWith(`.${counter}`);

/**
 * The tensors a network wants out of those of a file, by name, as PyTorch's strict `load_state_dict` takes them; counts
 * of batches are passed over. Throws `UserError` naming what is missing, unexpected or of another shape or type.
 *
 * ```ts
 * const { tensors } = readSafetensors(bytes, "resnet18.safetensors");
 * await engine.write(matchStateDict([...model.parameters, ...model.buffers], tensors, { source: "resnet18.safetensors" }));
 * ```
 */
export function matchStateDict(
  wanted: readonly NamedShape[],
  given: Tensors,
  options: StateDictOptions,
): Tensors {
  const kinds = { source: "text", type: ["float32", "float64"], except: "function" } as const;
  const { source, type = "float32", except = () => false } = readOptions("matchStateDict", options, kinds);
  const names = new Set(wanted.map(({ name }) => name));
  const asked = wanted.filter(({ name }) => !except(name));
  const missing = asked.map(({ name }) => name).filter((name) => !Object.hasOwn(given, name));
  const unexpected = Object.keys(given).filter(
    (name) => !names.has(name) && !isCounter(name) && !except(name),
  );
  const present = asked.filter(({ name }) => Object.hasOwn(given, name));
  const misshapen = present
    .filter(({ name, shape }) => given[name].shape.join() !== shape.join())
    .map(({ name, shape }) => `${name} [${given[name].shape.join(", ")}] instead of [${shape.join(", ")}]`);
  const mistyped = present
    .filter(({ name }) => !isFloat(given[name]))
    .map(({ name }) => `${name} ${given[name].type}`);
  const complaints = [
    ...complaint("it lacks", missing),
    ...complaint("it has", unexpected, ", which the network does not"),
    ...complaint("of another shape are", misshapen),
    ...complaint("no floating-point numbers are", mistyped),
  ];
  if (complaints.length > 0) {
    throw new UserError(`the weights in ${source} do not fit the network: ${complaints.join("; ")}`);
  }
  return Object.fromEntries(present.map(({ name }) => [name, toType(given[name], type)]));
}

/**
 * A network's tensors as PyTorch's `state_dict` has them: beside the running statistics of each BatchNorm the number
 * of `batches` it has seen. PyTorch uses that number only for a cumulative average (`momentum=None`).
 */
export function stateDict(tensors: Tensors, batches: number): Tensors {
  const count = (): TensorData => ({ type: "int64", shape: [], data: BigInt64Array.of(BigInt(batches)) });
  const counters = Object.keys(tensors)
    .filter((name) => /(^|\.)running_mean$/.test(name))
    .map((name) => [name.replace(/running_mean$/, counter), count()]);
  return { ...tensors, ...Object.fromEntries(counters) };
}

/** How many names of one kind a message lists. */
const listed = 5;

function complaint(words: string, items: readonly string[], after = ""): string[] {
  if (items.length === 0) return [];
  const more = items.length > listed ? ` and ${items.length - listed} more` : "";
  return [`${words} ${items.slice(0, listed).join(", ")}${more}${after}`];
}

function isFloat({ type }: TensorData): boolean {
  return type === "float32" || type === "float64";
}

function toType(tensor: TensorData, type: "float32" | "float64"): TensorData {
  if (tensor.type === type) return tensor;
  const array = type === "float32" ? Float32Array : Float64Array;
  return { type, shape: tensor.shape, data: array.from(tensor.data as Float32Array) };
}
