import { UserError } from "../common/errors.ts";
import type { NodeProto } from "../onnx/onnx_pb.ts";
import { fitsNames } from "../optim/parameter-groups.ts";
import type { LayerBits, LayerChoices } from "./choices.ts";
import { type NetworkView, quantizedLayers, type Site } from "./sites.ts";

// How many bits each layer and each activation has.

/** Names of the layers of a network in their order: those of their weights, without `.weight`. */
export function layerNames(view: NetworkView): Map<NodeProto, string> {
  const counts = new Map<string, number>();
  return new Map(
    quantizedLayers(view, () => false).map((node) => {
      const name = node.input[1].replace(/\.weight$/, "");
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      return [node, count === 1 ? name : `${name}#${count}`];
    }),
  );
}

/**
 * The bits of a layer by its name. Unless a pattern says otherwise, the first and the last layer have 8.
 * @throws UserError for bits that are not 2 to 8, and a pattern that fits no layer
 */
export function chosenBits(
  names: readonly string[],
  { weights = 8, activations = 8, layers = {} }: Partial<LayerBits> & { layers?: LayerChoices },
): (name: string) => LayerBits | "float" {
  requireBits("weights", weights);
  requireBits("activations", activations);
  for (const [pattern, choice] of Object.entries(layers)) {
    if (!names.some((name) => fitsNames(name, pattern)))
      throw new UserError(`layers: "${pattern}" fits no layer; the layers are ${names.join(", ")}`);
    if (choice === "float") continue;
    for (const [what, bits] of Object.entries(choice)) requireBits(`layers: "${pattern}": ${what}`, bits);
  }
  return (name) => {
    const isOuter = name === names[0] || name === names.at(-1);
    const usual: LayerBits = isOuter ? { weights: 8, activations: 8 } : { weights, activations };
    // Objects have keys like "0" before all others, whatever order they are given in.
    const choice = Object.hasOwn(layers, name)
      ? layers[name]
      : Object.entries(layers).findLast(([pattern]) => fitsNames(name, pattern))?.[1];
    return choice === "float" ? "float" : { ...usual, ...choice };
  };
}

function requireBits(what: string, bits: number): void {
  if (Number.isInteger(bits) && bits >= 2 && bits <= 8) return;
  throw new UserError(`${what}: ${bits} bits were asked for; integers have 2 to 8`);
}

/** The bits of the integers of each site: the most of the layers that read it; 8 for what no layer reads. */
export function siteBits(
  sites: readonly Site[],
  layers: ReadonlyMap<NodeProto, LayerBits>,
): (name: string) => number {
  const origin = new Map(sites.map(({ name, like = name }) => [name, like]));
  const bits = new Map<string, number>();
  for (const [{ input }, { activations }] of layers) {
    const name = origin.get(input[0]) ?? input[0];
    bits.set(name, Math.max(activations, bits.get(name) ?? 0));
  }
  return (name) => bits.get(origin.get(name) ?? name) ?? 8;
}
