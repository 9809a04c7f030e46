import { stat } from "node:fs/promises";
import { UserError } from "../common/errors.ts";
import { modelNames } from "../nn/models.ts";
import { findModel } from "./trained-model.ts";

/** What fine-tuning starts from: a network by name, whose weights are in a file of their own, or an ONNX file. */
export type StartingModel = { network: string } | { file: string };

/**
 * Finds what a person names to fine-tune: an ONNX file, a run folder (its model), or a network by name.
 * @throws UserError when it is none of them
 */
export async function findStartingModel(text: string): Promise<StartingModel> {
  const found = await stat(text).catch(() => undefined);
  if (found?.isDirectory()) return { file: (await findModel(text)).path };
  if (found && text.endsWith(".safetensors")) {
    throw new UserError(
      `${text} holds weights without a network; name the network too, as in lowland finetune resnet18 --weights ${text}`,
    );
  }
  if (found) return { file: text };
  const [name] = text.split(":");
  if (modelNames.some((known) => known === name)) return { network: text };
  if (/[./\\]/.test(text)) throw new UserError(`there is no file ${text}`);
  throw new UserError(
    `there is no network "${text}" and no such file; name an ONNX file, a run folder, or a network with its --weights (one of ${modelNames.join(", ")})`,
  );
}
