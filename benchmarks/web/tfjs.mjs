// The same step in TensorFlow.js, on its WebAssembly or, with `backend: "cpu"`, in plain JavaScript.
import "@tensorflow/tfjs-backend-cpu";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients.js";
import { hyperparameters, imageShapes, trainingStepOf } from "../training-step.mjs";

export async function open(lowland, settings) {
  const { model, method, batch, backend } = settings;
  setWasmPaths("/");
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js cannot start its backend ${backend}`);
  const { start, parameters, images, labels } = trainingStepOf(lowland, settings);
  const { learningRate, momentum, weightDecay, labelSmoothing, rho } = hyperparameters;
  const [channels, height, width] = imageShapes[settings.images];
  // Channels come last here.
  const x = tf.tidy(() => tf.transpose(tf.tensor(images, [batch, channels, height, width]), [0, 2, 3, 1]));
  const y = tf.tidy(() =>
    tf.add(tf.mul(tf.oneHot(tf.tensor1d(labels, "int32"), 10), 1 - labelSmoothing), labelSmoothing / 10),
  );
  let state = {
    weights: parameters.map((name) => weightOf(start[name])),
    moved: parameters.map((name) => tf.zerosLike(weightOf(start[name]))),
    running: Object.entries(start)
      .filter(([name]) => !parameters.includes(name))
      .map(([, tensor]) => weightOf(tensor)),
  };

  /** The loss and its gradients; `statistics` gets the mean and the variance of each batch normalization. */
  const pass = (weights, statistics = []) =>
    tf.valueAndGrads((...given) => {
      const named = Object.fromEntries(parameters.map((name, index) => [name, given[index]]));
      const logits = networks[model](x, named, statistics);
      return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), y), 1)));
    })(weights);

  const step = () => {
    const { weights, moved, running } = state;
    const statistics = [];
    const first = pass(weights, statistics);
    const direction = directions[method](weights, first.grads, pass, rho);
    const decayed = weights.map((weight, index) => tf.add(direction[index], tf.mul(weight, weightDecay)));
    const next = moved.map((tensor, index) => tf.add(tf.mul(tensor, momentum), decayed[index]));
    return {
      loss: first.value,
      weights: weights.map((weight, index) => tf.sub(weight, tf.mul(next[index], learningRate))),
      moved: next,
      running: running.map((tensor, index) => tf.add(tf.mul(tensor, 0.9), tf.mul(statistics[index], 0.1))),
    };
  };
  return async () => {
    const { loss, ...next } = tf.tidy(step);
    tf.dispose(state);
    state = next;
    const [value] = await loss.data();
    loss.dispose();
    return value;
  };
}

/** Matrices are [inputs, outputs] here and filters [height, width, inputs, outputs]. */
function weightOf({ shape, data }) {
  const order = { 1: [0], 2: [1, 0], 4: [2, 3, 1, 0] }[shape.length];
  return tf.tidy(() => tf.transpose(tf.tensor(data, shape), order));
}

const linear = (x, weights, name) => tf.add(tf.matMul(x, weights[`${name}.weight`]), weights[`${name}.bias`]);

const networks = {
  mlp(x, weights) {
    let y = tf.reshape(x, [x.shape[0], -1]);
    for (const name of ["fc1", "fc2"]) y = tf.relu(linear(y, weights, name));
    return linear(y, weights, "fc3");
  },
  cnn(x, weights, statistics) {
    let y = x;
    for (const [index, stride] of [1, 2, 1, 2, 1].entries()) {
      const convolved = tf.conv2d(y, weights[`conv${index + 1}.weight`], stride, 1);
      const { mean, variance } = tf.moments(convolved, [0, 1, 2]);
      const count = convolved.size / mean.size;
      statistics.push(tf.keep(mean.clone()), tf.keep(tf.mul(variance, count / (count - 1))));
      const [scale, bias] = ["weight", "bias"].map((name) => weights[`bn${index + 1}.${name}`]);
      y = tf.relu(tf.batchNorm(convolved, mean, variance, bias, scale, 1e-5));
    }
    return linear(tf.mean(y, [1, 2]), weights, "fc");
  },
};

const norm = (gradients) => tf.sqrt(tf.addN(gradients.map((gradient) => tf.sum(tf.square(gradient)))));

const directions = {
  sgd: (_weights, gradients) => gradients,
  "bilateral-sam"(weights, gradients, pass, rho) {
    const length = norm(gradients);
    const at = (radius) =>
      weights.map((weight, index) => tf.add(weight, tf.mul(gradients[index], tf.div(radius, length))));
    const [above, below] = [pass(at(rho)).grads, pass(at(-rho)).grads];
    const scale = tf.div(norm(above), norm(below));
    return gradients.map((gradient, index) =>
      tf.add(above[index], tf.sub(gradient, tf.mul(below[index], scale))),
    );
  },
};
