import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { InputDescription } from "./image-input.ts";

// What a written model says of itself: JSON under `lowland.<name>` in the metadata of the ONNX file.

const prefix = "lowland.";

/** @param values by name: `input`, `task`, `classes`, `frozen`, … */
export function writtenMetadata(values: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`${prefix}${name}`, JSON.stringify(value)]),
  );
}

/** What a file that Lowland wrote takes; nothing of a file that does not say so. */
export function statedInput(model: ModelProto): InputDescription | undefined {
  return stated(model, "input") as InputDescription | undefined;
}

/** The task that a file that Lowland wrote is for; nothing of a file that does not say so. */
export function statedTask(model: ModelProto): string | undefined {
  const task = stated(model, "task");
  return typeof task === "string" ? task : undefined;
}

/** The names of the classes that a file that Lowland wrote tells apart; nothing of a file that does not say so. */
export function statedClasses(model: ModelProto): readonly string[] | undefined {
  const classes = stated(model, "classes");
  return Array.isArray(classes) ? classes.map(String) : undefined;
}

/** The names of the tensors that kept their values when a file that Lowland wrote was trained; none of other files. */
export function statedFrozen(model: ModelProto): readonly string[] {
  const frozen = stated(model, "frozen");
  return Array.isArray(frozen) ? frozen.map(String) : [];
}

/** An entry of a file that Lowland wrote; nothing of a file that does not have it. */
export function stated({ metadataProps }: ModelProto, name: string): unknown {
  const text = metadataProps.find(({ key }) => key === `${prefix}${name}`)?.value;
  return text === undefined ? undefined : JSON.parse(text);
}
