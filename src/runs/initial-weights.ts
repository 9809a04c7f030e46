import { readFile } from "#platform";
import { UserError } from "../common/errors.ts";
import { initialTensors, type Model } from "../nn/module.ts";
import type { Stage } from "../nn/stages.ts";
import { fitsNames } from "../optim/parameter-groups.ts";
import type { Tensors } from "../runtime/engine.ts";
import { matchStateDict } from "../weights/state-dict.ts";

/** Weights that a network starts from, and which of its parameters are initialized by the seed instead. */
export interface GivenWeights {
  tensors: Tensors;
  /** Where they are from, for messages. */
  source: string;
  /** Patterns of names. */
  except: string | readonly string[];
  /** Whether a head of another size is re-initialized. */
  otherHead?: boolean;
}

/** The tensors of a safetensors file. Throws `UserError` when it cannot be read, is damaged or is an ONNX file. */
export async function readWeights(file: string): Promise<Tensors> {
  if (/\.onnx$/i.test(file))
    throw new UserError(
      `the weights ${file} are an ONNX file and have to be a safetensors file; to train the network in it, name it as the model`,
    );
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new UserError(`the weights ${file} cannot be read (${(error as Error).message})`);
  }
  const { readSafetensors } = await import("../weights/safetensors.ts");
  return readSafetensors(bytes, file).tensors;
}

/**
 * What a run starts from: the weights given, by name, and what the seed draws for the others.
 * @param head the last stage; re-initialized where `isNew`, or where it is of another size and may be
 * @returns also a note where the head is re-initialized
 * @throws UserError when names or shapes do not fit the network, or `except` fits none of its names
 */
export function startingTensors(
  model: Model,
  seed: number,
  given: GivenWeights | undefined,
  { stage, isNew }: { stage: Stage | undefined; isNew: boolean },
): { tensors: Tensors; note?: string } {
  const drawn = initialTensors(model, seed);
  if (!given) return { tensors: drawn };
  const { tensors, source, except } = given;
  // Weights of a float network have no steps of quantizers.
  const named = [...model.parameters, ...model.buffers].filter(
    (tensor) => !("kind" in tensor && tensor.kind === "step") || Object.hasOwn(tensors, tensor.name),
  );
  for (const pattern of [except].flat()) {
    // A file may have more than the network, such as an auxiliary classifier.
    const names = [...named.map(({ name }) => name), ...Object.keys(tensors)];
    if (names.some((name) => fitsNames(name, pattern))) continue;
    throw new UserError(
      `"${pattern}", excepted from the weights, fits no name of the network or of ${source}; the network has ${named.map(({ name }) => name).join(", ")}`,
    );
  }
  const head = new Set(stage?.parameters);
  const isAnother = named.some(
    ({ name, shape }) =>
      head.has(name) &&
      !fitsNames(name, except) &&
      Object.hasOwn(tensors, name) &&
      tensors[name].shape.join() !== shape.join(),
  );
  const renews = isNew || (isAnother && given.otherHead === true);
  const isLeftOut = (name: string) => fitsNames(name, except) || (renews && head.has(name));
  const load = () => ({ ...drawn, ...matchStateDict(named, tensors, { source, except: isLeftOut }) });
  if (!renews && !isAnother) return { tensors: load() };
  if (!renews) return { tensors: advising(load, [...head]) };
  const why = isNew ? "as asked for" : `since that in ${source} has another size`;
  return { tensors: load(), note: `the head, ${stage?.name}, is re-initialized ${why}` };
}

/** Says of weights that do not fit what to do about their head. */
function advising(load: () => Tensors, head: readonly string[]): Tensors {
  try {
    return load();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `${error.message}; to train another number of classes leave the head out (--weights-except "${head.join(",")}"), or use lowland finetune`,
    );
  }
}
