import { readModelFile } from "../import/load.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { type ActivationForm, withFloatWeights } from "../quantization/float-weights.ts";
import { statedFrozen } from "../tasks/model-metadata.ts";
import { type FileSettings, type ModelFile, openModelFile, type TaskData } from "./model-file.ts";
import { importedModelOf, type TrainedModel } from "./trained-model.ts";

/**
 * Opens a run's model or an ONNX file, to look at it with its weights as they are: the task's input becomes what it
 * takes as it did in the run, and what was frozen is no parameter.
 * @throws UserError for a file that cannot be read as a network for the task, and for a name whose network gives another
 *   kind of output
 */
export async function openTrainedModel(
  found: TrainedModel,
  settings: FileSettings,
  opened: TaskData,
): Promise<ModelFile> {
  const proto = await readModelFile(found.path);
  const own = importedModelOf(found);
  const frozen = [own?.frozen ?? [], statedFrozen(proto)].flat();
  return atRest(proto, { ...own, frozen, ...settings }, opened);
}

/**
 * The same of a file of integers: its weights are float tensors with the values that the integers stand for. All of them are
 * parameters, since BatchNorm has become a part of them.
 * @throws UserError also for a model whose weights cannot be read from its integers
 */
export function openFloatWeights(
  proto: ModelProto,
  found: TrainedModel,
  { form, settings }: { form: ActivationForm; settings: FileSettings },
  opened: TaskData,
): ModelFile {
  const { trainable: _, frozen: __, ...own } = importedModelOf(found) ?? {};
  return atRest(withFloatWeights(proto, form), { ...own, ...settings }, opened);
}

function atRest(proto: ModelProto, settings: FileSettings, opened: TaskData): ModelFile {
  const fileWith = (batchNormalization: "batch" | "frozen") =>
    openModelFile(proto, { ...settings, batchNormalization, dropout: false }, opened);
  const file = fileWith("batch");
  // One example has no statistics of its own.
  return file.network.ownBatch === 1 ? fileWith("frozen") : file;
}
