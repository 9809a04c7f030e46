// The training step that the benchmarks time, in Node and in pages: a network of Lowland's on generated images.

/** Shapes of images by the data set that has them, [channels, height, width]. */
export const imageShapes = { digits: [1, 8, 8], "fashion-mnist": [1, 28, 28], cifar10: [3, 32, 32] };

export const hyperparameters = {
  learningRate: 0.01,
  momentum: 0.9,
  weightDecay: 1e-3,
  labelSmoothing: 0.1,
  rho: 0.05,
};

/**
 * One step as a graph, and what it starts from.
 * @param lowland the library: dist/index.js in Node, dist/index.web.js in a page
 * @returns `start`: parameters and buffers; `images` [batch, channels, height, width]; `labels` [batch]
 */
export function trainingStepOf(lowland, { model: name, method, batch, images: data, recompute }) {
  const { bilateralSam, nn, ops, optim, sam, sgd } = lowland;
  const { momentum, weightDecay, labelSmoothing } = hyperparameters;
  const [channels, height, width] = imageShapes[data];
  const directions = { sgd: (base) => base, sam, "bilateral-sam": bilateralSam };
  const optimizer = directions[method](sgd({ momentum, weightDecay }));
  const model = nn.buildModel(nn.createModel(name, { channels, height, width, classes: 10 }), {
    inputShape: [channels, height, width],
    batchSize: batch,
    training: true,
  });
  const target = model.graph.input("target", "int32", [batch]);
  const loss = ops.softmaxCrossEntropy(model.logits, target, { labelSmoothing });
  const parameters = new Map(model.parameters.map(({ name }) => [name, model.graph.inputs.get(name)]));
  const objective = { loss, parameters, buffers: model.bufferUpdates };
  const start = nn.initialTensors(model, 1);
  return {
    graph: optim.trainingStep(objective, optimizer, { recompute }),
    start,
    state: optim.initialState(objective, optimizer, start),
    parameters: [...parameters.keys()],
    images: Float32Array.from({ length: batch * channels * height * width }, (_, i) => Math.sin(i * i)),
    labels: Int32Array.from({ length: batch }, (_, i) => i % 10),
  };
}

/**
 * Loads the step into an engine of its own.
 * @returns `take`: takes a step and gives its loss
 */
export async function openStep(lowland, settings) {
  const { graph, start, state, images, labels } = trainingStepOf(lowland, settings);
  const { batch, threads } = settings;
  const engine = lowland.openEngine({ threads });
  await engine.load("step", lowland.compile(graph, { target: await engine.target?.() }));
  await engine.write({ ...start, ...state });
  const scalar = (value) => ({ type: "float32", shape: [], data: Float32Array.of(value) });
  const feeds = () => ({
    input: { type: "float32", shape: [batch, ...imageShapes[settings.images]], data: images.slice() },
    target: { type: "int32", shape: [batch], data: labels.slice() },
    learning_rate: scalar(hyperparameters.learningRate),
    ...Object.fromEntries(["rho", "rho_max", "rho_min"].map((name) => [name, scalar(hyperparameters.rho)])),
  });
  const take = async () => {
    const { outputs } = await engine.run("step", feeds(), { advance: true });
    return outputs.loss.data[0];
  };
  return { graph, take, close: () => engine.close() };
}

/**
 * Times steps after a first one and a warm-up: two or more, for `seconds` or longer.
 * @param onStep gets the number of steps taken after each
 * @returns `losses` of all steps, the untimed ones first; `firstStepSeconds`: since the process or the worker started
 */
export async function timeSteps(take, { seconds, steps = 2, warmUp = 0.1 * seconds, onStep = () => {} }) {
  const losses = [];
  const step = async () => {
    losses.push(await take());
    onStep(losses.length);
  };
  await step();
  const firstStepSeconds = performance.now() / 1000;
  const warm = performance.now() + 1000 * warmUp;
  while (performance.now() < warm) await step();
  const milliseconds = [];
  const end = performance.now() + 1000 * seconds;
  while (milliseconds.length < steps || performance.now() < end) {
    const before = performance.now();
    await step();
    milliseconds.push(performance.now() - before);
  }
  return { losses, firstStepSeconds, milliseconds };
}
