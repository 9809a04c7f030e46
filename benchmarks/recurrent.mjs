// node benchmarks/recurrent.mjs [--layer LSTM] [--times 100] [--batch 32] [--inputs 64] [--hidden 128]
//
// A recurrent layer as it is trained here, unrolled, beside ONNX Runtime's own kernel: nodes, time to make a session, and
// time of a call, on one thread. Times are of the processor, so a busy machine changes little.
import { parseArgs } from "node:util";
import { InferenceSession, Tensor } from "onnxruntime-node";

const { values } = parseArgs({
  options: {
    dist: { type: "string", default: "dist" },
    layer: { type: "string", default: "LSTM" },
    times: { type: "string", default: "100" },
    batch: { type: "string", default: "32" },
    inputs: { type: "string", default: "64" },
    hidden: { type: "string", default: "128" },
  },
});
const from = (path) => import(new URL(`../${values.dist}/${path}`, import.meta.url));
const { Graph } = await from("graph/graph.js");
const { nodesOf } = await from("graph/walk.js");
const { compile } = await from("lower/compile.js");
const { gradients } = await from("autodiff/gradients.js");
const { square } = await from("ops/arithmetic.js");
const { reduceSum } = await from("ops/reduction.js");
const { recurrentLayer } = await from("ops/recurrent.js");
const { onnxModel } = await from("testing/onnx-models.js");
const { writeModel } = await from("onnx/model.js");

const gates = { LSTM: 4, GRU: 3, RNN: 1 }[values.layer];
const [times, batch, inputs, hidden] = [values.times, values.batch, values.inputs, values.hidden].map(Number);
const shapes = {
  x: [times, batch, inputs],
  w: [1, gates * hidden, inputs],
  r: [1, gates * hidden, hidden],
  b: [1, 2 * gates * hidden],
};
const feeds = Object.fromEntries(
  Object.entries(shapes).map(([name, shape]) => {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => Math.random() / 5 - 0.1);
    return [name, new Tensor("float32", data, shape)];
  }),
);

async function measure(what, model, nodes) {
  let start = process.cpuUsage().user;
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1 });
  const made = (process.cpuUsage().user - start) / 1e6;
  for (let warm = 0; warm < 3; warm++) await session.run(feeds);
  const calls = 10;
  start = process.cpuUsage().user;
  for (let call = 0; call < calls; call++) await session.run(feeds);
  const each = (process.cpuUsage().user - start) / calls / 1000;
  console.log(
    `${what.padEnd(28)} ${String(nodes).padStart(6)} nodes  session ${made.toFixed(2)} s  call ${each.toFixed(1)} ms`,
  );
  await session.release();
}

for (const backward of [false, true]) {
  const graph = new Graph();
  const { x, w, r, b } = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, graph.input(name, "float32", shape)]),
  );
  const { sequence } = recurrentLayer(values.layer, x, { input: w, recurrent: r, bias: b });
  const loss = reduceSum(square(sequence));
  graph.output("loss", loss);
  if (backward) {
    for (const [index, gradient] of gradients(loss, [x, w, r, b]).entries())
      graph.output(`d${index}`, gradient);
  }
  const name = backward ? "unrolled, with gradients" : "unrolled";
  await measure(name, compile(graph), nodesOf(graph.outputs.values()).length);
}
const kernel = onnxModel({
  opset: 14,
  inputs: shapes,
  nodes: [[values.layer, ["x", "w", "r", "b"], ["y"], { hidden_size: { int: hidden } }]],
  outputs: ["y"],
});
await measure("ONNX Runtime's kernel", writeModel(kernel), 1);
