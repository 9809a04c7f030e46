import { join } from "node:path";
import { UserError } from "../common/errors.ts";
import { readModelFile, TrainableModel } from "../import/load.ts";
import { buildModel, freezing } from "../nn/module.ts";
import type { Tensors } from "../onnx/tensor.ts";
import type { PerturbedForm } from "../quantization/choices.ts";
import { isQuantized, withFloatWeights } from "../quantization/float-weights.ts";
import { parseRun } from "../runs/configuration.ts";
import { readWeights } from "../runs/initial-weights.ts";
import type { FileSettings } from "../runs/model-file.ts";
import { trainedNetwork } from "../runs/run-setup.ts";
import type { TrainedModel } from "../runs/trained-model.ts";
import { openFloatWeights } from "../runs/trained-network.ts";
import type { OpenedTask } from "../tasks/task.ts";
import type { Network } from "../tasks/task-network.ts";

// A quantized model as something whose weights can be moved. Rounding has no derivative, so what is measured where is decided
// here: losses are those of the network with rounded activations, second derivatives those of a float network.

/** What is measured of a quantized model. */
export interface QuantizedForms {
  /** What ε is added to: the values that integers stand for, or the float weights that become integers afterwards. */
  perturbed: PerturbedForm;
  /** Whose loss is measured. */
  network: Network;
  /** Its parameters and running statistics; absent: those that it is built with. */
  tensors?: Tensors;
  /** The float network with the values that integers stand for, whose activations keep to their ranges but are not rounded. */
  smooth: Network;
}

/**
 * The forms of a quantized model; nothing of a float one.
 * @param perturb default: `quantized`
 * @throws UserError for `latent` of a float model, and of a file, which has no float weights
 */
export async function quantizedForms(
  found: TrainedModel,
  { perturb, settings }: { perturb: PerturbedForm | undefined; settings: FileSettings },
  opened: OpenedTask,
): Promise<QuantizedForms | undefined> {
  const proto = await readModelFile(found.path);
  if (!isQuantized(proto)) {
    if (perturb === undefined) return undefined;
    throw new UserError(`${found.path} is not quantized; leave --perturb out`);
  }
  const formOf = (form: "rounded" | "clipped") =>
    openFloatWeights(proto, found, { form, settings }, opened).network;
  const smooth = formOf("clipped");
  if (perturb !== "latent") return { perturbed: "quantized", network: formOf("rounded"), smooth };
  return { perturbed: "latent", ...(await latentNetwork(found, opened)), smooth };
}

/** The network that a run trained, with its float weights and learned steps, to be moved before they are rounded. */
async function latentNetwork(
  { path, run }: TrainedModel,
  opened: OpenedTask,
): Promise<{ network: Network; tensors: Tensors }> {
  const { weights: _, ...document } = run?.configuration ?? {};
  const configuration = run && parseRun(document);
  if (!configuration?.quantization)
    throw new UserError(
      `${path} has integers and no float weights that they were rounded from; leave --perturb latent out, or name a run that trained with quantization`,
    );
  const quantization = { ...configuration.quantization, perturb: "latent" as const };
  const tensors = await latentWeights(run!.folder);
  const request = { configuration: { ...configuration, quantization } };
  const given = { tensors, source: run!.folder, except: [] };
  const { network } = await trainedNetwork(request, opened, given);
  const { inputShape, ownBatch = 2 } = network;
  const { parameters } = buildModel(network.layer, { inputShape, batchSize: ownBatch, training: false });
  // Steps of quantizers stay as they are.
  const steps = new Set(parameters.flatMap(({ name, kind }) => (kind === "step" ? [name] : [])));
  return { network: { ...network, layer: freezing(network.layer, steps) }, tensors };
}

/** The float weights of a run and its learned steps. */
function latentWeights(folder: string): Promise<Tensors> {
  return readWeights(join(folder, "model.safetensors"));
}

/**
 * The weights of another model, in the form in which a model's own are moved.
 * @throws UserError for a file where latent weights are wanted
 */
export async function weightsLike(
  { path, run }: TrainedModel,
  perturbed: PerturbedForm | undefined,
): Promise<Tensors> {
  if (perturbed === "latent") {
    if (run) return latentWeights(run.folder);
    throw new UserError(`${path} is a file, which has no latent weights; name a run folder with --to`);
  }
  const proto = await readModelFile(path);
  return new TrainableModel(isQuantized(proto) ? withFloatWeights(proto, "rounded") : proto, {}).tensors;
}
