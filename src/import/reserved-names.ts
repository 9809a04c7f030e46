/** What graphs of training and measuring call their own inputs and outputs. */
const taken = new Set([
  ...["input", "images", "target", "logits", "loss", "predicted", "accuracy", "plain", "blocked"],
  "learning_rate",
  ...["loss_max", "loss_min", "max_sharpness", "min_sharpness", "bilateral_sharpness", "direction_norm"],
  ...["grad_norm", "grad_norm_max", "grad_norm_min", "cos_grad_max", "cos_grad_min"],
  ...["scale", "curvature", "theorem_one"],
]);

/**
 * What stored tensors are called in graphs, for those whose names mean something else there: an input or output of the
 * step, the next value, gradient or optimizer state of another tensor, or a property that every object has.
 */
export function namesInGraphs(stored: readonly string[]): ReadonlyMap<string, string> {
  const names = new Set(stored);
  const isTaken = (name: string) =>
    taken.has(name) ||
    name in {} ||
    /^(optimizer|batch)\.|^rho((?![a-z]).*[^_])?$|\.(next|uniform)$|\/(gradient|vector|product|stand-in)$/.test(
      name,
    ) ||
    names.has(name.slice(0, Math.max(0, name.lastIndexOf("."))));
  const renamed = new Map<string, string>();
  for (const name of stored.filter(isTaken)) {
    let own = `${name.replaceAll(/[./]/g, "_")}_`;
    while (names.has(own)) own += "_";
    names.add(own);
    renamed.set(name, own);
  }
  return renamed;
}
