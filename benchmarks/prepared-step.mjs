// One training step, ready to be timed: what step.mjs and bench.mjs have in common.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * An engine that has a step's program, weights and state; `run` trains it by one step on one batch of invented pixels.
 * `method` is sgd, sam or bilateral-sam, over SGD with momentum.
 */
export async function prepareStep(dist, { model: name, method, batch, threads }) {
  const { bilateralSam, compile, nn, openEngine, ops, optim, sam, sgd } = await import(
    pathToFileURL(resolve(dist, "index.js")).href
  );
  const directions = { sgd: (base) => base, sam, "bilateral-sam": bilateralSam };
  const optimizer = directions[method](sgd({ momentum: 0.9, weightDecay: 1e-3 }));
  const [channels, height, width] = pictureShape(name);
  const model = nn.buildModel(nn.createModel(name, { channels, height, width, classes: 10 }), {
    inputShape: [channels, height, width],
    batchSize: batch,
    training: true,
  });
  const target = model.graph.input("target", "int32", [batch]);
  const loss = ops.softmaxCrossEntropy(model.logits, target, { labelSmoothing: 0.1 });
  const parameters = new Map(model.parameters.map(({ name }) => [name, model.graph.inputs.get(name)]));
  const objective = { loss, parameters, buffers: model.bufferUpdates };

  const engine = openEngine({ threads });
  const compiledFor = { target: await engine.target?.() };
  const program = compile(optim.trainingStep(objective, optimizer), compiledFor);
  await engine.load("step", program);
  const start = nn.initialTensors(model, 1);
  await engine.write({ ...start, ...optim.initialState(objective, optimizer, start) });
  const pixels = Float32Array.from({ length: batch * channels * height * width }, (_, i) => Math.sin(i * i));
  const scalar = (value) => ({ type: "float32", shape: [], data: Float32Array.of(value) });
  const feeds = () => ({
    input: { type: "float32", shape: [batch, channels, height, width], data: pixels.slice() },
    target: { type: "int32", shape: [batch], data: Int32Array.from({ length: batch }, (_, i) => i % 10) },
    learning_rate: scalar(0.01),
    rho: scalar(0.05),
    rho_max: scalar(0.05),
    rho_min: scalar(0.05),
  });
  const run = () => engine.run("step", feeds(), { advance: true });
  return { engine, program, run };
}

/** [channels, height, width] of the pictures that a network is measured on. */
export function pictureShape(model) {
  return model.startsWith("resnet") ? [3, 32, 32] : [1, 28, 28];
}

export function medianOf(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}
