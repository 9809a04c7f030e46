// What a person chooses for the layers of a network. Settings need it, so it loads nothing else.

/** Bits of a layer's weights and of what it reads. */
export interface LayerBits {
  weights: number;
  activations: number;
}

/**
 * Layers that differ from the others, by their names or patterns of them. A layer takes the choice of its own name, or else of
 * the last pattern that fits.
 */
export type LayerChoices = Readonly<Record<string, Partial<LayerBits> | "float">>;

/** What a perturbation of a quantized weight is added to. */
export const perturbedForms = ["quantized", "latent"] as const;
export type PerturbedForm = (typeof perturbedForms)[number];

/** What learned steps start from: the least squared error, or 2·mean|x|/√high as published (arXiv 1902.08153). */
export const firstStepRules = ["mse", "mean"] as const;
export type FirstStepRule = (typeof firstStepRules)[number];

/** `4`, or `w4a8`: of weights and of activations; nothing of another text. */
export function readBits(text: string): LayerBits | undefined {
  const [, weights, both] = /^(?:w(?=\d+a\d+$))?(\d+)(?:a(\d+))?$/.exec(text) ?? [];
  if (weights === undefined || (both !== undefined && !text.startsWith("w"))) return undefined;
  return { weights: Number(weights), activations: Number(both ?? weights) };
}

/** `conv1=8`, `layer4.*=w4a8`, `fc=float` as a choice; nothing of another text. */
export function layerChoiceOf(text: string): LayerChoices | undefined {
  const [, pattern, value] = /^(.+)=([^=]+)$/.exec(text) ?? [];
  if (pattern === undefined) return undefined;
  const choice = value === "float" ? value : readBits(value);
  return choice && { [pattern]: choice };
}
