// The same step in jax-js, on WebAssembly: one function, compiled by `jit`. What a function is given it owns and uses up;
// `ref` keeps an array for another use.
import { defaultDevice, init, jit, lax, nn, numpy as np, valueAndGrad } from "@jax-js/jax";
import { hyperparameters, imageShapes, trainingStepOf } from "../training-step.mjs";

export async function open(lowland, settings) {
  const { model, method, batch } = settings;
  const started = await init("wasm");
  if (!started.includes("wasm")) throw new Error("jax-js cannot start its device wasm");
  defaultDevice("wasm");
  const { start, parameters, images, labels } = trainingStepOf(lowland, settings);
  const { learningRate, momentum, weightDecay, labelSmoothing, rho } = hyperparameters;
  const x = np.array(images).reshape([batch, ...imageShapes[settings.images]]);
  const y = nn
    .oneHot(np.array(labels, { dtype: np.int32 }), 10)
    .mul(1 - labelSmoothing)
    .add(labelSmoothing / 10);
  const arrays = (names, of) => Object.fromEntries(names.map((name) => [name, of(start[name])]));
  const buffers = Object.keys(start).filter((name) => !parameters.includes(name));
  let state = {
    weights: arrays(parameters, weightOf),
    moved: arrays(parameters, (tensor) => np.zerosLike(weightOf(tensor))),
    running: arrays(buffers, weightOf),
  };

  const lossOf = (weights, x, y) => {
    const statistics = {};
    const logits = networks[model](x, weights, statistics);
    return [nn.logSoftmax(logits).mul(y).sum(1).mean().neg(), statistics];
  };
  const passOf = valueAndGrad(lossOf, { hasAux: true });

  const step = jit(({ weights, moved, running }, x, y) => {
    const pass = (at) => passOf(at, x.ref, y.ref);
    const [[loss, statistics], gradients] = pass(refs(weights));
    const direction = directions[method](weights, gradients, pass, rho);
    const next = map(direction, (d, name) =>
      moved[name].mul(momentum).add(d.add(weights[name].ref.mul(weightDecay))),
    );
    x.dispose();
    y.dispose();
    return {
      loss,
      weights: map(weights, (weight, name) => weight.sub(next[name].ref.mul(learningRate))),
      moved: next,
      running: map(running, (array, name) => array.mul(0.9).add(statistics[name].mul(0.1))),
    };
  });
  return async () => {
    const { loss, ...next } = step(state, x.ref, y.ref);
    state = next;
    return (await loss.data())[0];
  };
}

/** Matrices are [inputs, outputs] here; filters are as Lowland's. */
function weightOf({ shape, data }) {
  const array = np.array(data).reshape(shape);
  return shape.length === 2 ? array.transpose() : array;
}

const map = (tree, f) =>
  Object.fromEntries(Object.entries(tree).map(([name, array]) => [name, f(array, name)]));
const refs = (tree) => map(tree, (array) => array.ref);

const linear = (x, weights, name) => np.matmul(x, weights[`${name}.weight`]).add(weights[`${name}.bias`]);

const networks = {
  mlp(x, weights) {
    let y = x.reshape([x.shape[0], -1]);
    for (const name of ["fc1", "fc2"]) y = nn.relu(linear(y, weights, name));
    return linear(y, weights, "fc3");
  },
  cnn(x, weights, statistics) {
    let y = x;
    for (const [index, stride] of [1, 2, 1, 2, 1].entries()) {
      const padding = [
        [1, 1],
        [1, 1],
      ];
      y = lax.conv(y, weights[`conv${index + 1}.weight`], [stride, stride], padding);
      y = nn.relu(batchNorm(y, weights, `bn${index + 1}`, statistics));
    }
    return linear(y.mean([2, 3]), weights, "fc");
  },
};

function batchNorm(x, weights, name, statistics) {
  const [count, axes] = [x.size / x.shape[1], [0, 2, 3]];
  const mean = x.ref.mean(axes, { keepdims: true });
  const centered = x.sub(mean.ref);
  const variance = np.square(centered.ref).mean(axes, { keepdims: true });
  statistics[`${name}.running_mean`] = lax.stopGradient(mean.reshape([-1]));
  statistics[`${name}.running_var`] = lax.stopGradient(variance.ref.reshape([-1])).mul(count / (count - 1));
  const [scale, bias] = ["weight", "bias"].map((each) => weights[`${name}.${each}`].reshape([1, -1, 1, 1]));
  return centered
    .div(np.sqrt(variance.add(1e-5)))
    .mul(scale)
    .add(bias);
}

const norm = (gradients) =>
  np.sqrt(
    Object.values(gradients)
      .map((gradient) => np.square(gradient).sum())
      .reduce((sum, each) => sum.add(each)),
  );

const directions = {
  sgd: (_weights, gradients) => gradients,
  "bilateral-sam"(weights, gradients, pass, rho) {
    const length = norm(refs(gradients));
    const at = (radius) => {
      const factor = np.array(radius).div(length.ref);
      const moved = map(weights, (weight, name) => weight.ref.add(gradients[name].ref.mul(factor.ref)));
      factor.dispose();
      return moved;
    };
    const gradientsAt = (radius) => {
      const [[loss, statistics], found] = pass(at(radius));
      loss.dispose();
      map(statistics, (array) => array.dispose());
      return found;
    };
    const [above, below] = [gradientsAt(rho), gradientsAt(-rho)];
    length.dispose();
    const scale = norm(refs(above)).div(norm(refs(below)));
    const direction = map(gradients, (gradient, name) =>
      above[name].add(gradient.sub(below[name].mul(scale.ref))),
    );
    scale.dispose();
    return direction;
  },
};
