import { elementCount, type Node, type Value } from "../graph/graph.ts";
import { copyInto } from "../graph/walk.ts";
import { filledWith } from "../nn/initializers.ts";
import type { Layer, Scope } from "../nn/module.ts";
import { add, div, mul, sub } from "../ops/arithmetic.ts";
import { equal, where } from "../ops/comparison.ts";
import { abs, sqrt } from "../ops/elementwise.ts";
import { expand, reshape } from "../ops/movement.ts";
import { floatAttribute } from "../ops/operator.ts";
import { learnedIntegers, learnedQuantize } from "../ops/quantization.ts";
import type { LayerBits, PerturbedForm } from "./choices.ts";
import { GraphView } from "./graph-view.ts";
import { outputAxis } from "./layers.ts";
import {
  type LearnedLayer,
  type LearnedSite,
  learnedSites,
  requireFloat,
  weightStepName,
} from "./learned-sites.ts";
import { activationElements, gradientFactor, integerRange, weightElements, weightRange } from "./lsq.ts";

// A network whose weights and activations are rounded to small integers with learned steps (LSQ, arXiv 1902.08153), as a layer
// around the float network's. In training BatchNorm stays as it is. In inference the network is what the file computes:
// BatchNorm is a part of the layer before it, and biases are rounded too.

export interface LearnedQuantization {
  /** Bits of the layers that are quantized, by their names. */
  layers: ReadonlyMap<string, LayerBits>;
  /** Whether weights have a step for each output channel. */
  perChannel: boolean;
  /** `latent`: the float weight, which is then rounded; `quantized`: what it is rounded to. */
  perturb: PerturbedForm;
}

/** The layer with learned steps, which are parameters: `conv1.weightStep`, `conv1.inputStep`, … */
export function quantizing(layer: Layer, quantization: LearnedQuantization): Layer {
  return (input, scope) =>
    scope.rewriting(layer, input, (ends) => new Rewriting(input, scope, quantization).rewritten(ends));
}

/** What gets a step in a network: layers, by the names of their weights, and tensors. */
export interface Observed {
  layers: readonly LearnedLayer[];
  sites: readonly (LearnedSite & { tensor: Value })[];
}

/** The layer itself, and what gets a step in it, shown as it is built. */
export function observing(
  layer: Layer,
  { layers }: Pick<LearnedQuantization, "layers">,
  see: (observed: Observed) => void,
): Layer {
  return (input, scope) => {
    const output = layer(input, scope);
    const view = new GraphView(output, input, (name) => scope.isStored(name));
    const found = learnedSites(view, layers);
    const own = found.sites.filter(({ like }) => like === undefined);
    see({
      layers: found.layers,
      sites: own.map((site) => ({ ...site, tensor: view.valueOf(site.name)! })),
    });
    return output;
  };
}

/** A step of a tensor that was rounded, with the range of its integers. */
interface Step {
  value: Value;
  axis?: number;
}

class Rewriting {
  private readonly input: Value;
  private readonly scope: Scope;
  private readonly settings: LearnedQuantization;
  private readonly steps = new Map<string, Value>();
  private readonly offsets = new Map<string, Value>();
  private readonly layers = new Map<Node, LearnedLayer>();
  private readonly sites = new Map<Value, LearnedSite>();
  /** Layers by the BatchNorm that becomes a part of them. */
  private readonly folded = new Map<Node, Node>();
  /** What layers were built of. */
  private readonly built = new Map<Node, { inputs: readonly (Value | undefined)[]; step: Step }>();

  constructor(input: Value, scope: Scope, settings: LearnedQuantization) {
    this.input = input;
    this.scope = scope;
    this.settings = settings;
  }

  rewritten(ends: readonly Value[]): Value[] {
    const { input, scope } = this;
    const view = new GraphView(ends[0], input, (name) => scope.isStored(name));
    requireFloat(view);
    const { layers, sites } = learnedSites(view, this.settings.layers);
    for (const layer of layers) this.layers.set(view.nodeOf.get(layer.node)!, layer);
    for (const site of sites) if (site.like === undefined) this.sites.set(view.valueOf(site.name)!, site);
    for (const [layer, norm] of view.normOf)
      if (this.layers.has(layer) && norm.operator === "BatchNormalization" && !scope.training)
        this.folded.set(norm, layer);
    return copyInto(input.graph, ends, new Map([[input, this.rounded(input, input)]]), (node, inputs) => {
      const made = this.rebuilt(node, inputs);
      return made?.map((value, index) => this.rounded(node.outputs[index], value));
    });
  }

  /** What stands for a tensor of the float network: rounded where it is a site. */
  private rounded(original: Value, value: Value): Value {
    const site = this.sites.get(original);
    if (!site) return value;
    const range = integerRange(site.bits, !site.isUnsigned);
    const step = this.step(site.step, [], value);
    return learnedQuantize(value, step, {
      ...range,
      gradientFactor: gradientFactor(activationElements(value.shape), range),
    });
  }

  private rebuilt(node: Node, inputs: readonly (Value | undefined)[]): readonly Value[] | undefined {
    const layer = this.layers.get(node);
    if (layer) return this.quantizedLayer(node, layer, inputs);
    const folded = this.folded.get(node);
    if (folded) return this.foldedLayer(folded, node, inputs);
    if (!node.outputs.some((output) => this.sites.has(output))) return undefined;
    return this.input.graph.add(node.operator, inputs, node.attributes, node.outputs, node.domain);
  }

  private quantizedLayer(
    node: Node,
    { name, node: proto, bits }: LearnedLayer,
    [x, weight, bias]: readonly (Value | undefined)[],
  ): readonly Value[] {
    const { perChannel, perturb } = this.settings;
    const { scope } = this;
    const range = weightRange(bits.weights);
    const axis = perChannel ? outputAxis(proto) : undefined;
    const value = this.step(weightStepName(name), axis === undefined ? [] : [weight!.shape[axis]], weight!);
    const options = { ...range, axis };
    const factor = gradientFactor(weightElements(weight!.shape, axis), range);
    let rounded = learnedQuantize(weight!, value, { ...options, gradientFactor: factor });
    const parameter = weight!.origin.kind === "input" ? weight!.origin.name : undefined;
    if (parameter !== undefined && scope.trains(parameter)) {
      const offset = perturb === "quantized" ? this.offset(parameter, weight!) : undefined;
      if (offset) rounded = add(rounded, offset);
      scope.rounds(learnedIntegers(offset ? rounded : weight!, value, options));
    }
    const step = { value, axis };
    this.built.set(node, { inputs: [x, rounded, bias], step });
    const isWhole = scope.training || [...this.folded.values()].includes(node);
    const own = isWhole ? bias : bias && this.roundedBias(bias, node, step.value);
    return this.input.graph.add(node.operator, [x, rounded, own], node.attributes, node.outputs, node.domain);
  }

  /** A layer with the BatchNorm behind it: weights and bias are multiplied, and the bias is rounded. */
  private foldedLayer(
    layer: Node,
    norm: Node,
    [, scale, shift, mean, variance]: readonly (Value | undefined)[],
  ): readonly Value[] {
    const { inputs, step } = this.built.get(layer)!;
    const [x, weight, bias] = inputs;
    const factor = div(scale!, sqrt(add(variance!, floatAttribute(norm.attributes, "epsilon", 1e-5))));
    const axis = outputAxis(this.layers.get(layer)!.node)!;
    const along = weight!.shape.map((size, other) => (other === axis ? size : 1));
    const ofBias = sub(bias ?? 0, mean!);
    const whole = add(mul(ofBias, factor), shift!);
    // Integers of a channel that BatchNorm multiplies by 0 have any step.
    const size = where(equal(factor, 0), 1, abs(factor));
    const folded = mul(weight!, reshape(factor, along));
    const own = this.roundedBias(whole, layer, mul(step.value, size));
    return this.input.graph.add(
      layer.operator,
      [x, folded, own],
      layer.attributes,
      norm.outputs.slice(0, 1),
      layer.domain,
    );
  }

  /** A bias as whole multiples of both steps, as integer kernels add it. */
  private roundedBias(bias: Value, layer: Node, weightStep: Value): Value {
    const { inputStep, node } = this.layers.get(layer)!;
    const channels = layer.inputs[1]!.shape[outputAxis(node)!];
    const count = elementCount(bias.shape);
    if (count !== channels && count !== 1) return bias;
    const vector = count === channels ? reshape(bias, [channels]) : expand(reshape(bias, [1]), [channels]);
    const step = mul(weightStep, this.steps.get(inputStep)!);
    return learnedQuantize(vector, step.shape.length === 0 ? step : reshape(step, [channels]), {
      ...{ low: -(2 ** 31), high: 2 ** 31 - 1, axis: 0 },
    });
  }

  private step(name: string, shape: readonly number[], { type }: Value): Value {
    const own = this.steps.get(name) ?? this.scope.parameter(name, shape, "step", filledWith(1));
    if (own.type !== type) throw new Error(`${name} is ${own.type} and what it rounds is ${type}`);
    this.steps.set(name, own);
    return own;
  }

  /** Layers that share a weight share its perturbation. */
  private offset(parameter: string, { shape }: Value): Value | undefined {
    const own = this.offsets.get(parameter) ?? this.scope.offset(parameter, shape);
    if (own) this.offsets.set(parameter, own);
    return own;
  }
}
