import * as files from "node:fs/promises";
import * as path from "node:path";
import type { Platform } from "./platform.ts";

// `#platform` in Node: the system's files, ONNX Runtime on a thread of its own.

export { probeDevice } from "../runtime/probe-device.ts";
export { openEngine } from "../runtime/remote.ts";
export { environment } from "./node-environment.ts";
export { readBeside } from "./node-external.ts";
export { fileRows, runFiles } from "./node-files.ts";

// With types of their own: programs that use Lowland may have none of Node's.
export const readFile: Platform["readFile"] = (name) => files.readFile(name);
export const {
  basename,
  dirname,
  extname,
  join,
  resolve,
}: Pick<Platform, "basename" | "dirname" | "extname" | "join" | "resolve"> = path;
