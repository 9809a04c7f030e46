// Lowland in a page, on ONNX Runtime's WebAssembly.
import { openStep } from "../training-step.mjs";

export async function open(lowland, settings) {
  return (await openStep(lowland, settings)).take;
}
