import { readFile } from "node:fs/promises";

// `#platform` in Node: the system's files, ONNX Runtime on a thread of its own.

export { basename, dirname, extname, join, resolve } from "node:path";
export { probeDevice } from "../runtime/probe-device.ts";
export { openEngine } from "../runtime/remote.ts";
export { environment } from "./node-environment.ts";
export { readBeside } from "./node-external.ts";
export { fileRows, runFiles } from "./node-files.ts";
export { readFile };
