import { basename } from "#platform";
import { UserError } from "../common/errors.ts";
import type { Value } from "../graph/graph.ts";
import { findHead, type Head, replaceHead } from "../import/head.ts";
import { readModelFile } from "../import/load.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { requireFloat } from "../quantization/learned-sites.ts";
import type { Task } from "../tasks/task.ts";
import type { Network } from "../tasks/task-network.ts";
import type { ImportedModelSettings } from "./configuration.ts";
import { type ModelFile, openModelFile, type TaskData } from "./model-file.ts";

/**
 * A file to train, with another head where the settings or the data want one.
 * @throws UserError for a file that cannot be read as a network for the task, or whose weights are integers
 */
export async function importedNetwork(
  settings: ImportedModelSettings,
  data: TaskData,
  { bytes, ...how }: { seed: number; newHead: boolean; bytes?: Uint8Array },
): Promise<Network> {
  const { file, classes: _, head: __, ...loading } = settings;
  const proto = await readModelFile(bytes ?? file, basename(file));
  const head = renewHead(proto, settings, data, how);
  const notes = head ? [headNote(head, data.task)] : [];
  let opened = openModelFile(proto, loading, data);
  const { ownBatch: only } = opened.network;
  if (only !== undefined) {
    const examples = only === 1 ? "one example" : `${only} examples`;
    notes.push(`the file takes ${examples} at a time: a batch is computed in micro-batches of ${examples}`);
  }
  const { parameters } = opened.model;
  if (!parameters.some(({ trainable }) => trainable))
    requireFloat(
      { nodes: proto.graph?.node ?? [] },
      "it has no float weights to train; train the float model that it was made of (with --quantize, to get integers again)",
    );
  const hasStatistics = parameters.some(({ role }) => role === "running-statistic");
  if (only === 1 && hasStatistics && loading.batchNormalization === "batch") {
    notes.push("BatchNorm keeps its running statistics: one example has none of its own");
    loading.batchNormalization = "frozen";
    opened = openModelFile(proto, loading, data);
  }
  const networkFrom = ({ network, trains }: ModelFile, frozen: readonly string[]): Network => ({
    ...network,
    frozen,
    layer: (x, scope) => naming(head, data.task, () => network.layer(x, scope)),
    get notes() {
      return [...notes, ...(network.notes ?? []), ...trains];
    },
    freezing: (names) => {
      const stored = parameters.flatMap(({ name, storedName }) => (names.has(name) ? [storedName] : []));
      const still = { frozen: [loading.frozen ?? [], stored].flat(), frozenDropout: names };
      return networkFrom(openModelFile(proto, { ...loading, ...still }, data), stored);
    },
  });
  return networkFrom(opened, []);
}

function headNote({ label, inputs, classes, now }: Head & { now: number }, task: Task): string {
  const sizes =
    classes === now
      ? `${now} ${outputsOf(task)} as before`
      : `${now} ${outputsOf(task)} in place of ${classes}`;
  return `the head, ${label}, is re-initialized: ${inputs} features → ${sizes}`;
}

/** What cannot be built behind a head with other outputs may be made for those it had. */
function naming(head: (Head & { now: number }) | undefined, task: Task, build: () => Value): Value {
  try {
    return build();
  } catch (error) {
    if (!head || head.now === head.classes || !(error instanceof UserError)) throw error;
    throw new UserError(
      `${error.message}; ${head.label} was re-initialized for ${head.now} ${outputsOf(task)} in place of ${head.classes}: if this node is made for those, export the model for ${head.now}`,
    );
  }
}

/** What a head has several of. */
function outputsOf({ output: { holds } }: Task): string {
  return holds === "logits" ? "classes" : "outputs";
}

/** Re-initializes the head where the settings ask for it or the task wants another number of outputs. */
function renewHead(
  proto: ModelProto,
  { classes, head: name, output }: ImportedModelSettings,
  { task, train }: TaskData,
  { seed, newHead }: { seed: number; newHead: boolean },
): (Head & { now: number }) | undefined {
  const { shape, holds } = task.output;
  if (shape.length !== 1) {
    if (classes === undefined && name === undefined && !newHead) return undefined;
    throw new UserError(
      `the network has to give [batch, ${shape.join(", ")}] for ${train.name}, which no linear layer does; leave the head's settings out (classes, head, newHead)`,
    );
  }
  const [wanted] = shape;
  if (classes !== undefined && (classes < wanted || (holds === "values" && classes > wanted))) {
    throw new UserError(
      `classes is ${classes}; ${train.name} has ${wanted}, so it has to be ${holds === "values" ? "that" : "at least that"}`,
    );
  }
  if (classes === undefined && name === undefined && !newHead) {
    // Where no linear layer ends the model it stays as it is, and what it gives is judged when it is built.
    try {
      if (findHead(proto, { output }).classes === wanted) return undefined;
    } catch (error) {
      if (error instanceof UserError) return undefined;
      throw error;
    }
  }
  const now = classes ?? wanted;
  return { ...replaceHead(proto, now, { output, name, seed }), now };
}
