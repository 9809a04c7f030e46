import { randomStream } from "../../common/random.ts";
import { elementCount } from "../../graph/graph.ts";
import { isFloat } from "../../onnx/types.ts";
import { Drawing, type Drawn, type DrawnModel, type Float } from "./drawing.ts";
import { elementwiseTemplates, type Template } from "./elementwise.ts";
import { indexingTemplates } from "./indexing.ts";
import { layerTemplates } from "./layers.ts";
import { movementTemplates } from "./movement.ts";
import { productTemplates } from "./products.ts";
import { reductionTemplates } from "./reductions.ts";
import { windowTemplates } from "./windows.ts";

const templates: Readonly<Record<string, Template>> = {
  ...elementwiseTemplates,
  ...reductionTemplates,
  ...movementTemplates,
  ...indexingTemplates,
  ...windowTemplates,
  ...productTemplates,
  ...layerTemplates,
};

/** The opsets that are drawn. What came later than 22 is drawn in the first opset that ONNX Runtime has it in. */
const opsets = { first: 7, last: 22, newest: 26 };

const names = Object.keys(templates);

/**
 * The random model of a number. The operators take turns: one of a model's nodes is that of its number, the others are
 * random.
 * @param float what to compute in, in place of what is drawn
 */
export function generateModel(seed: number, number: number, float?: Float): DrawnModel {
  const random = randomStream(seed, "generated model", number);
  const focus = names[number % names.length];
  const { since, until = opsets.newest } = templates[focus];
  const first = Math.max(opsets.first, since);
  const last = Math.min(first > opsets.last ? opsets.newest : opsets.last, until);
  // Half of the models of a number's operator are of the opsets around the one that began it.
  const opset = first + random.integer(last - first + 1);
  const share = random.uniform();
  const drawnFloat: Float = share < 0.72 ? "float32" : share < 0.86 ? "float64" : "float16";
  const g = new Drawing(random, opset, float ?? drawnFloat);
  const steps = g.between(1, 6);
  const turn = g.between(0, steps - 1);
  for (let step = 0; step < steps; step++) {
    const usable = (name: string) =>
      templates[name].since <= opset && (templates[name].until ?? opset) >= opset;
    let name = g.pick(names);
    while (!usable(name)) name = g.pick(names);
    for (const drawn of [templates[step === turn ? focus : name].draw(g)].flat()) g.keep(drawn);
  }
  return finished(g);
}

/** The outputs of a drawing, and of its nodes and tensors those that they need. */
function finished(g: Drawing): DrawnModel {
  const read = new Set(g.nodes.flatMap(({ inputs }) => inputs));
  const made = new Set(g.nodes.flatMap(({ outputs }) => outputs));
  const results = g.pool.filter(({ name }) => made.has(name));
  const ends = results.filter(({ name }) => !read.has(name));
  const last = results[results.length - 1];
  const outputs = new Map<string, Drawn>([[last.name, last]]);
  for (const end of ends) if (g.chance(0.85)) outputs.set(end.name, end);
  for (const result of results) if (g.chance(0.1)) outputs.set(result.name, result);
  const wanted = [...outputs.values()].filter(
    ({ type, shape }) => isFloat(type) && elementCount(shape) < 3000,
  );
  const whole = modelOf(g, wanted.length > 0 ? wanted : [last]);
  // Some dead nodes stay.
  return g.chance(0.1) ? whole : giving(whole, whole.outputs);
}

/** What was drawn, as a model of some outputs. */
export function modelOf(g: Drawing, outputs: readonly Drawn[]): DrawnModel {
  return {
    opset: g.opset,
    float: g.float,
    inputs: g.inputs,
    stored: g.stored,
    nodes: g.nodes,
    made: g.made,
    outputs,
    straightThrough: ancestors(g.nodes, g.quantized),
  };
}

/** A model with other outputs, and of its nodes and tensors those that they need. */
export function giving(model: DrawnModel, outputs: readonly Drawn[]): DrawnModel {
  const used = new Set(outputs.map(({ name }) => name));
  const nodes = model.nodes
    .toReversed()
    .filter((node) => {
      if (!node.outputs.some((name) => used.has(name))) return false;
      for (const name of node.inputs) used.add(name);
      return true;
    })
    .reverse();
  const isUsed = ({ name }: { name: string }) => used.has(name);
  return {
    ...model,
    inputs: model.inputs.filter(isUsed),
    stored: model.stored.filter(isUsed),
    nodes,
    outputs,
  };
}

function ancestors(nodes: DrawnModel["nodes"], of: readonly string[]): Set<string> {
  const found = new Set(of);
  for (const { inputs, outputs } of nodes.toReversed())
    if (outputs.some((name) => found.has(name))) for (const name of inputs) found.add(name);
  return found;
}
