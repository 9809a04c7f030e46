import { environment, openEngine } from "#platform";
import { trainingBatches } from "../data/rows.ts";
import { compile } from "../lower/compile.ts";
import { placeInStep, type StepPlace } from "../optim/passes.ts";
import { scalarInputs, scalarsAt } from "../optim/scalars.ts";
import { initialState } from "../optim/state.ts";
import { networkName } from "../runs/network.ts";
import { optimizerLabel } from "../runs/optimizer-label.ts";
import { createSchedule } from "../runs/optimizers.ts";
import type { RunRequest } from "../runs/run-request.ts";
import { prepare, stepsOf } from "../runs/run-setup.ts";
import { type ProgramProfile, profileProgram } from "../runtime/onnxruntime.ts";
import { trainingFeeds } from "../tasks/task-network.ts";
import { progressAt } from "../train/loop.ts";

/** Where the time of a training step goes: what `profile.json` holds. */
export interface StepProfileRecord {
  type: "profile";
  model: string;
  /** The optimizer as a reader would name it. */
  optimizer: string;
  data: string;
  batchSize: number;
  parameters: number;
  threads: number;
  cpu: string;
  createdAt: string;
  /** Runs of each step that were counted. */
  rounds: number;
  /** One for each kind of the optimizer's steps. */
  steps: StepProfile[];
}

export interface StepProfile {
  /** The kind, as the optimizer names it. */
  kind: string;
  /** Median of a whole step, with the profiler on. */
  milliseconds: number;
  /** In the order of the step. */
  parts: { name: string; milliseconds: number }[];
  /** The slowest first. */
  operators: { name: string; nodes: number; milliseconds: number }[];
  /** In the order of the network; time of each of `parts`. */
  layers: { name: string; milliseconds: number; parts: Readonly<Record<string, number>> }[];
  /** The slowest first. */
  nodes: { name: string; operator: string; part: string; layer: string; milliseconds: number }[];
}

export interface ProfileRequest extends Pick<RunRequest, "name" | "configuration" | "data"> {
  rounds: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

/** Steps that are not counted. */
const warmUp = 2;

/** What belongs to no layer: the loss, norms, rules over all parameters. */
const noLayer = "(no layer)";

/** Nodes that ONNX Runtime inserted, or made of several under a name of its own. */
const insertedPart = "ONNX Runtime's own";

/**
 * Profiles a training step of a run on its first batch, at its initial weights. Frozen stages are computed.
 * @throws UserError for settings that do not fit the data, as the run would; the signal's reason where it is aborted
 */
export async function profileStep(request: ProfileRequest): Promise<StepProfileRecord> {
  const { rounds, signal, onProgress, name, data } = request;
  const { parameters } = request.configuration;
  const configuration = {
    ...request.configuration,
    parameters: { ...parameters, features: "compute" as const },
  };
  const setup = await prepare({ name, data, configuration });
  const { opened, optimizer, objective, options, model, weights, microBatches, stepsPerEpoch } = setup;
  const { batchSize, seed, learningRate, epochs } = configuration;
  const { machine } = await environment();
  const threads = configuration.threads ?? machine.cores;
  trainingBatches(opened.train, { batchSize, seed, epoch: 1, row: opened.task.row });
  const batches = trainingFeeds(opened, model, { batchSize, seed, epoch: 1, microBatches });
  const { value: batch } = await batches.next();
  await batches.return(undefined);
  const run = { learningRate, schedule: createSchedule(configuration.schedule), epochs, stepsPerEpoch };
  const inputs = {
    ...weights,
    ...initialState(objective, optimizer, weights, options),
    ...batch,
    ...scalarInputs(scalarsAt(optimizer, progressAt(run, 0))),
  };
  const engine = openEngine({ threads });
  const target = await engine.target();
  await engine.close();
  const kinds = stepsOf(setup);
  const steps: StepProfile[] = [];
  for (const [index, { step, graph }] of kinds.entries()) {
    const onRound = (done: number, total: number) => onProgress?.(index * total + done, kinds.length * total);
    const program = compile(graph, { target });
    const profiling = { threads, warmUp, rounds, signal, onRound };
    steps.push(stepProfile(step, await profileProgram(program, inputs, profiling)));
  }
  return {
    type: "profile",
    model: networkName(configuration.model),
    optimizer: optimizerLabel(optimizer.config),
    data: configuration.data,
    ...{ batchSize, threads, rounds, steps },
    parameters: Object.keys(weights).reduce(
      (sum, key) => sum + (objective.parameters.has(key) ? weights[key].data.length : 0),
      0,
    ),
    cpu: machine.cpu,
    createdAt: new Date().toISOString(),
  };
}

/** The nodes of a program, traced back to the parts and layers of the step by their names. */
export function stepProfile(kind: string, { milliseconds, nodes: times }: ProgramProfile): StepProfile {
  const nodes = times
    .map(({ name, operator, milliseconds: own }) => {
      // Of a node with the activation after it, ONNX Runtime keeps the name behind a word of its own.
      const given = name.replace(/^fused /, "");
      const scope = given.slice(0, Math.max(0, given.lastIndexOf("/")));
      const place = placeInStep(scope);
      const isOwn = scope !== "" || /^[A-Za-z]+_\d+$/.test(given);
      return {
        ...{ name, operator, layer: layerName(place), milliseconds: own },
        part: isOwn ? partName(place) : insertedPart,
      };
    })
    .sort((a, b) => b.milliseconds - a.milliseconds);
  const partsOf = (some: typeof nodes) =>
    sums(some, ({ part }) => part).sort((a, b) => order(a.name) - order(b.name));
  const inOrder = times.map(({ name }) => nodes.find((node) => node.name === name)?.layer ?? noLayer);
  const layers = [...new Set(inOrder)].sort((a, b) => Number(a === noLayer) - Number(b === noLayer));
  return {
    kind,
    milliseconds,
    parts: partsOf(nodes).map(({ name, milliseconds: own }) => ({ name, milliseconds: own })),
    operators: sums(nodes, ({ operator }) => operator).sort((a, b) => b.milliseconds - a.milliseconds),
    layers: layers.map((name) => {
      const own = nodes.filter(({ layer }) => layer === name);
      return {
        name,
        milliseconds: own.reduce((sum, node) => sum + node.milliseconds, 0),
        parts: Object.fromEntries(partsOf(own).map((part) => [part.name, part.milliseconds])),
      };
    }),
    nodes,
  };
}

function partName({ part, pass }: StepPlace): string {
  return pass === undefined ? part : `${part} ${pass}`;
}

/** Forward and backward of each pass, then what is outside of them. */
function order(part: string): number {
  const [name, pass] = part.split(" ");
  if (part !== insertedPart && pass !== undefined) return 2 * Number(pass) + Number(name === "backward");
  return { perturbation: 1e6, update: 2e6 }[name] ?? 3e6;
}

/** The layer; of a node of a file, which goes by a path such as `/layer1/conv1/Conv`, the path without its last part. */
function layerName({ layer }: StepPlace): string {
  const path = layer.split("/").filter((part) => part !== "");
  return (path.length > 1 ? path.slice(0, -1) : path).join("/") || noLayer;
}

interface Sum {
  name: string;
  nodes: number;
  milliseconds: number;
}

function sums<T extends { milliseconds: number }>(items: readonly T[], key: (item: T) => string): Sum[] {
  const found = new Map<string, Sum>();
  for (const item of items) {
    const name = key(item);
    const sum = found.get(name) ?? { name, nodes: 0, milliseconds: 0 };
    sum.nodes++;
    sum.milliseconds += item.milliseconds;
    found.set(name, sum);
  }
  return [...found.values()];
}
