import type { GraphProto, NodeProto, TensorProto } from "../onnx/onnx_pb.ts";

// PyTorch's exporters lose the name of a parameter that they transpose or put together: `onnx::MatMul_374`, `val_67`. The
// node that reads it still tells which module it belongs to.

const invented = /^(onnx::\w+|val_\d+|\d+)$/;

/** What an input of an operator is called in PyTorch's modules. */
const namesByInput: Readonly<Record<string, readonly (string | undefined)[]>> = {
  Conv: [undefined, "weight", "bias"],
  ConvTranspose: [undefined, "weight", "bias"],
  // A Linear is x·Wᵀ, so what stands there without a transposition is Wᵀ.
  MatMul: ["weight", "weight.T"],
  Gemm: [undefined, "weight.T", "bias"],
  Add: ["bias", "bias"],
  BatchNormalization: [undefined, "weight", "bias", "running_mean", "running_var"],
  LayerNormalization: [undefined, "weight", "bias"],
  LSTM: [undefined, "weight_ih", "weight_hh", "bias"],
  GRU: [undefined, "weight_ih", "weight_hh", "bias"],
  RNN: [undefined, "weight_ih", "weight_hh", "bias"],
};

/**
 * Gives initializers whose names an exporter made up the names of PyTorch's modules and parameters, where the node that
 * reads them tells: `encoder.layer.0.query.weight.T`, `.T` for a parameter that is stored transposed. A recurrent layer's
 * weights, which ONNX stores for both directions together, are `rnn.weight_ih_l0`, `rnn.weight_hh_l0` and `rnn.bias_l0`.
 */
export function restoreNames(graph: GraphProto): void {
  const stored = new Map<string, TensorProto>(
    graph.initializer.filter(({ name }) => invented.test(name)).map((tensor) => [tensor.name, tensor]),
  );
  if (stored.size === 0) return;
  const taken = new Set([
    ...[...graph.input, ...graph.output, ...graph.initializer].map(({ name }) => name),
    ...graph.node.flatMap(({ output }) => output),
  ]);
  const biases = biasesAfter(graph);
  const layers = new Map<string, number>();
  const given = new Map<string, string>();
  for (const node of graph.node) {
    const bias = node.opType === "MatMul" ? biases.get(node.output[0]) : undefined;
    const module = bias?.replace(/\.bias$/, "") ?? moduleOf(node);
    const kinds = namesByInput[node.opType];
    if (module === undefined || !kinds) continue;
    const isRecurrent = kinds.includes("weight_hh");
    const layer = layers.get(module) ?? 0;
    if (isRecurrent) layers.set(module, layer + 1);
    for (const [index, input] of node.input.entries()) {
      const kind = node.opType === "Gemm" && index === 1 && isTransposed(node) ? "weight" : kinds[index];
      const tensor = stored.get(input);
      if (!kind || !tensor || given.has(input) || graph.input.some(({ name }) => name === input)) continue;
      // A single element that is added is part of a formula.
      if (node.opType === "Add" && tensor.dims.length === 0) continue;
      const name = `${module}.${kind}${isRecurrent ? `_l${layer}` : ""}`;
      if (taken.has(name)) continue;
      taken.add(name);
      given.set(input, name);
    }
  }
  for (const [old, name] of given) stored.get(old)!.name = name;
  rename(graph.node, given);
}

/** The bias that is added to a tensor, by the tensor's name: it tells the module more surely than the node does. */
function biasesAfter(graph: GraphProto): ReadonlyMap<string, string> {
  const named = new Set(graph.initializer.map(({ name }) => name).filter((name) => name.endsWith(".bias")));
  const added = graph.node.flatMap(({ opType, input }) => {
    const bias = opType === "Add" ? input.find((name) => named.has(name)) : undefined;
    return bias === undefined ? [] : input.map((name) => [name, bias] as const);
  });
  return new Map(added);
}

function isTransposed({ attribute }: NodeProto): boolean {
  return attribute.some(({ name, i }) => name === "transB" && i === 1n);
}

/** In the nodes and in the branches of an If, which may read what is around them. */
function rename(nodes: readonly NodeProto[], names: ReadonlyMap<string, string>): void {
  for (const node of nodes) {
    node.input = node.input.map((name) => names.get(name) ?? name);
    for (const { g } of node.attribute) if (g) rename(g.node, names);
  }
}

/** The module that a node was exported from, by PyTorch's name; undefined where nothing tells. */
function moduleOf({ name, metadataProps }: NodeProto): string | undefined {
  const scopes = metadataProps.find(({ key }) => key === "pkg.torch.onnx.name_scopes")?.value;
  if (scopes !== undefined) {
    // Python's list of the modules around, the node's own name last: "['', 'fc', 'linear']".
    const modules = [...scopes.matchAll(/'([^']*)'/g)].map(([, module]) => module);
    return modules.at(-2) || undefined;
  }
  if (!name.startsWith("/")) return undefined;
  // "/layer1/layer1.0/conv1/Conv": a part that the next one repeats is left out.
  const parts = name.slice(1).split("/").slice(0, -1);
  const modules = parts.filter((part, index) => !parts[index + 1]?.startsWith(`${part}.`));
  return modules.join(".") || undefined;
}
