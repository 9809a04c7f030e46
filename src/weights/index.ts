// Weights by PyTorch's names and in the safetensors format; src/index.ts offers them as `weights`.
export { readSafetensors, type SafetensorsFile, writeSafetensors } from "./safetensors.ts";
export { matchStateDict, type NamedShape, type StateDictOptions, stateDict } from "./state-dict.ts";
