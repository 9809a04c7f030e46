/** A module of WebAssembly with one instruction of SIMD. */
const simdModule = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15],
  ...[253, 98, 11],
);

/** What the page needs and this browser lacks, in one sentence; nothing where it has everything. */
export function missingPart(): string | undefined {
  if (!("Worker" in globalThis))
    return "This browser has no workers, and training needs one; use a current browser.";
  if (!("WebAssembly" in globalThis) || !WebAssembly.validate(simdModule))
    return "This browser has no WebAssembly SIMD, which training needs; use a version of 2023 or later of Chrome, Edge, Firefox or Safari.";
  if (!("OffscreenCanvas" in globalThis))
    return "This browser cannot draw outside of the page (OffscreenCanvas); use a version of 2023 or later.";
  return undefined;
}
