import { create } from "@bufbuild/protobuf";
import { UserError } from "../common/errors.ts";
import { writeModel } from "../onnx/model.ts";
import { type ModelProto, ValueInfoProtoSchema } from "../onnx/onnx_pb.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { dataTypeName } from "../onnx/types.ts";
import type { Engine } from "../runtime/engine.ts";
import { type ObserverOptions, observer, type Range } from "./activation-ranges.ts";
import type { ModelEditor } from "./editor.ts";
import type { Site } from "./sites.ts";

// What a network computes on calibration data.

/** Batches of the model's inputs, from the first each time. */
export type Batches = () => AsyncIterable<Tensors>;

/**
 * The range of each site that has integers of its own.
 * @throws UserError when there are no batches, and for values that are not finite
 */
export async function calibrate(
  editor: ModelEditor,
  sites: readonly Site[],
  {
    engine,
    batches,
    optionsOf,
  }: { engine: Engine; batches: Batches; optionsOf: (name: string) => ObserverOptions },
): Promise<Map<string, Range>> {
  const observed = sites.filter(({ like }) => like === undefined).map(({ name }) => name);
  const observers = new Map(observed.map((name) => [name, observer(optionsOf(name))]));
  const computed = observed.filter((name) => {
    const stored = editor.weight(name);
    if (stored) observers.get(name)!.add(stored.data);
    return !stored;
  });
  const inputs = new Set(editor.inputs);
  await forEachBatch(
    withOutputs(
      editor.snapshot(),
      computed.filter((name) => !inputs.has(name)),
    ),
    { engine, batches },
    (tensors) => {
      for (const name of computed) {
        const values = tensors[name].data as Float32Array;
        if (!values.every(Number.isFinite))
          throw new UserError(`"${name}" is not finite on the calibration data; it cannot be quantized`);
        observers.get(name)!.add(values);
      }
    },
  );
  return new Map([...observers].map(([name, one]) => [name, one.range()]));
}

/**
 * Runs a model on every batch.
 * @param use gets inputs and outputs by name
 * @throws UserError when there are no examples, and for batches that the model cannot read
 */
export async function forEachBatch(
  model: ModelProto,
  { engine, batches }: { engine: Engine; batches: Batches },
  use: (tensors: Tensors) => void,
): Promise<void> {
  const program = "calibration";
  await engine.load(program, writeModel(model));
  let count = 0;
  for await (const inputs of batches()) {
    if (Object.values(inputs).some(({ data }) => data.length === 0)) continue;
    // The engine takes what it runs on.
    const kept = structuredClone(inputs);
    const { outputs } = await engine.run(program, inputs).catch((error: Error) => {
      throw new UserError(
        `the model reads ${inputsOf(model)}, and the calibration data are ${tensorsText(kept)}; give batches as the model reads them (${error.message.replaceAll(/\s+/g, " ")})`,
      );
    });
    use({ ...kept, ...outputs });
    count++;
  }
  if (count === 0)
    throw new UserError("there are no calibration data; ranges are measured on some hundred examples");
}

/** What a model reads, as `x: float32 [batch, 3, 8, 8]`. */
function inputsOf({ graph }: ModelProto): string {
  const stored = new Set(graph?.initializer.map(({ name }) => name));
  const texts = (graph?.input ?? []).flatMap(({ name, type }) => {
    if (stored.has(name)) return [];
    if (type?.value.case !== "tensorType") return [name];
    const { elemType, shape } = type.value.value;
    const sizes = shape?.dim.map(({ value }) => value.value ?? "?").join(", ") ?? "…";
    return [`${name}: ${dataTypeName(elemType, `input "${name}"`)} [${sizes}]`];
  });
  return texts.join(" and ");
}

function tensorsText(tensors: Tensors): string {
  const texts = Object.entries(tensors).map(
    ([name, { type, shape }]) => `${name}: ${type} [${shape.join(", ")}]`,
  );
  return texts.join(" and ") || "nothing";
}

/** A model that also gives what it has under these names. */
export function withOutputs(model: ModelProto, names: readonly string[]): ModelProto {
  const { graph } = model;
  const own = new Set(graph?.output.map(({ name }) => name));
  for (const name of names) if (!own.has(name)) graph?.output.push(create(ValueInfoProtoSchema, { name }));
  return model;
}
