import { readFile } from "node:fs/promises";
import { UserError } from "../common/errors.ts";
import { initialTensors, type Model } from "../nn/module.ts";
import { fitsNames } from "../optim/parameter-groups.ts";
import type { Tensors } from "../runtime/engine.ts";
import { readSafetensors } from "../weights/safetensors.ts";
import { matchStateDict } from "../weights/state-dict.ts";

/** Weights that a network starts from, and whose parameters are to start anew all the same. */
export interface GivenWeights {
  tensors: Tensors;
  /** Where they are from, for messages. */
  source: string;
  /** Patterns of names. */
  except: string | readonly string[];
}

/** The tensors of a safetensors file. Throws `UserError` when it cannot be read or is damaged. */
export async function readWeights(file: string): Promise<Tensors> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new UserError(`the weights ${file} cannot be read (${(error as Error).message})`);
  }
  return readSafetensors(bytes, file).tensors;
}

/**
 * What a run starts from: the weights given, by name, and what the seed draws for the others.
 * Throws `UserError` when names or shapes do not fit the network, or `except` fits none of its names.
 */
export function startingTensors(model: Model, seed: number, given: GivenWeights | undefined): Tensors {
  const drawn = initialTensors(model, seed);
  if (!given) return drawn;
  const { tensors, source, except } = given;
  const named = [...model.parameters, ...model.buffers];
  for (const pattern of [except].flat()) {
    if (named.some(({ name }) => fitsNames(name, pattern))) continue;
    throw new UserError(
      `"${pattern}", excepted from the weights, fits no name of the network; there are ${named.map(({ name }) => name).join(", ")}`,
    );
  }
  const loaded = matchStateDict(named, tensors, { source, except: (name) => fitsNames(name, except) });
  return { ...drawn, ...loaded };
}
