// The library in pages: `lowland` for bundlers that build for browsers, and `lowland/web`.
export * from "./library.ts";
export { useOnnxRuntime, type WebRuntime } from "./runtime/onnxruntime-web.ts";
