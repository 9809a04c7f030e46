import { InferenceSession } from "onnxruntime-node";
import { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { neg } from "../ops/arithmetic.ts";

// A process of its own that opens a device and says whether that went well: a driver that ends the process ends this one. What
// the device's libraries say on standard error is for `probe-device.ts`.

const graph = new Graph();
graph.output("y", neg(graph.input("x", "float32", [1])));
const [device] = process.argv.slice(2);
try {
  const session = await InferenceSession.create(compile(graph), { executionProviders: [device] });
  await session.release();
  process.stdout.write(JSON.stringify({ opened: true }));
} catch (error) {
  process.stdout.write(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
}
