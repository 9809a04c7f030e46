// Text in `bytes` fields: ONNX declares strings of tensors and attributes so, and says that they are UTF-8.

import { UserError } from "../common/errors.ts";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of UTF-8 bytes. Throws a UserError that begins with `subject` if they are something else. */
export function decodeText(bytes: Uint8Array, subject: string): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new UserError(`${subject}: holds a string of ${bytes.length} bytes that is not UTF-8 text`);
  }
}

/** The UTF-8 bytes of a text. */
export function encodeText(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
